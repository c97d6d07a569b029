//! The first 123 bytes of a share.

use std::ops::Range;

use crate::chk::MAX_SEGMENT;
use crate::mutable::{Version, take};
use crate::{Encoding, Error};

/// How much of it is signed, in bytes.
pub(super) const SIGNED: usize = 59;
/// Length, in bytes.
const LENGTH: u64 = 123;
/// Where the blocks begin at the latest, in bytes.
const MAX_HEAD: u64 = 64 << 10;
/// Most segments: no more hashes are read at once than belong to them.
const MAX_SEGMENTS: u64 = 1 << 20;
const CUT: Error = Error::Malformed("mutable share", "cut");

/// What the header says. Ranges and offsets are in bytes from the beginning of the share.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) version: Version,
    pub(super) encoding: Encoding,
    pub(super) segment_size: u64,
    /// Length of the contents.
    pub(super) length: u64,
    pub(super) encrypted_key: Range<usize>,
    pub(super) chain: Range<usize>,
    pub(super) signature: Range<usize>,
    pub(super) public_key: Range<usize>,
    /// Where the blocks begin.
    pub(super) data: u64,
    /// Where the hashes of the blocks begin.
    pub(super) hashes: u64,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        let [1] = take(&mut rest).ok_or(CUT)? else {
            return Err(malformed("not MDMF"));
        };
        let version = Version {
            sequence: u64::from_be_bytes(take(&mut rest).ok_or(CUT)?),
            root: take(&mut rest).ok_or(CUT)?,
        };
        let [needed, total] = take(&mut rest).ok_or(CUT)?;
        let encoding = Encoding::new(needed.into(), total.into())?;
        let mut numbers = [0; 10];
        for number in &mut numbers {
            *number = u64::from_be_bytes(take(&mut rest).ok_or(CUT)?);
        }
        let [segment_size, length, offsets @ ..] = numbers;
        let [key, chain, signature, public, public_end, data, hashes, _] = offsets;
        if key < LENGTH || data > MAX_HEAD || !offsets.is_sorted() {
            return Err(malformed("its parts overlap or are too long"));
        }
        let range = |begin: u64, end: u64| size(begin)..size(end);
        let header = Self {
            version,
            encoding,
            segment_size,
            length,
            encrypted_key: range(key, chain),
            chain: range(chain, signature),
            signature: range(signature, public),
            public_key: range(public, public_end),
            data,
            hashes,
        };
        header.check()
    }

    fn check(self) -> Result<Self, Error> {
        let needed = self.encoding.needed() as u64;
        let most = MAX_SEGMENT.next_multiple_of(needed);
        if !self.segment_size.is_multiple_of(needed) || self.segment_size > most {
            return Err(malformed("segments of more than 16 MiB, or of no multiple"));
        }
        if self.length > 0 && self.segment_size == 0 || self.segments() > MAX_SEGMENTS {
            return Err(malformed("more than 2^20 segments"));
        }
        Ok(self)
    }

    /// Number of segments; 0 if the file is empty.
    pub(super) fn segments(&self) -> u64 {
        self.length.div_ceil(self.segment_size.max(1))
    }

    /// The same number for trees.
    pub(super) fn leaves(&self) -> usize {
        size(self.segments())
    }

    /// Length of what a segment holds, in bytes; 0 if there is none.
    pub(super) fn contents(&self, segment: u64) -> u64 {
        let begin = segment.saturating_mul(self.segment_size);
        self.length.saturating_sub(begin).min(self.segment_size)
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn malformed(why: &'static str) -> Error {
    Error::Malformed("mutable share", why)
}
