//! What was published by command, kept across restarts.

use std::fs;
use std::io;
use std::path::PathBuf;

use guifi_core::{Error, Root};
use serde::{Deserialize, Serialize};

use crate::service::Service;

const FILE: &str = "/var/lib/guifi/discoveryd/services.json";

/// The file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Store {
    /// Services published by command.
    pub(crate) services: Vec<Service>,
    /// Names of the records that this daemon has written, so that one whose declaration has
    /// gone can be removed, and one of somebody else is left alone.
    #[serde(default)]
    pub(crate) records: Vec<String>,
    #[serde(skip)]
    path: PathBuf,
}

impl Store {
    /// Reads the file. One that cannot be read is set aside: the services of the box must not
    /// keep it from starting.
    pub(crate) fn load(root: &Root) -> Self {
        let path = root.join(FILE);
        let read = fs::read(&path);
        let parsed = match read {
            Ok(text) => serde_json::from_slice::<Self>(&text).map_err(|e| e.to_string()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(e.to_string()),
        };
        let store = parsed.unwrap_or_else(|e| {
            let aside = path.with_extension("json.damaged");
            log::error!(
                "cannot read {}: {e}; set aside as {}",
                path.display(),
                aside.display()
            );
            if let Err(e) = fs::rename(&path, &aside) {
                log::error!("cannot rename it: {e}");
            }
            Self::default()
        });
        Self { path, ..store }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`]: disk full, …
    pub(crate) fn save(&self) -> Result<(), Error> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::failed(format!("cannot write {}: {e}", self.path.display()))
        };
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory).map_err(|e| failed(&e))?;
        }
        let text = serde_json::to_vec_pretty(self).map_err(|e| failed(&e))?;
        guifi_core::write_atomic(&self.path, &text, 0o600).map_err(|e| failed(&e))
    }
}
