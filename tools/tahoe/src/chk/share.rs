//! One share: which of its bytes are needed, and whether they are right.

use std::ops::Range;

use super::{Decoder, Layout};
use crate::{Error, ShareNumber};

/// How many bytes of a share tell where the rest is.
pub const HEAD: u64 = 0x44;

/// A part of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The UEB with its length.
    Ueb,
    /// Hashes that lead from the share to the file.
    Chain,
    /// Nodes of the ciphertext's hash tree from this one on.
    CiphertextHashes(u64),
    /// Nodes of the share's block hash tree from this one on.
    BlockHashes(u64),
    /// The block of a segment.
    Block(u64),
}

/// Bytes of a share that are needed. A server may give fewer where the share ends; only
/// [`Part::Ueb`] is asked for longer than it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What they are.
    pub part: Part,
    /// Where they are, in bytes from the beginning of the share.
    pub range: Range<u64>,
}

/// What is known of a share.
///
/// ```text
/// let mut share = Share::new(number, &read(0..HEAD))?;
/// for need in share.needs(&decoder, segment) {      // ranges may be read at once
///     let bytes = read(need.range.clone());
///     share.take(&mut decoder, &need, &bytes)?;     // in this order
/// }
/// ```
/// The bytes of `Part::Block(segment)` that were taken are a block for [`Decoder::decode`].
pub struct Share {
    number: ShareNumber,
    layout: Layout,
}

impl Share {
    /// A share by its first [`HEAD`] bytes (or what there is).
    ///
    /// # Errors
    /// If they are no header.
    pub fn new(number: ShareNumber, head: &[u8]) -> Result<Self, Error> {
        todo!()
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> ShareNumber {
        self.number
    }

    /// What is needed for a segment and not known, in the order in which it is taken; the block
    /// comes last, always.
    ///
    /// # Errors
    /// If the share's header contradicts the file, or there is no such segment.
    pub fn needs(&self, decoder: &Decoder, segment: u64) -> Result<Vec<Need>, Error> {
        todo!()
    }

    /// Takes bytes that were needed. Nothing of them is kept unless they are right.
    ///
    /// # Errors
    /// If they are too few, or not what was written.
    pub fn take(&mut self, decoder: &mut Decoder, need: &Need, bytes: &[u8]) -> Result<(), Error> {
        todo!()
    }
}
