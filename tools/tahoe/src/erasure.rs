//! The erasure code of zfec: of `n` blocks, of which the first `k` are the data itself, any `k`
//! bring back the data. Arithmetic is in GF(2^8) with polynomial 0x11d.

use crate::{Encoding, Error, ShareNumber};

/// The code of an encoding.
#[derive(Clone, Debug)]
pub struct Code {
    encoding: Encoding,
}

impl Code {
    /// The code of `k` and `n`.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        todo!()
    }

    /// Fills the secondary blocks. `data` are the k primary blocks one after the other,
    /// `secondary` is room for the n-k others; all of one length.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn encode(&self, data: &[u8], secondary: &mut [u8]) -> Result<(), Error> {
        todo!()
    }

    /// Brings back the data from k or more different blocks of one length. `data` gets the k
    /// primary blocks one after the other.
    ///
    /// # Errors
    /// If there are too few, or the lengths do not fit.
    pub fn decode(&self, blocks: &[(ShareNumber, &[u8])], data: &mut [u8]) -> Result<(), Error> {
        todo!()
    }
}
