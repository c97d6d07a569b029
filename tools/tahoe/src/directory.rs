//! Directories: names with capabilities and metadata, as the contents of a file.
//! Sources: `docs/specifications/dirnodes.rst`, `src/allmydata/dirnode.py`, `unknown.py`.

mod netstring;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::cap::Cap;
use crate::{Error, Key};
use netstring::take;

/// Most entries that are read or written.
pub const MAX_ENTRIES: usize = 1 << 20;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 4096;
/// Longest metadata of an entry, in bytes.
pub const MAX_METADATA: usize = 64 << 10;

/// What a directory has under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What writes it; `None` if it is immutable, may not be written, or the directory was read
    /// without its write key.
    pub write: Option<Cap>,
    /// What reads it. A cap of a known kind has no right to write; one of an unknown kind is
    /// marked `ro.` or `imm.`.
    pub read: Option<Cap>,
    /// A JSON object, as text: kept as it is.
    pub metadata: String,
}

impl Entry {
    /// The entry for a cap. `metadata` is a JSON object.
    ///
    /// # Errors
    /// If the cap is of an unknown kind and not marked as one that does not write.
    pub fn new(cap: Cap, metadata: String) -> Result<Self, Error> {
        let unmarked = match &cap {
            Cap::Unknown(text) => !text.starts_with("ro.") && !text.starts_with("imm."),
            _ => false,
        };
        if unmarked {
            return Err(Error::Cap("nobody knows what it allows"));
        }
        let may_write = cap.object().is_some_and(crate::cap::Object::may_write);
        let read = cap.to_readonly().unwrap_or_else(|| cap.clone());
        Ok(Self {
            write: may_write.then_some(cap),
            read: Some(read),
            metadata,
        })
    }

    /// What allows most.
    #[must_use]
    pub fn cap(&self) -> Option<&Cap> {
        self.write.as_ref().or(self.read.as_ref())
    }

    fn may_change(&self) -> bool {
        let immutable = |cap: &Cap| match cap {
            Cap::Unknown(text) => text.starts_with("imm."),
            known => known.object().is_some_and(|object| !object.is_mutable()),
        };
        self.write.is_some() || !self.read.as_ref().is_some_and(immutable)
    }
}

/// How a directory is kept, and what is known of it.
#[derive(Clone, Copy)]
pub enum Access<'a> {
    /// Mutable, with its write key.
    Write(&'a Key),
    /// Mutable, without.
    Read,
    /// Immutable, and so are all its entries.
    Immutable,
}

/// Entries by name (Unicode, NFC), in order.
pub type Entries = BTreeMap<String, Entry>;

/// The form in which a name is kept: NFC.
#[must_use]
pub fn normalize(name: &str) -> String {
    let normalizer = const { ComposingNormalizerBorrowed::new_nfc() };
    normalizer.normalize(name).into_owned()
}

/// The entries in the contents of a directory's file. Children of an immutable directory that
/// could change are left out. A cap that is no cap stays as one of an unknown kind.
///
/// # Errors
/// If it is malformed or beyond the limits.
pub fn unpack(contents: &[u8], access: Access<'_>) -> Result<Entries, Error> {
    let mut entries = Entries::new();
    let mut rest = contents;
    while !rest.is_empty() {
        if entries.len() == MAX_ENTRIES {
            return Err(malformed("more than 1048576 entries"));
        }
        let (name, entry) = unpack_entry(take(&mut rest)?, access)?;
        if !matches!(access, Access::Immutable) || !entry.may_change() {
            entries.insert(name, entry);
        }
    }
    Ok(entries)
}

fn unpack_entry(mut fields: &[u8], access: Access<'_>) -> Result<(String, Entry), Error> {
    let name = text(take(&mut fields)?)?;
    let read = text(take(&mut fields)?)?.trim_end_matches(' ');
    let write = take(&mut fields)?;
    let metadata = text(take(&mut fields)?)?;
    if name.len() > MAX_NAME || metadata.len() > MAX_METADATA {
        return Err(malformed("a name or metadata is too long"));
    }
    let write = match access {
        Access::Write(key) => slot::decrypt(key, write)?,
        Access::Read => None,
        Access::Immutable if write.is_empty() => None,
        Access::Immutable => return Err(malformed("an immutable one has write caps")),
    };
    let entry = Entry {
        write,
        read: slot::read(read, matches!(access, Access::Immutable)),
        metadata: metadata.to_owned(),
    };
    Ok((normalize(name), entry))
}

/// The contents of a directory's file.
///
/// # Errors
/// If a name, metadata or number of entries is beyond the limits, an immutable directory has an
/// entry that could change, or the write key of a mutable one is missing.
pub fn pack(entries: &Entries, access: Access<'_>) -> Result<Vec<u8>, Error> {
    if entries.len() > MAX_ENTRIES {
        return Err(Error::Parameters("a directory has at most 1048576 entries"));
    }
    // Names are normalized first: what order they are in may depend on it.
    let mut normal = BTreeMap::new();
    for (name, entry) in entries {
        normal.insert(normalize(name), entry);
    }
    let mut contents = Vec::new();
    let mut packed = Vec::new();
    for (name, entry) in normal {
        packed.clear();
        pack_entry(&mut packed, &name, entry, access)?;
        netstring::put(&mut contents, &packed);
    }
    Ok(contents)
}

fn pack_entry(
    out: &mut Vec<u8>,
    name: &str,
    entry: &Entry,
    access: Access<'_>,
) -> Result<(), Error> {
    let metadata = entry.metadata.trim();
    if name.len() > MAX_NAME || metadata.len() > MAX_METADATA {
        return Err(Error::Parameters("a name or metadata is too long"));
    }
    if !metadata.starts_with('{') || !metadata.ends_with('}') {
        return Err(Error::Parameters("metadata is a JSON object"));
    }
    let immutable = matches!(access, Access::Immutable);
    let write = match access {
        Access::Write(key) => slot::encrypt(key, entry.write.as_ref()),
        Access::Read => return Err(Error::Misuse("who may only read does not pack")),
        Access::Immutable if entry.may_change() => {
            return Err(Error::Parameters(
                "an immutable directory has no children that change",
            ));
        }
        Access::Immutable => Vec::new(),
    };
    netstring::put(out, name.as_bytes());
    netstring::put(out, slot::unmarked(entry, immutable).as_bytes());
    netstring::put(out, &write);
    netstring::put(out, entry.metadata.as_bytes());
    Ok(())
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| malformed("a text is not UTF-8"))
}

fn malformed(why: &'static str) -> Error {
    Error::Malformed("directory", why)
}
