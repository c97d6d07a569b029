//! A file from shares, any segment of it.

use super::encoder::segment_hash;
use super::{Parameters, Segment, Ueb};
use crate::aes::Stream;
use crate::cap::{Chk, ChkVerifier};
use crate::erasure::Code;
use crate::merkle::Partial;
use crate::{Error, Key, ShareNumber};

/// What is known of a file, once and for all its shares.
pub struct Decoder {
    cap: ChkVerifier,
    key: Option<Key>,
    code: Code,
    known: Option<Known>,
}

/// What a share has told of the file.
pub(super) struct Known {
    pub(super) bytes: Vec<u8>,
    pub(super) ueb: Ueb,
    pub(super) shares: Partial,
    pub(super) ciphertext: Partial,
}

impl Decoder {
    /// To read the file.
    #[must_use]
    pub fn new(cap: &Chk) -> Self {
        let mut decoder = Self::verifier(&cap.to_verifier());
        decoder.key = Some(cap.key);
        decoder
    }

    /// To verify or repair it.
    #[must_use]
    pub fn verifier(cap: &ChkVerifier) -> Self {
        Self {
            cap: cap.clone(),
            key: None,
            code: Code::new(cap.encoding),
            known: None,
        }
    }

    /// The verify cap.
    #[must_use]
    pub fn cap(&self) -> &ChkVerifier {
        &self.cap
    }

    /// How the file is cut, once a share has given the UEB.
    #[must_use]
    pub fn parameters(&self) -> Option<&Parameters> {
        self.ueb().map(|ueb| &ueb.parameters)
    }

    /// The UEB, once a share has given it.
    #[must_use]
    pub fn ueb(&self) -> Option<&Ueb> {
        self.known.as_ref().map(|known| &known.ueb)
    }

    /// The bytes of the UEB, once a share has given it.
    #[must_use]
    pub fn ueb_bytes(&self) -> &[u8] {
        self.known.as_ref().map_or(&[], |known| &known.bytes)
    }

    /// Takes the UEB, from wherever it comes; a second time it must be the same.
    ///
    /// # Errors
    /// If it is not that of the cap.
    pub fn take_ueb(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let ueb = Ueb::of_cap(&self.cap, bytes)?;
        if self.known.is_none() {
            self.known = Some(Known {
                shares: Partial::new(self.cap.encoding.total(), ueb.share_root),
                ciphertext: Partial::new(ueb.parameters.leaves(), ueb.ciphertext_root),
                bytes: bytes.to_vec(),
                ueb,
            });
        }
        Ok(())
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
        let key = self.key.ok_or(Error::Misuse("the cap does not read"))?;
        self.decode_ciphertext(segment, blocks, out)?;
        let size = self.parameters().map_or(0, Parameters::segment_size);
        let mut stream = Stream::new(&key);
        stream.seek(segment.saturating_mul(size));
        stream.apply(out.contents_mut());
        Ok(())
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
        let missing = Error::Misuse("the hash of the segment was not taken from a share");
        let known = self.known.as_ref().ok_or(missing.clone())?;
        let leaf = usize::try_from(segment).unwrap_or(usize::MAX);
        let expected = known.ciphertext.leaf(leaf).ok_or(missing)?;
        out.prepare(&known.ueb.parameters, segment);
        self.code.decode(blocks, out.padded_mut())?;
        if segment_hash(out.contents()) != *expected {
            return Err(Error::Corrupt("ciphertext"));
        }
        Ok(())
    }

    pub(super) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    pub(super) fn known_mut(&mut self) -> Result<&mut Known, Error> {
        let missing = Error::Misuse("the UEB is taken first");
        self.known.as_mut().ok_or(missing)
    }
}

impl Ueb {
    /// Reads the UEB that a cap names.
    pub(super) fn of_cap(cap: &ChkVerifier, bytes: &[u8]) -> Result<Self, Error> {
        if Self::hash(bytes) != cap.ueb_hash {
            return Err(Error::Corrupt("UEB"));
        }
        let ueb = Self::parse(bytes)?;
        let parameters = &ueb.parameters;
        if parameters.encoding() != cap.encoding || parameters.size() != cap.size {
            return Err(Error::Malformed("UEB", "it contradicts the cap"));
        }
        Ok(ueb)
    }
}
