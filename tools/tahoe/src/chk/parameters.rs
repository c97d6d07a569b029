//! Numbers of a file, and its key.

use crate::hash::Tagged;
use crate::{Encoding, Error, Key};

/// Largest segment that is written, in bytes, before it is rounded up to a multiple of k.
pub const DEFAULT_SEGMENT: u64 = 1 << 20;
/// Largest segment that is read, in bytes.
pub const MAX_SEGMENT: u64 = 16 << 20;

/// How a file is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    encoding: Encoding,
    size: u64,
    segment_size: u64,
}

impl Parameters {
    /// A file of `size` bytes, in segments of at most `max_segment` bytes rounded up to a
    /// multiple of k.
    ///
    /// # Errors
    /// If the file is empty or the segments are empty or longer than [`MAX_SEGMENT`].
    pub fn new(encoding: Encoding, size: u64, max_segment: u64) -> Result<Self, Error> {
        todo!()
    }

    /// Number of shares.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Length of the file, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Length of a segment with its padding, a multiple of k, in bytes.
    #[must_use]
    pub fn segment_size(&self) -> u64 {
        self.segment_size
    }

    /// Number of segments, at least 1.
    #[must_use]
    pub fn segments(&self) -> u64 {
        todo!()
    }

    /// Length of what a segment holds, without padding, in bytes.
    #[must_use]
    pub fn length(&self, segment: u64) -> usize {
        todo!()
    }

    /// Length of each block of a segment, in bytes.
    #[must_use]
    pub fn block(&self, segment: u64) -> usize {
        todo!()
    }
}

/// The key that everybody with the same secret and parameters derives from the same contents.
pub struct Convergence(Tagged);

impl Convergence {
    /// Begins; `secret` is Tahoe's `private/convergence`, decoded.
    #[must_use]
    pub fn new(secret: &[u8], parameters: &Parameters) -> Self {
        todo!()
    }

    /// Adds the next part of the plaintext.
    pub fn update(&mut self, plaintext: &[u8]) {
        self.0.update(plaintext);
    }

    /// The key.
    #[must_use]
    pub fn finish(self) -> Key {
        todo!()
    }
}
