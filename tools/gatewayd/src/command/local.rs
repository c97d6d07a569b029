//! Files of this machine that are written: whole, or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};

use guifi_core::Error;
use tempfile::NamedTempFile;

/// A file that is not there yet.
pub(super) struct Target {
    file: NamedTempFile,
    path: PathBuf,
}

impl Target {
    /// Begins beside its place.
    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let failed = |e| Error::failed(format!("cannot write {}: {e}", path.display()));
        let mut builder = tempfile::Builder::new();
        // As programs make files; the user's mask takes away from it.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let file = builder
            .prefix(".guifi-store")
            .permissions(mode)
            .tempfile_in(directory.unwrap_or(Path::new(".")))
            .map_err(failed)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// To write to.
    pub(super) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Puts it in its place, in one step.
    pub(super) fn keep(self) -> Result<(), Error> {
        let path = self.path;
        self.file
            .persist(&path)
            .map(drop)
            .map_err(|e| Error::failed(format!("cannot write {}: {}", path.display(), e.error)))
    }
}
