//! Where the parts of a share are.

use std::ops::Range;

use super::Parameters;
use crate::Error;

/// Offsets of a share, from its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    block_size: u64,
}

impl Layout {
    /// The layout of the shares that we write: version 1 while all offsets fit 32 bits.
    ///
    /// # Errors
    /// If the share is longer than 2^63 bytes.
    pub fn new(parameters: &Parameters) -> Result<Self, Error> {
        todo!()
    }

    /// Reads the first 36 (version 1) or 68 (version 2) bytes of a share.
    ///
    /// # Errors
    /// If they are too few, or no header.
    pub fn parse(header: &[u8]) -> Result<Self, Error> {
        todo!()
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        todo!()
    }

    /// Length of a share as we write it, in bytes: what is allocated at a server.
    #[must_use]
    pub fn share_size(&self) -> u64 {
        todo!()
    }

    /// Where the blocks begin, in bytes from the beginning of the share.
    #[must_use]
    pub fn data(&self) -> u64 {
        todo!()
    }

    /// Where the block of a segment is.
    #[must_use]
    pub fn block(&self, parameters: &Parameters, segment: u64) -> Range<u64> {
        todo!()
    }
}
