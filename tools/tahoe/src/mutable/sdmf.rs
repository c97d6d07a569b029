//! Mutable files of one segment.

use super::KeyPair;
use crate::cap::{Read, Verifier};
use crate::hash::Hash;
use crate::{Encoding, Error, ShareNumber};

/// Length of what a write is tested against: the beginning of a share, in bytes.
pub const CHECKSTRING: usize = 57;
/// Longest contents that are read or written, in bytes.
pub const MAX_LENGTH: usize = 64 << 20;
/// How much of a share is worth reading first, in bytes: all of a small one.
pub const FIRST_READ: u64 = 4000;

/// Identity of a version. The newest has the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Sequence number, from 1.
    pub sequence: u64,
    /// Root of the hash tree over the shares.
    pub root: Hash,
}

/// A share whose bytes are all there; verified from [`Share::verify`] on.
#[derive(Clone, Debug)]
pub struct Share {
    version: Version,
    encoding: Encoding,
}

/// How long the share is that begins with these bytes; `None` if they are too few to tell.
///
/// # Errors
/// If it is no SDMF share.
pub fn share_length(head: &[u8]) -> Result<Option<u64>, Error> {
    todo!()
}

impl Share {
    /// Reads a share and checks all of it: key, signature, hashes. `number` is that under which
    /// the server holds it.
    ///
    /// # Errors
    /// If it is malformed, corrupt, or of another file or number.
    pub fn verify(cap: &Verifier, number: ShareNumber, bytes: &[u8]) -> Result<Self, Error> {
        todo!()
    }

    /// Which version it is of.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// How many shares there are.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What a write over it is tested against: its first [`CHECKSTRING`] bytes.
    #[must_use]
    pub fn checkstring(&self) -> &[u8] {
        todo!()
    }

    /// The private key, encrypted.
    #[must_use]
    pub fn encrypted_key(&self) -> &[u8] {
        todo!()
    }
}

/// Brings back the contents from k or more shares of one version.
///
/// # Errors
/// If there are too few, or they are of different versions.
pub fn decode(cap: &Read, shares: &[Share]) -> Result<Vec<u8>, Error> {
    todo!()
}

/// The shares, by number, of a new version.
///
/// # Errors
/// If the contents are longer than [`MAX_LENGTH`] or the library for RSA refuses.
pub fn encode(
    key: &KeyPair,
    encoding: Encoding,
    sequence: u64,
    contents: &[u8],
) -> Result<Vec<Vec<u8>>, Error> {
    todo!()
}

/// All shares of a version again, from k or more of them, without any right to write.
///
/// # Errors
/// If there are too few, or they are of different versions.
pub fn repair(cap: &Verifier, shares: &[Share]) -> Result<Vec<Vec<u8>>, Error> {
    todo!()
}
