//! The content of a backup: a tar archive of plain files, before them a document that says whose
//! it is. What is read is taken for hostile until every entry is known to be harmless.

use std::collections::BTreeSet;
use std::io::{self, Read as _};

use serde::{Deserialize, Serialize};
use tar::{Builder, EntryType, Header};

use super::lists::Lists;

/// Name of the document.
const MANIFEST: &str = "guifi-backup.json";
/// The only form of the content so far.
pub(crate) const FORMAT: u32 = 1;
/// Files of a backup at most.
pub(crate) const MAX_FILES: usize = 10_000;
/// Octets of all files together at most: the most that a registry keeps.
pub(crate) const MAX_BYTES: usize = 512 << 20;

/// Whose backup it is. Unknown members are ignored, so that a later version may add some.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Manifest {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// When, as in RFC 3339.
    pub(crate) created_at: String,
    /// Public key of the box, if its daemons could be asked.
    pub(crate) key: Option<String>,
    /// What the box is called in its community.
    pub(crate) name: Option<String>,
    /// Zone of the box.
    pub(crate) zone: Option<String>,
    /// Name of the community.
    pub(crate) community: Option<String>,
    /// The lines of the lists that it was made by.
    pub(crate) lists: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct File {
    /// Absolute.
    pub(crate) path: String,
    /// Permissions.
    pub(crate) mode: u32,
    /// Name of the owner.
    pub(crate) user: String,
    /// Name of the group.
    pub(crate) group: String,
    /// Seconds since 1970 UTC.
    pub(crate) modified: u64,
    /// All of it.
    pub(crate) content: Vec<u8>,
}

impl File {
    /// Whether it is a database of SQLite, which has files beside it while it is in use.
    pub(crate) fn is_database(&self) -> bool {
        self.content.starts_with(b"SQLite format 3\0")
    }
}

/// Everything that a backup holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Archive {
    pub(crate) manifest: Manifest,
    pub(crate) files: Vec<File>,
}

impl Archive {
    /// As a tar archive.
    ///
    /// # Errors
    /// A name that does not fit into a header.
    pub(crate) fn write(&self) -> io::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        let manifest = serde_json::to_vec_pretty(&self.manifest)?;
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(manifest.len() as u64);
        builder.append_data(&mut header, MANIFEST, &manifest[..])?;
        for file in &self.files {
            let mut header = Header::new_gnu();
            header.set_mode(file.mode);
            header.set_mtime(file.modified);
            header.set_size(file.content.len() as u64);
            header.set_username(&file.user)?;
            header.set_groupname(&file.group)?;
            let path = file.path.trim_start_matches('/');
            builder.append_data(&mut header, path, &file.content[..])?;
        }
        builder.into_inner()
    }

    /// Reads a tar archive. Whatever is in it: only plain files, each once, and each covered by
    /// the lists, if there are any to compare with.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(bytes: &[u8], lists: Option<&Lists>) -> Result<Self, String> {
        let broken = |e: io::Error| format!("the content is no archive: {e}");
        let mut archive = tar::Archive::new(bytes);
        let mut entries = archive.entries().map_err(broken)?;
        let first = entries.next().ok_or("the archive is empty")?;
        let (name, content) = plain(first.map_err(broken)?)?;
        if name != MANIFEST {
            return Err(format!("it does not begin with {MANIFEST}"));
        }
        let manifest: Manifest = serde_json::from_slice(&content.content)
            .map_err(|e| format!("cannot read its {MANIFEST}: {e}"))?;
        if manifest.format != FORMAT {
            let format = manifest.format;
            return Err(format!("it has the format {format} of a later version"));
        }
        let (mut files, mut seen, mut total) = (Vec::new(), BTreeSet::new(), 0);
        for entry in entries {
            let (name, mut file) = plain(entry.map_err(broken)?)?;
            file.path = format!("/{name}");
            if lists.is_some_and(|lists| !lists.cover(&file.path)) {
                return Err(format!(
                    "it has {:?}, which is on the list of no installed package",
                    file.path
                ));
            }
            if !seen.insert(file.path.clone()) {
                return Err(format!("it has {:?} twice", file.path));
            }
            total += file.content.len();
            if total > MAX_BYTES || files.len() >= MAX_FILES {
                return Err("it is larger than any backup".to_owned());
            }
            files.push(file);
        }
        Ok(Self { manifest, files })
    }
}

/// An entry that is a plain file, without its path, which is returned beside it.
fn plain(mut entry: tar::Entry<'_, &[u8]>) -> Result<(String, File), String> {
    let name = String::from_utf8(entry.path_bytes().into_owned())
        .map_err(|_| "it has a name that is no text".to_owned())?;
    let header = entry.header();
    if header.entry_type() != EntryType::Regular {
        return Err(format!("{name:?} is not a plain file"));
    }
    let wrong = |_| format!("the header of {name:?} makes no sense");
    let owner = |text: Result<Option<&str>, std::str::Utf8Error>| {
        text.ok()
            .flatten()
            .map(str::to_owned)
            .filter(|text| !text.is_empty())
    };
    let mut file = File {
        path: String::new(),
        // Permissions, and nothing that runs as somebody else.
        mode: header.mode().map_err(wrong)? & 0o777,
        user: owner(header.username()).unwrap_or_else(|| "root".to_owned()),
        group: owner(header.groupname()).unwrap_or_else(|| "root".to_owned()),
        modified: header.mtime().map_err(wrong)?,
        content: Vec::new(),
    };
    let size = entry.size();
    if size > MAX_BYTES as u64 {
        return Err("it is larger than any backup".to_owned());
    }
    let read = entry
        .read_to_end(&mut file.content)
        .map_err(|e| format!("cannot read {name:?}: {e}"))?;
    if read as u64 != size {
        return Err(format!("the end of {name:?} is missing"));
    }
    Ok((name, file))
}

#[cfg(test)]
mod tests;
