//! The "URI extension block": what is known of a file whose cap has its hash.

use super::Parameters;
use crate::Error;
use crate::hash::Hash;

/// Longest one that is read, in bytes.
pub const MAX_UEB: usize = 2000;

/// What is needed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ueb {
    /// How the file is cut.
    pub parameters: Parameters,
    /// Hash of the whole ciphertext; old files may lack it.
    pub ciphertext_hash: Option<Hash>,
    /// Root of the hash tree over the segments' ciphertext.
    pub ciphertext_root: Hash,
    /// Root of the hash tree over the roots of the shares' block trees.
    pub share_root: Hash,
}

impl Ueb {
    /// Reads one.
    ///
    /// # Errors
    /// If it is too long, malformed, or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        todo!()
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// The hash of a UEB's bytes, as in the cap.
    #[must_use]
    pub fn hash(bytes: &[u8]) -> Hash {
        todo!()
    }
}
