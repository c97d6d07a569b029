//! Messages as bytes.

use std::convert::Infallible;

use minicbor::data::Tag;
use minicbor::{Encoder, encode};

use super::{
    Allocate, Allocated, PROTOCOL, Range, Read, ReadTestWrite, ReadTestWritten, Shares, Version,
};

/// Tag of a set, <https://github.com/input-output-hk/cbor-sets-spec>.
pub(super) const SET: Tag = Tag::new(258);

type Writer<'a> = Encoder<&'a mut Vec<u8>>;
type Encoded = Result<(), encode::Error<Infallible>>;

impl Version {
    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(|e| {
            // Keys are bytes here, and only here.
            e.map(2)?.bytes(PROTOCOL)?.map(3)?;
            e.bytes(b"maximum-immutable-share-size")?
                .u64(self.maximum_immutable)?;
            e.bytes(b"maximum-mutable-share-size")?
                .u64(self.maximum_mutable)?;
            e.bytes(b"available-space")?.u64(self.available)?;
            e.bytes(b"application-version")?.bytes(&self.application)?;
            Ok(())
        })
    }
}

impl Allocate {
    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(|e| {
            set(e.map(2)?.str("share-numbers")?, &self.shares)?;
            e.str("allocated-size")?.u64(self.size)?;
            Ok(())
        })
    }
}

impl Allocated {
    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(|e| {
            set(e.map(2)?.str("already-have")?, &self.already_have)?;
            set(e.str("allocated")?, &self.allocated)
        })
    }
}

/// Body of the answer to a `PATCH`: which parts of the share are still missing.
#[must_use]
pub fn encode_required(ranges: &[Range]) -> Vec<u8> {
    write(|e| {
        e.map(1)?.str("required")?.array(ranges.len() as u64)?;
        for range in ranges {
            e.map(2)?.str("begin")?.u64(range.begin)?;
            e.str("end")?.u64(range.end)?;
        }
        Ok(())
    })
}

/// Body of the answers to `GET …/shares`.
#[must_use]
pub fn encode_shares(shares: &Shares) -> Vec<u8> {
    write(|e| set(e, shares))
}

/// Body of `POST …/corrupt`.
#[must_use]
pub fn encode_corrupt(reason: &str) -> Vec<u8> {
    write(|e| e.map(1)?.str("reason")?.str(reason).map(drop))
}

impl ReadTestWrite {
    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(|e| {
            e.map(2)?
                .str("test-write-vectors")?
                .map(self.vectors.len() as u64)?;
            for (share, vector) in &self.vectors {
                e.u8(*share)?.map(3)?;
                e.str("test")?.array(vector.tests.len() as u64)?;
                for test in &vector.tests {
                    e.map(3)?.str("offset")?.u64(test.offset)?;
                    e.str("size")?.u64(test.size)?;
                    e.str("specimen")?.bytes(&test.specimen)?;
                }
                e.str("write")?.array(vector.writes.len() as u64)?;
                for write in &vector.writes {
                    e.map(2)?.str("offset")?.u64(write.offset)?;
                    e.str("data")?.bytes(&write.data)?;
                }
                e.str("new-length")?;
                match vector.new_length {
                    Some(length) => e.u64(length)?,
                    None => e.null()?,
                };
            }
            e.str("read-vector")?.array(self.reads.len() as u64)?;
            for Read { offset, size } in &self.reads {
                e.map(2)?.str("offset")?.u64(*offset)?;
                e.str("size")?.u64(*size)?;
            }
            Ok(())
        })
    }
}

impl ReadTestWritten {
    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(|e| {
            e.map(2)?.str("success")?.bool(self.success)?;
            e.str("data")?.map(self.data.len() as u64)?;
            for (share, reads) in &self.data {
                e.u8(*share)?.array(reads.len() as u64)?;
                for bytes in reads {
                    e.bytes(bytes)?;
                }
            }
            Ok(())
        })
    }
}

fn set(e: &mut Writer<'_>, shares: &Shares) -> Encoded {
    e.tag(SET)?.array(shares.len() as u64)?;
    for share in shares {
        e.u8(*share)?;
    }
    Ok(())
}

fn write(body: impl FnOnce(&mut Writer<'_>) -> Encoded) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to a vector does not fail.
    let Ok(()) = body(&mut Encoder::new(&mut bytes)) else {
        return Vec::new();
    };
    bytes
}
