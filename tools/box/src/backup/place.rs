//! Putting files back: all of them are written beside their places first, so that a full disk or
//! a missing account changes nothing; then each takes its place at once, whole.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File as Handle, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

use guifi_core::{Error, Kind, Root};
use nix::unistd::{Group, User};

use super::archive::File;

/// What is appended to a name until the file takes its place.
const SUFFIX: &str = ".guifi-restore";

/// Files that wait beside their places. Dropped, they vanish.
#[derive(Default)]
pub(crate) struct Staged {
    files: Vec<(PathBuf, PathBuf)>,
    /// What goes when the files come.
    stale: Vec<PathBuf>,
}

impl Staged {
    /// Writes `files` beside their places; `gone` are paths that will vanish.
    ///
    /// # Errors
    /// [`Kind::Failed`] or [`Kind::NotAllowed`] naming the file. Nothing has changed then, but
    /// for directories that were missing.
    pub(crate) fn new<'a>(
        root: &Root,
        files: &[File],
        gone: impl Iterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let mut staged = Self::default();
        for file in files {
            let owner = Owner::of(file)?;
            let target = root.join(&file.path);
            let waiting = beside(&target, SUFFIX);
            staged.files.push((waiting.clone(), target.clone()));
            parents(root, file, owner)
                .and_then(|()| write(&waiting, file, owner))
                .map_err(|e| failed("write", &file.path, &e))?;
            if file.is_database() {
                staged.stale.extend(companions(&target));
            }
        }
        for path in gone {
            let target = root.join(path);
            staged.stale.extend(companions(&target));
            staged.stale.push(target);
        }
        Ok(staged)
    }

    /// Puts every file into its place. Goes on after an error and reports the first.
    ///
    /// # Errors
    /// [`Kind::Failed`] naming the file.
    pub(crate) fn commit(mut self) -> Result<(), Error> {
        let mut first = Ok(());
        let mut note = |what: &str, path: &Path, done: io::Result<()>| {
            if let Err(e) = done
                && first.is_ok()
            {
                first = Err(failed(what, &path.display().to_string(), &e));
            }
        };
        for path in self.stale.drain(..) {
            note("remove", &path, remove(&path));
        }
        let mut directories = BTreeSet::new();
        for (waiting, target) in self.files.drain(..) {
            note("put back", &target, fs::rename(&waiting, &target));
            directories.extend(target.parent().map(Path::to_owned));
        }
        for directory in directories {
            let synced = Handle::open(&directory).and_then(|handle| handle.sync_all());
            note("write", &directory, synced);
        }
        first
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for (waiting, _) in &self.files {
            let _ = remove(waiting); // the error worth reporting is another
        }
    }
}

/// Numbers of an owner and a group.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    fn of(file: &File) -> Result<Self, Error> {
        let missing = |what: &str, name: &str| {
            Error::failed(format!(
                "cannot put {} back: there is no {what} {name}",
                file.path
            ))
            .hint("install the packages of this box first")
        };
        let user = User::from_name(&file.user).ok().flatten();
        let group = Group::from_name(&file.group).ok().flatten();
        Ok(Self {
            user: user
                .ok_or_else(|| missing("user", &file.user))?
                .uid
                .as_raw(),
            group: group
                .ok_or_else(|| missing("group", &file.group))?
                .gid
                .as_raw(),
        })
    }

    /// Gives it a file or directory, if it is not theirs already.
    fn take(self, handle: &Handle) -> io::Result<()> {
        let metadata = handle.metadata()?;
        if (metadata.uid(), metadata.gid()) == (self.user, self.group) {
            return Ok(());
        }
        fchown(handle, Some(self.user), Some(self.group))
    }
}

fn failed(what: &str, path: &str, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::NotAllowed,
        _ => Kind::Failed,
    };
    Error::new(kind, format!("cannot {what} {path}: {error}"))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What belongs to a database: it must not be replayed into another.
fn companions(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|suffix| beside(path, suffix))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Makes the directories that are missing, the last one the owner's; a link in the way is an error.
fn parents(root: &Root, file: &File, owner: Owner) -> io::Result<()> {
    let mut parts: Vec<&str> = file.path.split('/').collect();
    parts.pop();
    for length in 2..=parts.len() {
        let path = root.join(parts[..length].join("/"));
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                let message = format!("{} is no directory", path.display());
                return Err(io::Error::new(io::ErrorKind::NotADirectory, message));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let last = length == parts.len();
                let private = last && file.mode & 0o077 == 0;
                DirBuilder::new()
                    .mode(if private { 0o700 } else { 0o755 })
                    .create(&path)?;
                if last {
                    owner.take(&Handle::open(&path)?)?;
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn write(waiting: &Path, file: &File, owner: Owner) -> io::Result<()> {
    remove(waiting)?; // left by a restore that was cut short
    let mut handle = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(waiting)?;
    handle.write_all(&file.content)?;
    owner.take(&handle)?;
    handle.set_permissions(fs::Permissions::from_mode(file.mode))?;
    handle.sync_all()
}

#[cfg(test)]
mod tests;
