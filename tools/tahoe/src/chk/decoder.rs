//! A file from shares, any segment of it.

use super::{Parameters, Segment, Ueb};
use crate::cap::{Chk, ChkVerifier};
use crate::{Error, ShareNumber};

/// What is known of a file, once and for all its shares.
pub struct Decoder {
    cap: ChkVerifier,
}

impl Decoder {
    /// To read the file.
    #[must_use]
    pub fn new(cap: &Chk) -> Self {
        todo!()
    }

    /// To verify or repair it.
    #[must_use]
    pub fn verifier(cap: &ChkVerifier) -> Self {
        todo!()
    }

    /// How the file is cut, once a share has given the UEB.
    #[must_use]
    pub fn parameters(&self) -> Option<&Parameters> {
        todo!()
    }

    /// The UEB, once a share has given it.
    #[must_use]
    pub fn ueb(&self) -> Option<&Ueb> {
        todo!()
    }

    /// The bytes of the UEB, once a share has given it.
    #[must_use]
    pub fn ueb_bytes(&self) -> &[u8] {
        todo!()
    }

    /// Brings a segment's plaintext into `out`, from k or more blocks that their shares have
    /// checked ([`super::Share::take`]).
    ///
    /// # Errors
    /// If there are too few, the ciphertext is not that of the file, or there is no read key.
    pub fn decode(
        &self,
        segment: u64,
        blocks: &[(ShareNumber, &[u8])],
        out: &mut Segment,
    ) -> Result<(), Error> {
        todo!()
    }

    /// The same without decryption.
    ///
    /// # Errors
    /// If there are too few, or the ciphertext is not that of the file.
    pub fn decode_ciphertext(
        &self,
        segment: u64,
        blocks: &[(ShareNumber, &[u8])],
        out: &mut Segment,
    ) -> Result<(), Error> {
        todo!()
    }
}
