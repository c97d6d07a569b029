//! Where the parts of a share are.

use std::ops::Range;

use super::Parameters;
use crate::Error;
use crate::merkle::{self, chain};

/// Length of a hash in a tree, in bytes.
pub(super) const HASH: u64 = 32;
/// Bytes of the version number.
const VERSION: usize = 4;
/// Numbers that follow it.
const FIELDS: usize = 8;

/// How wide the numbers of a share are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    /// Version 1: 32 bits.
    Four,
    /// Version 2: 64 bits.
    Eight,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    fn header(self) -> usize {
        VERSION + FIELDS * self.bytes()
    }
}

/// Offsets of a share, in bytes from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    width: Width,
    block_size: u64,
    data_size: u64,
    data: u64,
    plaintext_hashes: u64,
    ciphertext_hashes: u64,
    block_hashes: u64,
    chain: u64,
    ueb: u64,
}

impl Layout {
    /// The layout of shares that we write: version 1 while all offsets fit 32 bits.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let four = Self::of_width(parameters, Width::Four);
        if four.ueb <= u64::from(u32::MAX) {
            return four;
        }
        Self::of_width(parameters, Width::Eight)
    }

    /// The same in version 2, which we write for long shares only.
    #[must_use]
    pub fn version2(parameters: &Parameters) -> Self {
        Self::of_width(parameters, Width::Eight)
    }

    fn of_width(parameters: &Parameters, width: Width) -> Self {
        let encoding = parameters.encoding();
        let tree = HASH * merkle::nodes_over(parameters.leaves()) as u64;
        let links = merkle::needed(encoding.total(), 0).len() as u64 + 1;
        let data = width.header() as u64;
        let plaintext_hashes = data + parameters.share_data();
        let ciphertext_hashes = plaintext_hashes + tree;
        let block_hashes = ciphertext_hashes + tree;
        let chain_begin = block_hashes + tree;
        Self {
            width,
            block_size: parameters.segment_size() / encoding.needed() as u64,
            data_size: parameters.share_data(),
            data,
            plaintext_hashes,
            ciphertext_hashes,
            block_hashes,
            chain: chain_begin,
            ueb: chain_begin + links * chain::LINK as u64,
        }
    }

    /// Reads the first 36 (version 1) or 68 (version 2) bytes of a share.
    ///
    /// # Errors
    /// If they are too few, or no header.
    pub fn parse(header: &[u8]) -> Result<Self, Error> {
        let (version, rest) = header.split_first_chunk().ok_or(malformed("cut"))?;
        let width = match u32::from_be_bytes(*version) {
            1 => Width::Four,
            2 => Width::Eight,
            _ => return Err(malformed("neither version 1 nor 2")),
        };
        let numbers: Vec<u64> = rest
            .chunks_exact(width.bytes())
            .take(FIELDS)
            .map(|bytes| bytes.iter().fold(0, |sum, &b| sum << 8 | u64::from(b)))
            .collect();
        let Ok([block_size, data_size, offsets @ ..]) = <[u64; FIELDS]>::try_from(numbers) else {
            return Err(malformed("cut"));
        };
        let [
            data,
            plaintext_hashes,
            ciphertext_hashes,
            block_hashes,
            chain,
            ueb,
        ] = offsets;
        let layout = Self {
            width,
            block_size,
            data_size,
            data,
            plaintext_hashes,
            ciphertext_hashes,
            block_hashes,
            chain,
            ueb,
        };
        if data != width.header() as u64 || !offsets.is_sorted() || ueb > i64::MAX as u64 {
            return Err(malformed("its parts overlap"));
        }
        Ok(layout)
    }

    /// Checks that a share of this layout can be one of a file cut like this.
    ///
    /// # Errors
    /// If a part has not the length that it must have.
    pub fn check(&self, parameters: &Parameters) -> Result<(), Error> {
        let ours = Self::of_width(parameters, self.width);
        // Old programs stored hashes of the plaintext, or none: what is there is not looked at.
        let shifted = self.ciphertext_hashes.checked_sub(ours.ciphertext_hashes);
        let shift = match shifted {
            Some(shift) => shift.cast_signed(),
            None => -(ours.ciphertext_hashes - self.ciphertext_hashes).cast_signed(),
        };
        let moved = |offset: u64| offset.checked_add_signed(shift);
        if self.block_size == ours.block_size
            && self.data_size == ours.data_size
            && self.plaintext_hashes == ours.plaintext_hashes
            && moved(ours.block_hashes) == Some(self.block_hashes)
            && moved(ours.chain) == Some(self.chain)
            && moved(ours.ueb) == Some(self.ueb)
        {
            Ok(())
        } else {
            Err(Error::Corrupt("share header"))
        }
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let version: u32 = match self.width {
            Width::Four => 1,
            Width::Eight => 2,
        };
        let mut header = version.to_be_bytes().to_vec();
        for number in [
            self.block_size,
            self.data_size,
            self.data,
            self.plaintext_hashes,
            self.ciphertext_hashes,
            self.block_hashes,
            self.chain,
            self.ueb,
        ] {
            let bytes = number.to_be_bytes();
            header.extend_from_slice(bytes.get(8 - self.width.bytes()..).unwrap_or(&bytes));
        }
        header
    }

    /// Length of a share with a UEB of this length, in bytes: what is allocated at a server.
    #[must_use]
    pub fn share_size(&self, ueb_length: usize) -> u64 {
        self.ueb + (self.width.bytes() + ueb_length) as u64
    }

    /// Where the blocks begin: after the header.
    #[must_use]
    pub fn data(&self) -> u64 {
        self.data
    }

    /// Where the block of a segment is.
    #[must_use]
    pub fn block(&self, parameters: &Parameters, segment: u64) -> Range<u64> {
        let begin = self
            .data
            .saturating_add(segment.saturating_mul(self.block_size));
        begin..begin.saturating_add(parameters.block(segment) as u64)
    }

    /// Length of each block but the last, in bytes.
    #[must_use]
    pub fn block_size(&self) -> u64 {
        self.block_size
    }

    /// Length of the field that has the UEB's length, in bytes.
    pub(super) fn length_field(&self) -> usize {
        self.width.bytes()
    }

    /// Length of the tree that nobody uses any more, in bytes.
    pub(super) fn plaintext_tree(&self) -> u64 {
        self.ciphertext_hashes - self.plaintext_hashes
    }

    /// Where nodes of the ciphertext's hash tree are.
    pub(super) fn ciphertext_hashes(&self, nodes: Range<u64>) -> Range<u64> {
        self.ciphertext_hashes + nodes.start * HASH..self.ciphertext_hashes + nodes.end * HASH
    }

    /// Where nodes of the share's block hash tree are.
    pub(super) fn block_hashes(&self, nodes: Range<u64>) -> Range<u64> {
        self.block_hashes + nodes.start * HASH..self.block_hashes + nodes.end * HASH
    }

    /// Where the share chain is.
    pub(super) fn chain(&self) -> Range<u64> {
        self.chain..self.ueb
    }

    /// Where the UEB may be, with its length.
    pub(super) fn ueb(&self) -> Range<u64> {
        self.ueb..self.ueb + (self.length_field() + super::MAX_UEB) as u64
    }
}

fn malformed(why: &'static str) -> Error {
    Error::Malformed("share header", why)
}
