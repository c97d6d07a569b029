//! The gateway's two secrets: one that convergent keys are derived with, one for leases.
//!
//! Kept as the official client keeps its own in `private/`: base 32 and a line end.

use std::fs;
use std::io;
use std::path::Path;

use guifi_core::{Error, write_atomic};
use guifi_tahoe::hash::{Hash, tagged};
use guifi_tahoe::secrets::Lease;
use guifi_tahoe::{StorageIndex, base32};

use crate::server::Server;

/// The file of the convergence secret.
const CONVERGENCE: &str = "convergence";
/// The file of the lease secret.
const LEASE: &str = "lease";

/// The secrets.
#[derive(Clone)]
pub(crate) struct Secrets {
    /// Who has it and a file can tell whether this gateway stored it.
    pub(crate) convergence: Vec<u8>,
    lease: Vec<u8>,
}

impl Secrets {
    /// Reads them, or makes them at the first start.
    ///
    /// # Errors
    /// If one cannot be read, is damaged, or cannot be made.
    pub(crate) fn load(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            convergence: load(&directory.join(CONVERGENCE))?,
            lease: load(&directory.join(LEASE))?,
        })
    }

    /// What leases of a file at a server are renewed and cancelled with.
    pub(crate) fn lease(&self, index: &StorageIndex, server: &Server) -> Lease {
        Lease::derive(&self.lease, index, &server.about.tubid)
    }

    /// What an upload to a server is gone on with and given up. It is always the same, so that
    /// one that was cut off is known again; no other server learns it.
    pub(crate) fn upload(&self, index: &StorageIndex, server: &Server) -> Hash {
        tagged(b"guifi_upload_secret_v1", &self.lease(index, server).cancel)
    }
}

fn load(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |e: io::Error| Error::failed(format!("cannot use {}: {e}", path.display()));
    match fs::read_to_string(path) {
        Ok(text) => base32::decode(text.trim())
            .filter(|secret| secret.len() >= 16)
            .ok_or_else(|| {
                Error::failed(format!("cannot use {}: not a secret", path.display()))
                    .hint("bring the file back from a backup")
            }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let secret = random::<32>()?.to_vec();
            let text = base32::encode(&secret) + "\n";
            write_atomic(path, text.as_bytes(), 0o600).map_err(failed)?;
            Ok(secret)
        }
        Err(e) => Err(failed(e)),
    }
}

/// Bytes that nobody can guess.
///
/// # Errors
/// If the system has none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::failed(format!("no random bytes: {e}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn they_are_made_once_and_are_for_the_daemon_alone() {
        let directory = tempfile::tempdir().unwrap();
        let first = Secrets::load(directory.path()).unwrap();
        let second = Secrets::load(directory.path()).unwrap();
        assert_eq!(first.convergence, second.convergence);
        assert_ne!(first.convergence, first.lease);
        let path = directory.path().join(LEASE);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "aa").unwrap();
        assert!(Secrets::load(directory.path()).is_err());
    }
}
