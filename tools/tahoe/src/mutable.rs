//! Mutable files: signed by an RSA key whose hash is in the cap. "SDMF", one segment, is read and
//! written; "MDMF", many segments, is read.
//! Sources: `docs/specifications/mutable.rst`; `src/allmydata/mutable/layout.py`, `publish.py`,
//! `servermap.py`, `retrieve.py`.

mod keys;
pub mod mdmf;
pub mod sdmf;
#[cfg(test)]
mod tests;

pub use keys::{KeyPair, PublicKey};

use crate::Key;
use crate::hash::{Hash, first16, pair};

/// Identity of a version. The newest has the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Sequence number, from 1.
    pub sequence: u64,
    /// Root of the hash tree over the shares.
    pub root: Hash,
}

/// The key that a version (MDMF: a segment) is encrypted with.
fn data_key(readkey: &Key, salt: &[u8; 16]) -> Key {
    let tag = b"allmydata_mutable_readkey_to_datakey_v1";
    first16(&pair(tag, salt, readkey))
}

/// Takes the first bytes of what is left of a header.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}
