//! The first 107 bytes of a share.

use std::ops::Range;

use super::MAX_LENGTH;
use crate::merkle::chain::LINK;
use crate::mutable::keys::SIGNATURE;
use crate::mutable::{Version, take};
use crate::{Encoding, Error};

/// Length, in bytes.
pub(super) const LENGTH: usize = 107;
/// How much of it is signed, in bytes.
pub(super) const SIGNED: usize = 75;
const CUT: Error = Error::Malformed("mutable share", "cut");
/// Longest public or private key, in bytes.
const MAX_KEY: usize = 4096;

/// What the header says. Ranges are in bytes from the beginning of the share.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) version: Version,
    pub(super) salt: [u8; 16],
    pub(super) encoding: Encoding,
    /// Length of the contents.
    pub(super) length: usize,
    pub(super) public_key: Range<usize>,
    pub(super) signature: Range<usize>,
    pub(super) chain: Range<usize>,
    pub(super) block_tree: Range<usize>,
    pub(super) block: Range<usize>,
    pub(super) encrypted_key: Range<usize>,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        let [0] = take(&mut rest).ok_or(CUT)? else {
            return Err(malformed("not SDMF"));
        };
        let version = Version {
            sequence: u64::from_be_bytes(take(&mut rest).ok_or(CUT)?),
            root: take(&mut rest).ok_or(CUT)?,
        };
        let salt = take(&mut rest).ok_or(CUT)?;
        let [needed, total] = take(&mut rest).ok_or(CUT)?;
        let encoding = Encoding::new(needed.into(), total.into())?;
        let segment = size(u64::from_be_bytes(take(&mut rest).ok_or(CUT)?));
        let length = size(u64::from_be_bytes(take(&mut rest).ok_or(CUT)?));
        if length > MAX_LENGTH {
            return Err(malformed("contents of more than 32 MiB"));
        }
        if segment != length.next_multiple_of(encoding.needed()) {
            return Err(malformed("it has not one segment"));
        }
        let mut next = |begin: usize, wide: bool| {
            let end = if wide {
                size(u64::from_be_bytes(take(&mut rest).ok_or(CUT)?))
            } else {
                size(u32::from_be_bytes(take(&mut rest).ok_or(CUT)?).into())
            };
            if end < begin {
                return Err(malformed("its parts overlap"));
            }
            Ok(begin..end)
        };
        let public_key = next(LENGTH, false)?;
        let signature = next(public_key.end, false)?;
        let chain = next(signature.end, false)?;
        let block_tree = next(chain.end, false)?;
        let block = next(block_tree.end, true)?;
        let encrypted_key = next(block.end, true)?;
        if public_key.len() > MAX_KEY
            || signature.len() != SIGNATURE
            || chain.len() > 8 * LINK
            || block_tree.len() != 32
            || block.len() != segment / encoding.needed()
            || encrypted_key.len() > MAX_KEY
        {
            return Err(malformed("a part has a wrong length"));
        }
        Ok(Self {
            version,
            salt,
            encoding,
            length,
            public_key,
            signature,
            chain,
            block_tree,
            block,
            encrypted_key,
        })
    }

    /// The part that is signed.
    pub(super) fn signed(&self) -> Vec<u8> {
        let small = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let needed = self.encoding.needed();
        let segment = self.length.next_multiple_of(needed) as u64;
        let mut bytes = vec![0];
        bytes.extend_from_slice(&self.version.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.version.root);
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&[small(needed), small(self.encoding.total())]);
        bytes.extend_from_slice(&segment.to_be_bytes());
        bytes.extend_from_slice(&(self.length as u64).to_be_bytes());
        bytes
    }

    /// Where the share ends, in bytes.
    pub(super) fn end(&self) -> u64 {
        self.encrypted_key.end as u64
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn malformed(why: &'static str) -> Error {
    Error::Malformed("mutable share", why)
}
