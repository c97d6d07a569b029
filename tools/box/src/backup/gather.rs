//! Reading what the lists name. Links and devices are left out, and a database that a daemon is
//! writing to is copied as of one instant.

use std::fs::{self, File as Handle, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use guifi_core::{Error, Kind, Root};
use nix::unistd::{Gid, Group, Uid, User};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::OFlags;

use super::archive::{File, MAX_BYTES, MAX_FILES};
use super::lists::Lists;
use crate::terminal::say;

/// Directories in directories that are followed.
const MAX_DEPTH: usize = 8;
/// How long a daemon may keep a database to itself, in milliseconds.
const PATIENCE_MS: u32 = 10_000;

/// All files that the lists name and that exist, in the order of their paths.
///
/// # Errors
/// [`Kind::NotAllowed`] or [`Kind::Failed`] naming the file.
pub(crate) fn gather(root: &Root, lists: &Lists) -> Result<Vec<File>, Error> {
    let mut found = Found {
        root,
        files: Vec::new(),
        bytes: 0,
    };
    for line in lists.lines() {
        match line.strip_suffix('/') {
            Some(directory) => found.tree(directory, MAX_DEPTH)?,
            None => found.file(line)?,
        }
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.files.dedup_by(|a, b| a.path == b.path);
    Ok(found.files)
}

struct Found<'a> {
    root: &'a Root,
    files: Vec<File>,
    bytes: usize,
}

impl Found<'_> {
    fn tree(&mut self, directory: &str, depth: usize) -> Result<(), Error> {
        let entries = match fs::read_dir(self.root.join(directory)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(unreadable(directory, &e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| unreadable(directory, &e))?;
            let Ok(name) = entry.file_name().into_string() else {
                say(&format!(
                    "left out, as its name is no text: {}",
                    entry.path().display()
                ));
                continue;
            };
            let path = format!("{directory}/{name}");
            let kind = entry.file_type().map_err(|e| unreadable(&path, &e))?;
            if kind.is_dir() && depth > 0 {
                self.tree(&path, depth - 1)?;
            } else {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<(), Error> {
        let place = self.root.join(path);
        match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => {
                say(&format!("left out, as it is not a plain file: {path}"));
                return Ok(());
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(unreadable(path, &e)),
        }
        let file = read(path, &place)?;
        self.bytes += file.content.len();
        if self.bytes > MAX_BYTES || self.files.len() >= MAX_FILES {
            let message = format!("too much to keep: over {MAX_FILES} files or {MAX_BYTES} bytes");
            return Err(Error::failed(message));
        }
        self.files.push(file);
        Ok(())
    }
}

fn unreadable(path: &str, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Kind::NotAllowed,
        _ => Kind::Failed,
    };
    let said = Error::new(kind, format!("cannot read {path}: {error}"));
    match kind {
        Kind::NotAllowed => said.hint("only root can read the key of the box: sudo guifi-backup"),
        _ => said,
    }
}

fn read(path: &str, place: &Path) -> Result<File, Error> {
    let failed = |e: std::io::Error| unreadable(path, &e);
    // Not through a link that has been put there meanwhile, and not waiting for a pipe.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let handle: Handle = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(place)
        .map_err(failed)?;
    let metadata = handle.metadata().map_err(failed)?;
    let mut content = Vec::new();
    handle
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(failed)?;
    let nameless = |what: &str, id: u32| Error::failed(format!("the {what} {id} has no name"));
    let user = User::from_uid(Uid::from_raw(metadata.uid())).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(metadata.gid()))
        .ok()
        .flatten();
    let mut file = File {
        path: path.to_owned(),
        mode: metadata.mode() & 0o777,
        user: user
            .ok_or_else(|| nameless("owner", metadata.uid()).context(path))?
            .name,
        group: group
            .ok_or_else(|| nameless("group", metadata.gid()).context(path))?
            .name,
        modified: u64::try_from(metadata.mtime()).unwrap_or_default(),
        content,
    };
    if file.is_database() {
        file.content = snapshot(place).map_err(|e| e.context(format!("cannot copy {path}")))?;
    }
    Ok(file)
}

/// A copy of a database as of one instant, while others write to it.
fn snapshot(place: &Path) -> Result<Vec<u8>, Error> {
    let directory = tempfile::tempdir().map_err(|e| Error::failed(e.to_string()))?;
    let copy = directory.path().join("copy");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let copied = Connection::open_with_flags(place, flags).and_then(|connection| {
        // Not busy_timeout, which asks for a newer SQLite than Debian 12 has.
        connection.pragma_update(None, "busy_timeout", PATIENCE_MS)?;
        let to = copy.to_string_lossy();
        connection.execute("VACUUM INTO ?1", [to.as_ref()])
    });
    copied.map_err(|e| Error::failed(e.to_string()))?;
    fs::read(&copy).map_err(|e| Error::failed(e.to_string()))
}
