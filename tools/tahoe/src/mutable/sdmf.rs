//! Mutable files of one segment.

mod header;
mod publish;

use std::collections::BTreeMap;
use std::ops::Range;

use header::Header;
pub use publish::{encode, repair};

pub use super::Version;
use super::{PublicKey, data_key};
use crate::cap::{Format, Read, Verifier};
use crate::erasure::Code;
use crate::hash::tagged;
use crate::merkle::{Partial, Tree, chain, leaf_node};
use crate::{Encoding, Error, ShareNumber, aes};

/// Length of what a write is tested against: the beginning of a share, in bytes.
pub const CHECKSTRING: usize = 57;
/// Longest contents that are read or written, in bytes.
pub const MAX_LENGTH: usize = 32 << 20;
/// How much of a share is worth reading first, in bytes: all of a small one.
pub const FIRST_READ: u64 = 4000;

/// A share that was verified.
#[derive(Clone, Debug)]
pub struct Share {
    number: ShareNumber,
    header: Header,
    bytes: Vec<u8>,
}

/// How long the share is that begins with these bytes; `None` if they are too few to tell. What
/// a server gives behind that is left from longer versions.
///
/// # Errors
/// If it is no SDMF share.
pub fn share_length(head: &[u8]) -> Result<Option<u64>, Error> {
    match head.first() {
        Some(0) if head.len() >= header::LENGTH => Ok(Some(Header::parse(head)?.end())),
        Some(0) | None => Ok(None),
        Some(_) => Err(Error::Malformed("share", "not SDMF")),
    }
}

/// Which version a share says to be of, before it is verified.
///
/// # Errors
/// If it is no SDMF share.
pub fn claimed_version(head: &[u8]) -> Result<Version, Error> {
    Ok(Header::parse(head)?.version)
}

impl Share {
    /// Reads a share and checks all of it but the encrypted key ([`super::KeyPair::decrypt`]
    /// does): public key, signature, hashes. `number` is that under which the server holds it.
    ///
    /// # Errors
    /// If it is malformed, corrupt, or of another file or number.
    pub fn verify(cap: &Verifier, number: ShareNumber, bytes: &[u8]) -> Result<Self, Error> {
        if cap.format != Format::Sdmf {
            return Err(Error::Misuse("the file is not SDMF"));
        }
        let header = Header::parse(bytes)?;
        let share = Self {
            number,
            bytes: bytes.to_vec(),
            header,
        };
        let header = &share.header;
        let end = usize::try_from(header.end()).unwrap_or(usize::MAX);
        if bytes.len() < end {
            return Err(Error::Corrupt("share: it is too short"));
        }
        if usize::from(number) >= header.encoding.total() {
            return Err(Error::Corrupt("share number"));
        }
        let key = PublicKey::from_der(share.part(&header.public_key), &cap.fingerprint)?;
        key.verify(share.part(&(0..header::SIGNED)), share.signature())?;
        share.check_hashes()?;
        Ok(share)
    }

    /// Checks the block against the root that was signed.
    fn check_hashes(&self) -> Result<(), Error> {
        let leaf = block_tree(self.block()).root();
        if self.part(&self.header.block_tree) != leaf {
            return Err(Error::Corrupt("block"));
        }
        let nodes = chain::read(self.part(&self.header.chain));
        let mut nodes = nodes.ok_or(Error::Corrupt("share chain"))?;
        let total = self.header.encoding.total();
        nodes.push((leaf_node(total, self.number.into()), leaf));
        Partial::new(total, self.header.version.root).add(&nodes)
    }

    /// The number under which the server holds it.
    #[must_use]
    pub fn number(&self) -> ShareNumber {
        self.number
    }

    /// Which version it is of.
    #[must_use]
    pub fn version(&self) -> Version {
        self.header.version
    }

    /// How many shares there are.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.header.encoding
    }

    /// Length of the contents, in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.header.length
    }

    /// What a write over it is tested against: its first [`CHECKSTRING`] bytes.
    #[must_use]
    pub fn checkstring(&self) -> &[u8] {
        self.part(&(0..CHECKSTRING))
    }

    /// The private key, encrypted. No signature covers it.
    #[must_use]
    pub fn encrypted_key(&self) -> &[u8] {
        self.part(&self.header.encrypted_key)
    }

    fn signature(&self) -> &[u8] {
        self.part(&self.header.signature)
    }

    fn block(&self) -> &[u8] {
        self.part(&self.header.block)
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

/// Brings back the contents from k or more shares of one version.
///
/// # Errors
/// If there are too few, or they are of different versions.
pub fn decode(cap: &Read, shares: &[Share]) -> Result<Vec<u8>, Error> {
    let (first, mut data) = ciphertext(shares)?;
    data.truncate(first.header.length);
    aes::apply(&data_key(&cap.readkey, &first.header.salt), &mut data);
    Ok(data)
}

/// The padded ciphertext, and a share of its version.
fn ciphertext(shares: &[Share]) -> Result<(&Share, Vec<u8>), Error> {
    let first = shares.first().ok_or(Error::TooFew { have: 0, need: 1 })?;
    let header = &first.header;
    if shares
        .iter()
        .any(|share| share.header.signed() != header.signed())
    {
        return Err(Error::Misuse("shares of different versions"));
    }
    let blocks: Vec<_> = shares.iter().map(|s| (s.number, s.block())).collect();
    let mut data = vec![0; header.block.len() * header.encoding.needed()];
    Code::new(header.encoding).decode(&blocks, &mut data)?;
    Ok((first, data))
}

/// The tree over the one block; over none if the file is empty.
fn block_tree(block: &[u8]) -> Tree {
    if block.is_empty() {
        return Tree::new(&[]);
    }
    Tree::new(&[tagged(b"allmydata_encoded_subshare_v1", block)])
}

/// What most shares have as encrypted key: no signature covers it, so one may be corrupt.
fn common_key(shares: &[Share]) -> &[u8] {
    let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
    for share in shares {
        *counts.entry(share.encrypted_key()).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or(&[], |(key, _)| key)
}
