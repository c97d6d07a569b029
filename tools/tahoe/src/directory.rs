//! Directories: names with capabilities and metadata, as the contents of a file.
//! Sources: `docs/specifications/dirnodes.rst`, `src/allmydata/dirnode.py`.

use std::collections::BTreeMap;

use crate::cap::Cap;
use crate::{Error, Key};

/// Most entries that are read or written.
pub const MAX_ENTRIES: usize = 1 << 20;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 4096;
/// Longest metadata of an entry, in bytes.
pub const MAX_METADATA: usize = 64 << 10;

/// What a directory has under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What writes it; `None` if it is immutable, may not be written, or the directory was read without
    /// its write key.
    pub write: Option<Cap>,
    /// What reads it. A cap of a known kind has no right to write.
    pub read: Option<Cap>,
    /// A JSON object, as text: kept as it is.
    pub metadata: String,
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
    todo!()
}

/// The entries in the contents of a directory's file. Children of an immutable directory that
/// could change are left out.
///
/// # Errors
/// If it is malformed or beyond the limits.
pub fn unpack(contents: &[u8], access: Access<'_>) -> Result<Entries, Error> {
    todo!()
}

/// The contents of a directory's file.
///
/// # Errors
/// If a name, metadata or number of entries is beyond the limits, an immutable directory has an
/// entry that could change, or the write key of a mutable one is missing.
pub fn pack(entries: &Entries, access: Access<'_>) -> Result<Vec<u8>, Error> {
    todo!()
}
