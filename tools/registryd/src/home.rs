//! What must survive a lost database: the community that this box has joined, by its founding
//! record, and what the box calls itself. One small file, written atomically.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use guifi_core::{Error, Root};
use guifi_streams::Key;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

use crate::node::Home;
use crate::record::Record;

/// Directory of the registry's state.
const STATE: &str = "/var/lib/guifi/registryd";

/// The community that this box has joined.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Membership {
    /// The encoded founding record, in hexadecimal.
    founding: String,
    /// What the box calls itself.
    pub(crate) home: Home,
    /// A member that was met when joining, and where.
    pub(crate) seed: Option<(Key, Vec<SocketAddr>)>,
}

/// Path of the file.
fn file(root: &Root) -> PathBuf {
    root.join(STATE).join("community.json")
}

/// Path of the database.
#[must_use]
pub(crate) fn database(root: &Root) -> PathBuf {
    root.join(STATE).join("registry.db")
}

impl Membership {
    /// A membership of the community of `founding`.
    #[must_use]
    pub(crate) fn new(founding: &Record, home: Home, seed: Option<(Key, Vec<SocketAddr>)>) -> Self {
        Self {
            founding: HEXLOWER.encode(&founding.encode()),
            home,
            seed,
        }
    }

    /// The founding record.
    ///
    /// # Errors
    /// A sentence if the file was tampered with.
    pub(crate) fn founding(&self) -> Result<Record, String> {
        let bytes = HEXLOWER
            .decode(self.founding.as_bytes())
            .map_err(|e| e.to_string())?;
        Record::decode(&bytes)
    }

    /// Reads the file; `None` if this box has not joined.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] naming the file.
    pub(crate) fn load(root: &Root) -> Result<Option<Self>, Error> {
        let path = file(root);
        let wrong = |e: &dyn std::fmt::Display| {
            Error::failed(format!("cannot read {}: {e}", path.display()))
        };
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| wrong(&e)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(wrong(&e)),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`]: disk full, …
    pub(crate) fn save(&self, root: &Root) -> Result<(), Error> {
        let path = file(root);
        let failed = |e: &dyn std::fmt::Display| {
            Error::failed(format!("cannot write {}: {e}", path.display()))
        };
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(|e| failed(&e))?;
        let text = serde_json::to_vec_pretty(self).map_err(|e| failed(&e))?;
        guifi_core::write_atomic(&path, &text, 0o600).map_err(|e| failed(&e))
    }

    /// Forgets the membership and the records; the key stays with peerd.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if a file cannot be removed.
    pub(crate) fn forget(root: &Root) -> Result<(), Error> {
        let database = database(root);
        let besides = ["-wal", "-shm"].map(|s| PathBuf::from(format!("{}{s}", database.display())));
        for path in std::iter::once(file(root)).chain(besides).chain([database]) {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::failed(format!(
                        "cannot remove {}: {e}",
                        path.display()
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
