//! A file into shares, segment by segment.

use super::{Layout, Parameters, Segment};
use crate::cap::{Chk, ChkVerifier};
use crate::{Error, Key, ShareNumber};

/// Makes the blocks, and keeps the hashes of what it made.
///
/// ```text
/// for number in 0..parameters.segments() {
///     fill(segment.prepare(&parameters, number));
///     encoder.encode(&mut segment)?;
///     for share in shares { send(share, segment.block(share)) }   // after the header
/// }
/// let encoded = encoder.finish()?;
/// for share in shares { send(share, encoded.tail(share)) }
/// ```
pub struct Encoder {
    parameters: Parameters,
}

impl Encoder {
    /// For a file of this key.
    ///
    /// # Errors
    /// If the shares would be too long.
    pub fn new(parameters: Parameters, key: &Key) -> Result<Self, Error> {
        todo!()
    }

    /// For repair: takes the ciphertext (of [`super::Decoder::decode_ciphertext`]) instead of the plaintext.
    /// `ueb` are the bytes that the file has; [`Self::finish`] fails if the shares are not its.
    ///
    /// # Errors
    /// If the UEB is malformed or not of this cap.
    pub fn repair(cap: &ChkVerifier, ueb: &[u8]) -> Result<Self, Error> {
        todo!()
    }

    /// Where the parts of the shares are: their header and their size.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        todo!()
    }

    /// Encrypts the next segment in place, and fills its other blocks.
    ///
    /// # Errors
    /// If it was not prepared as the next segment.
    pub fn encode(&mut self, segment: &mut Segment) -> Result<(), Error> {
        todo!()
    }

    /// What follows the blocks, once all segments were encoded.
    ///
    /// # Errors
    /// If some were not; in repair, if the shares are not those of the file.
    pub fn finish(self) -> Result<Encoded, Error> {
        todo!()
    }
}

/// What is known of a file when all of it was encoded.
pub struct Encoded {
    ueb: Vec<u8>,
}

impl Encoded {
    /// What follows the blocks of a share, to its end.
    #[must_use]
    pub fn tail(&self, share: ShareNumber) -> Vec<u8> {
        todo!()
    }

    /// The bytes of the UEB.
    #[must_use]
    pub fn ueb(&self) -> &[u8] {
        &self.ueb
    }

    /// The verify cap.
    #[must_use]
    pub fn verifier(&self) -> &ChkVerifier {
        todo!()
    }

    /// The read cap; `None` after a repair.
    #[must_use]
    pub fn cap(&self) -> Option<Chk> {
        todo!()
    }
}
