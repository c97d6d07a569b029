//! Numbers of a file, and its key.

use crate::hash::{Tagged, first16};
use crate::{Encoding, Error, Key};

/// Largest segment that is written, in bytes, before it is rounded up to a multiple of k.
pub const DEFAULT_SEGMENT: u64 = 1 << 20;
/// Largest segment that is read, in bytes, before it is rounded up.
pub const MAX_SEGMENT: u64 = 16 << 20;
/// Longest file, in bytes: nothing that is computed from it overflows.
const MAX_SIZE: u64 = 1 << 60;
/// Most segments.
const MAX_SEGMENTS: u64 = 1 << 20;

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
    /// If the file or segments are empty, the segments longer than [`MAX_SEGMENT`], or there
    /// are more than 2^20.
    pub fn new(encoding: Encoding, size: u64, max_segment: u64) -> Result<Self, Error> {
        let needed = encoding.needed() as u64;
        // A number that cannot be rounded up is too large anyway.
        let segment_size = max_segment.min(size).checked_next_multiple_of(needed);
        Self::of_segments(encoding, size, segment_size.unwrap_or(u64::MAX))
    }

    /// A file in segments of this size, as its UEB has it.
    pub(super) fn of_segments(
        encoding: Encoding,
        size: u64,
        segment_size: u64,
    ) -> Result<Self, Error> {
        let needed = encoding.needed() as u64;
        if size == 0 || size > MAX_SIZE {
            return Err(Error::Parameters("a file in shares has 1 to 2^60 bytes"));
        }
        if segment_size == 0
            || !segment_size.is_multiple_of(needed)
            || segment_size > MAX_SEGMENT.next_multiple_of(needed)
        {
            return Err(Error::Parameters(
                "a segment has at most 16 MiB, a multiple of the needed shares",
            ));
        }
        if size.div_ceil(segment_size) > MAX_SEGMENTS {
            return Err(Error::Parameters("a file has at most 2^20 segments"));
        }
        Ok(Self {
            encoding,
            size,
            segment_size,
        })
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
        self.size.div_ceil(self.segment_size)
    }

    /// Length of what a segment holds, without padding, in bytes; 0 if there is none.
    #[must_use]
    pub fn length(&self, segment: u64) -> usize {
        let begin = segment.saturating_mul(self.segment_size);
        let rest = self.size.saturating_sub(begin);
        usize::try_from(rest.min(self.segment_size)).unwrap_or(usize::MAX)
    }

    /// Length of each block of a segment, in bytes.
    #[must_use]
    pub fn block(&self, segment: u64) -> usize {
        self.length(segment).div_ceil(self.encoding.needed())
    }

    /// Length of all blocks of a share, in bytes.
    #[must_use]
    pub fn share_data(&self) -> u64 {
        self.size.div_ceil(self.encoding.needed() as u64)
    }

    /// The same number for trees.
    pub(super) fn leaves(&self) -> usize {
        usize::try_from(self.segments()).unwrap_or(usize::MAX)
    }
}

/// The key that everybody with the same secret and parameters derives from the same contents.
#[derive(Clone)]
pub struct Convergence(Tagged);

impl Convergence {
    /// Begins; `secret` is Tahoe's `private/convergence`, decoded.
    #[must_use]
    pub fn new(secret: &[u8], parameters: &Parameters) -> Self {
        let (needed, total) = (parameters.encoding.needed(), parameters.encoding.total());
        let numbers = format!("{needed},{total},{}", parameters.segment_size);
        let mut tag = b"allmydata_immutable_content_to_key_with_added_secret_v1+".to_vec();
        for part in [secret, numbers.as_bytes()] {
            tag.extend_from_slice(format!("{}:", part.len()).as_bytes());
            tag.extend_from_slice(part);
            tag.push(b',');
        }
        Self(Tagged::new(&tag))
    }

    /// Adds the next part of the plaintext.
    pub fn update(&mut self, plaintext: &[u8]) {
        self.0.update(plaintext);
    }

    /// The key.
    #[must_use]
    pub fn finish(self) -> Key {
        first16(&self.0.finish())
    }
}
