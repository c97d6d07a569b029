//! Room for a segment and all its blocks, which is used again for the next segment.

use super::Parameters;
use crate::ShareNumber;

/// The k primary blocks, which are the segment, and the others behind them.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    bytes: Vec<u8>,
    length: usize,
    block: usize,
}

impl Segment {
    /// Makes it fit a segment of a file, and gives the room that its contents are to fill.
    pub fn prepare(&mut self, parameters: &Parameters, segment: u64) -> &mut [u8] {
        todo!()
    }

    /// The contents: plaintext before it is encoded and after it is decoded, else ciphertext.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        todo!()
    }

    /// The block of a share; empty if there is no such share.
    #[must_use]
    pub fn block(&self, share: ShareNumber) -> &[u8] {
        todo!()
    }
}
