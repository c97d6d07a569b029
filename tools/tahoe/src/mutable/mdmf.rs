//! Mutable files of many segments, read segment by segment. Nothing here writes them.

mod header;

use std::ops::Range;

use header::Header;

use super::{PublicKey, Version, data_key};
use crate::cap::{Format, Read, Verifier};
use crate::erasure::Code;
use crate::hash::{Hash, tagged};
use crate::merkle::{Partial, chain, leaf_node, nodes_over};
use crate::{Encoding, Error, ShareNumber, aes};

/// Length of what a write is tested against: the beginning of a share, in bytes.
pub const CHECKSTRING: usize = 41;
/// How much of a share has all but its blocks and their hashes, in bytes.
pub const FIRST_READ: u64 = 4000;
/// Length of the salt before each block, in bytes.
const SALT: u64 = 16;

/// A share whose signature was verified.
///
/// ```text
/// let mut share = Share::new(&cap, number, &read(0..FIRST_READ))?;
/// share.take_hashes(&read(share.hashes()))?;
/// let block = read(share.block(segment));
/// share.check_block(segment, &block)?;          // k such blocks go into `decode`
/// ```
#[derive(Clone, Debug)]
pub struct Share {
    number: ShareNumber,
    header: Header,
    chain: Vec<(usize, Hash)>,
    encrypted_key: Vec<u8>,
    hashes: Option<Partial>,
}

impl Share {
    /// A share by its first bytes, which reach as far as the blocks.
    ///
    /// # Errors
    /// If they are too few, malformed, corrupt, or of another file or number.
    pub fn new(cap: &Verifier, number: ShareNumber, head: &[u8]) -> Result<Self, Error> {
        if cap.format != Format::Mdmf {
            return Err(Error::Misuse("the file is not MDMF"));
        }
        let header = Header::parse(head)?;
        if usize::from(number) >= header.encoding.total() {
            return Err(Error::Corrupt("share number"));
        }
        let part = |range: &Range<usize>| {
            let part = head.get(range.clone());
            part.ok_or(Error::Corrupt("share: it is too short"))
        };
        let key = PublicKey::from_der(part(&header.public_key)?, &cap.fingerprint)?;
        key.verify(part(&(0..header::SIGNED))?, part(&header.signature)?)?;
        let chain = chain::read(part(&header.chain)?);
        Ok(Self {
            number,
            chain: chain.ok_or(Error::Corrupt("share chain"))?,
            encrypted_key: part(&header.encrypted_key)?.to_vec(),
            header,
            hashes: None,
        })
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
    pub fn length(&self) -> u64 {
        self.header.length
    }

    /// Length of each segment but the last, with its padding, in bytes.
    #[must_use]
    pub fn segment_size(&self) -> u64 {
        self.header.segment_size
    }

    /// Number of segments; 0 if the file is empty.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.header.segments()
    }

    /// The private key, encrypted. No signature covers it.
    #[must_use]
    pub fn encrypted_key(&self) -> &[u8] {
        &self.encrypted_key
    }

    /// Where the hashes of the blocks are.
    #[must_use]
    pub fn hashes(&self) -> Range<u64> {
        let length = 32 * nodes_over(self.header.leaves()) as u64;
        self.header.hashes..self.header.hashes.saturating_add(length)
    }

    /// Takes the hashes of the blocks.
    ///
    /// # Errors
    /// If they are not those that were signed.
    pub fn take_hashes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let wrong = Error::Corrupt("block hashes");
        let (hashes, rest) = bytes.as_chunks::<32>();
        let leaves = self.header.leaves();
        let root = *hashes.first().ok_or(wrong.clone())?;
        if !rest.is_empty() || hashes.len() != nodes_over(leaves) {
            return Err(wrong);
        }
        let total = self.header.encoding.total();
        let mut chain = self.chain.clone();
        chain.push((leaf_node(total, self.number.into()), root));
        Partial::new(total, self.header.version.root).add(&chain)?;
        let mut tree = Partial::new(leaves, root);
        let nodes: Vec<(usize, Hash)> = hashes.iter().copied().enumerate().collect();
        tree.add(&nodes)?;
        self.hashes = Some(tree);
        Ok(())
    }

    /// Where the block of a segment is, with its salt.
    #[must_use]
    pub fn block(&self, segment: u64) -> Range<u64> {
        let needed = self.header.encoding.needed() as u64;
        let stride = (self.header.segment_size / needed).saturating_add(SALT);
        let begin = segment
            .saturating_mul(stride)
            .saturating_add(self.header.data);
        let length = self.header.contents(segment).div_ceil(needed) + SALT;
        begin..begin.saturating_add(length)
    }

    /// Checks the block of a segment, with its salt.
    ///
    /// # Errors
    /// If it is not what was signed, or the hashes were not taken.
    pub fn check_block(&self, segment: u64, block: &[u8]) -> Result<(), Error> {
        let missing = Error::Misuse("the block hashes are taken first");
        let leaf = usize::try_from(segment).unwrap_or(usize::MAX);
        if segment >= self.segments() {
            return Err(Error::Misuse("the file has no such segment"));
        }
        let tree = self.hashes.as_ref().ok_or(missing)?;
        let hash = tagged(b"allmydata_encoded_subshare_v1", block);
        if tree.leaf(leaf) == Some(&hash) {
            Ok(())
        } else {
            Err(Error::Corrupt("block"))
        }
    }
}

/// Brings back a segment from k or more shares of one version and their blocks, which they have
/// checked.
///
/// # Errors
/// If there are too few, they are of different versions, or not of this segment.
pub fn decode(cap: &Read, segment: u64, blocks: &[(&Share, &[u8])]) -> Result<Vec<u8>, Error> {
    let (first, block) = blocks.first().ok_or(Error::TooFew { have: 0, need: 1 })?;
    let header = &first.header;
    let salt: [u8; 16] = *block.first_chunk().ok_or(Error::Corrupt("block"))?;
    let mut bare = Vec::with_capacity(blocks.len());
    for (share, block) in blocks {
        if share.header.version != header.version {
            return Err(Error::Misuse("shares of different versions"));
        }
        let block = block.strip_prefix(&salt).ok_or(Error::Corrupt("salt"))?;
        bare.push((share.number, block));
    }
    let contents = usize::try_from(header.contents(segment)).unwrap_or(usize::MAX);
    let needed = header.encoding.needed();
    let mut data = vec![0; contents.div_ceil(needed) * needed];
    Code::new(header.encoding).decode(&bare, &mut data)?;
    data.truncate(contents);
    aes::apply(&data_key(&cap.readkey, &salt), &mut data);
    Ok(data)
}
