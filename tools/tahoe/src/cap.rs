//! Capability strings: what a file or directory is known by to who may write, read or verify it.
//! Source: `docs/specifications/uri.rst` and `src/allmydata/uri.py`.
//!
//! What is printed is what was parsed, but for hints after MDMF caps and the marks `ro.` and
//! `imm.`, which are checked against what the cap allows and dropped. A cap of a kind that is
//! not known is carried along as it is.

mod debug;
mod parse;
#[cfg(test)]
mod tests;
mod write;

use crate::hash::{Hash, first16, tagged};
use crate::{Encoding, Key, StorageIndex};

/// Longest text that is looked at, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// Longest file that is its own cap, in bytes.
pub const MAX_LITERAL: usize = 55;

/// A capability.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Cap {
    /// Of a file.
    File(Object),
    /// Of a directory, which is kept in a file.
    Directory(Object),
    /// Of a kind that is not known; the text as it came.
    Unknown(String),
}

/// What a file is kept in, and what may be done with it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Object {
    /// The file itself, at most [`MAX_LITERAL`] bytes when made by us.
    Literal(Vec<u8>),
    /// Immutable: may read.
    Chk(Chk),
    /// Immutable: may verify and repair.
    ChkVerifier(ChkVerifier),
    /// Mutable: may write and read.
    Write(Write),
    /// Mutable: may read.
    Read(Read),
    /// Mutable: may verify.
    Verifier(Verifier),
}

/// Read capability of an immutable file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Chk {
    /// Key of the file.
    pub key: Key,
    /// Hash of the UEB.
    pub ueb_hash: Hash,
    /// Number of shares.
    pub encoding: Encoding,
    /// Length of the file, in bytes.
    pub size: u64,
}

/// Verify capability of an immutable file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChkVerifier {
    /// Where its shares are.
    pub storage_index: StorageIndex,
    /// Hash of the UEB.
    pub ueb_hash: Hash,
    /// Number of shares.
    pub encoding: Encoding,
    /// Length of the file, in bytes.
    pub size: u64,
}

/// How a mutable file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One segment, written as a whole.
    Sdmf,
    /// Many segments.
    Mdmf,
}

/// Write capability of a mutable file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Write {
    /// Layout of its shares.
    pub format: Format,
    /// Opens the private key.
    pub writekey: Key,
    /// Hash of the public key.
    pub fingerprint: Hash,
}

/// Read capability of a mutable file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Read {
    /// Layout of its shares.
    pub format: Format,
    /// Opens the contents.
    pub readkey: Key,
    /// Hash of the public key.
    pub fingerprint: Hash,
}

/// Verify capability of a mutable file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verifier {
    /// Layout of its shares.
    pub format: Format,
    /// Where its shares are.
    pub storage_index: StorageIndex,
    /// Hash of the public key.
    pub fingerprint: Hash,
}

impl Chk {
    /// Where its shares are.
    #[must_use]
    pub fn storage_index(&self) -> StorageIndex {
        first16(&tagged(
            b"allmydata_immutable_key_to_storage_index_v1",
            &self.key,
        ))
    }

    /// What verifies but does not read.
    #[must_use]
    pub fn to_verifier(&self) -> ChkVerifier {
        ChkVerifier {
            storage_index: self.storage_index(),
            ueb_hash: self.ueb_hash,
            encoding: self.encoding,
            size: self.size,
        }
    }
}

impl Write {
    /// What reads but does not write.
    #[must_use]
    pub fn to_readonly(&self) -> Read {
        Read {
            format: self.format,
            readkey: first16(&tagged(
                b"allmydata_mutable_writekey_to_readkey_v1",
                &self.writekey,
            )),
            fingerprint: self.fingerprint,
        }
    }
}

impl Read {
    /// Where its shares are.
    #[must_use]
    pub fn storage_index(&self) -> StorageIndex {
        first16(&tagged(
            b"allmydata_mutable_readkey_to_storage_index_v1",
            &self.readkey,
        ))
    }

    /// What verifies but does not read.
    #[must_use]
    pub fn to_verifier(&self) -> Verifier {
        Verifier {
            format: self.format,
            storage_index: self.storage_index(),
            fingerprint: self.fingerprint,
        }
    }
}

impl Object {
    /// The same without the right to write.
    #[must_use]
    pub fn to_readonly(&self) -> Self {
        match self {
            Self::Write(cap) => Self::Read(cap.to_readonly()),
            other => other.clone(),
        }
    }

    /// The same with the right to verify only; `None` for what has no shares.
    #[must_use]
    pub fn to_verifier(&self) -> Option<Self> {
        Some(match self {
            Self::Literal(_) => return None,
            Self::Chk(cap) => Self::ChkVerifier(cap.to_verifier()),
            Self::Write(cap) => Self::Verifier(cap.to_readonly().to_verifier()),
            Self::Read(cap) => Self::Verifier(cap.to_verifier()),
            Self::ChkVerifier(_) | Self::Verifier(_) => self.clone(),
        })
    }

    /// Where the shares are; `None` for what has none.
    #[must_use]
    pub fn storage_index(&self) -> Option<StorageIndex> {
        match self {
            Self::Literal(_) => None,
            Self::Chk(cap) => Some(cap.storage_index()),
            Self::ChkVerifier(cap) => Some(cap.storage_index),
            Self::Write(cap) => Some(cap.to_readonly().storage_index()),
            Self::Read(cap) => Some(cap.storage_index()),
            Self::Verifier(cap) => Some(cap.storage_index),
        }
    }

    /// Whether the contents may change.
    #[must_use]
    pub fn is_mutable(&self) -> bool {
        matches!(self, Self::Write(_) | Self::Read(_) | Self::Verifier(_))
    }

    /// Whether who holds it may write.
    #[must_use]
    pub fn may_write(&self) -> bool {
        matches!(self, Self::Write(_))
    }

    /// Whether who holds it may read.
    #[must_use]
    pub fn may_read(&self) -> bool {
        !matches!(self, Self::ChkVerifier(_) | Self::Verifier(_))
    }
}

impl Cap {
    /// The file it stands for, or that keeps the directory; `None` if its kind is not known.
    #[must_use]
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::File(object) | Self::Directory(object) => Some(object),
            Self::Unknown(_) => None,
        }
    }

    /// The same without the right to write; `None` if that cannot be told.
    #[must_use]
    pub fn to_readonly(&self) -> Option<Self> {
        self.weaker(|object| Some(object.to_readonly()))
    }

    /// The same with the right to verify only; `None` for what has no shares or is not known.
    #[must_use]
    pub fn to_verifier(&self) -> Option<Self> {
        self.weaker(Object::to_verifier)
    }

    /// Where the shares are; `None` for what has none or is not known.
    #[must_use]
    pub fn storage_index(&self) -> Option<StorageIndex> {
        self.object()?.storage_index()
    }

    fn weaker(&self, weaken: impl FnOnce(&Object) -> Option<Object>) -> Option<Self> {
        match self {
            Self::File(object) => weaken(object).map(Self::File),
            Self::Directory(object) => weaken(object).map(Self::Directory),
            Self::Unknown(_) => None,
        }
    }
}
