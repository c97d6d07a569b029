//! Room for a segment and all its blocks, which is used again for the next segment.

use super::Parameters;
use crate::erasure::Code;
use crate::{Error, ShareNumber};

/// The k primary blocks, which are the segment, and the others behind them. One serves for all
/// segments of a file, or of many.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// At least as long as the blocks there are; never made shorter.
    bytes: Vec<u8>,
    number: Option<u64>,
    /// Length of the contents.
    length: usize,
    /// Length of each block.
    block: usize,
    /// How many blocks there are: k, or n once it was encoded.
    blocks: usize,
}

impl Segment {
    /// Room for nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it fit a segment of a file, and gives the room that its contents are to fill.
    pub fn prepare(&mut self, parameters: &Parameters, segment: u64) -> &mut [u8] {
        self.number = Some(segment);
        self.length = parameters.length(segment);
        self.block = parameters.block(segment);
        self.grow(parameters.encoding().needed());
        let padded = self.block * self.blocks;
        if let Some(padding) = self.bytes.get_mut(self.length..padded) {
            padding.fill(0);
        }
        self.contents_mut()
    }

    /// The contents: plaintext before it is encoded and after it is decoded, else ciphertext.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The block of a share; empty if there is none.
    #[must_use]
    pub fn block(&self, share: ShareNumber) -> &[u8] {
        let begin = usize::from(share) * self.block;
        if usize::from(share) >= self.blocks {
            return &[];
        }
        let block = self.bytes.get(begin..begin + self.block);
        block.unwrap_or_default()
    }

    /// Which segment it was prepared for.
    pub(super) fn number(&self) -> Option<u64> {
        self.number
    }

    /// The room for the contents, or the contents.
    pub(super) fn contents_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }

    /// The primary blocks.
    pub(super) fn padded_mut(&mut self) -> &mut [u8] {
        let end = self.block * self.blocks;
        self.bytes.get_mut(..end).unwrap_or_default()
    }

    /// Fills the secondary blocks.
    pub(super) fn encode(&mut self, code: &Code, parameters: &Parameters) -> Result<(), Error> {
        let encoding = parameters.encoding();
        self.grow(encoding.total());
        let end = self.block * self.blocks;
        let blocks = self.bytes.get_mut(..end).unwrap_or_default();
        let (data, secondary) = blocks.split_at_mut(self.block * encoding.needed());
        code.encode(data, secondary)
    }

    fn grow(&mut self, blocks: usize) {
        self.blocks = blocks;
        let length = blocks * self.block;
        if self.bytes.len() < length {
            self.bytes.reserve_exact(length - self.bytes.len());
            self.bytes.resize(length, 0);
        }
    }
}
