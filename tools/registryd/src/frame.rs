//! The frames of the registry's three stream protocols: a type byte and up to 64 KiB of
//! payload, behind a length of four bytes, big endian. Specified in net.guifi.Registry1(5),
//! "Streams".

use std::io::{self, Read, Write};

use minicbor::{Decoder, Encoder};

use crate::record::Hash;

/// The largest payload in bytes.
pub const MAX_PAYLOAD: usize = 64 << 10;
/// The version of the protocols that this code speaks.
const VERSION: u64 = 1;

/// Type bytes.
pub mod kind {
    /// Greeting of `gossip` and `sync`: version, community, own clock.
    pub const HELLO: u8 = 1;
    /// A message of the gossip tree (`gossip`) or of range reconciliation (`sync`).
    pub const MESSAGE: u8 = 2;
    /// Hashes of records that are wanted (`sync`).
    pub const WANT: u8 = 3;
    /// An encoded record (`sync`, `join`).
    pub const RECORD: u8 = 4;
    /// Nothing more comes (`sync`, `join`).
    pub const DONE: u8 = 5;
    /// What the other's clock says (`gossip`).
    pub const CLOCK: u8 = 6;
    /// The answer to it: the question's payload, then the own clock (`gossip`).
    pub const CLOCK_ANSWER: u8 = 7;
    /// Please send the founding record (`join`).
    pub const FOUNDING: u8 = 8;
    /// Please admit me, or another (`join`): a canonical CBOR map.
    pub const ADMIT: u8 = 9;
    /// The verdict (`join`): a canonical CBOR map.
    pub const VERDICT: u8 = 10;
    /// At which address do you meet me (`join`, members only)? Empty.
    pub const WITNESS: u8 = 11;
    /// The answer (`join`): a canonical CBOR map, empty if that is not known.
    pub const WITNESSED: u8 = 12;
    /// Please admit me, I have an invitation (`join`): a canonical CBOR map.
    pub const INVITED: u8 = 13;
    /// Then sign this use of it (`join`): a canonical CBOR map.
    pub const GRANT: u8 = 14;
}

/// One frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// Its type byte.
    pub kind: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of `kind`.
    #[must_use]
    pub fn new(kind: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            payload: payload.into(),
        }
    }

    /// The greeting of `gossip` and `sync`.
    #[must_use]
    pub fn hello(community: &Hash, clock_ms: u64) -> Self {
        let mut payload = Vec::with_capacity(48);
        let mut e = Encoder::new(&mut payload);
        let written = e
            .array(3)
            .and_then(|e| e.u64(VERSION))
            .and_then(|e| e.bytes(community))
            .and_then(|e| e.u64(clock_ms));
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        Self {
            kind: kind::HELLO,
            payload,
        }
    }

    /// Reads a greeting: the other's clock in milliseconds.
    ///
    /// # Errors
    /// A sentence if it is none, or of another version or community.
    pub fn read_hello(&self, community: &Hash) -> Result<u64, String> {
        let bad = |e: minicbor::decode::Error| format!("not a greeting: {e}");
        let mut d = Decoder::new(&self.payload);
        if self.kind != kind::HELLO || d.array().map_err(bad)?.is_none_or(|n| n < 3) {
            return Err("not a greeting".to_owned());
        }
        let version = d.u64().map_err(bad)?;
        if version != VERSION {
            return Err(format!(
                "version {version} of the protocol is not spoken here"
            ));
        }
        if d.bytes().map_err(bad)? != community {
            return Err("the peer belongs to another community".to_owned());
        }
        d.u64().map_err(bad)
    }

    /// Writes the frame.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let length = u32::try_from(self.payload.len() + 1)
            .ok()
            .filter(|_| self.payload.len() <= MAX_PAYLOAD)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "frame too large"))?;
        let mut bytes = Vec::with_capacity(self.payload.len() + 5);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.push(self.kind);
        bytes.extend_from_slice(&self.payload);
        out.write_all(&bytes)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// `InvalidData` for a length out of range, `UnexpectedEof` for a cut frame.
    pub fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length == 0 || length > MAX_PAYLOAD + 1 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "frame length out of range",
            ));
        }
        let mut kind = [0];
        input.read_exact(&mut kind)?;
        // Grows with what arrives, not with what was promised.
        let mut payload = Vec::new();
        let wanted = u64::try_from(length - 1).unwrap_or(u64::MAX);
        input.take(wanted).read_to_end(&mut payload)?;
        if payload.len() != length - 1 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            kind: kind[0],
            payload,
        })
    }
}

/// Keys, each of 32 bytes.
#[must_use]
pub fn chunks(payload: &[u8]) -> Option<Vec<Hash>> {
    let (chunks, rest) = payload.as_chunks::<32>();
    rest.is_empty().then(|| chunks.to_vec())
}

/// A clock question: the own clock.
#[must_use]
pub fn clock(own_ms: u64) -> Frame {
    Frame::new(kind::CLOCK, own_ms.to_be_bytes())
}

/// The answer to a clock question.
#[must_use]
pub fn clock_answer(question: &[u8], own_ms: u64) -> Option<Frame> {
    (question.len() == 8).then(|| {
        Frame::new(
            kind::CLOCK_ANSWER,
            [question, &own_ms.to_be_bytes()].concat(),
        )
    })
}

/// Reads an answer: the own clock when asking, the other's when answering.
#[must_use]
pub fn read_clock_answer(payload: &[u8]) -> Option<(u64, u64)> {
    let (words, rest) = payload.as_chunks::<8>();
    match (words, rest) {
        ([asked, answered], []) => {
            Some((u64::from_be_bytes(*asked), u64::from_be_bytes(*answered)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_survive_a_stream_and_no_cut_passes() {
        let frames = [
            Frame::new(2, *b"abc"),
            Frame::new(5, []),
            Frame::hello(&[7; 32], 9),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        let mut input = &bytes[..];
        for frame in &frames {
            assert_eq!(&Frame::read(&mut input).unwrap(), frame);
        }
        let mut one = Vec::new();
        frames[0].write(&mut one).unwrap();
        for cut in 0..one.len() {
            assert!(Frame::read(&mut &one[..cut]).is_err());
        }
    }

    #[test]
    fn lengths_out_of_range_are_refused() {
        assert!(Frame::read(&mut &[0, 0, 0, 0][..]).is_err());
        assert!(Frame::read(&mut &[0xff, 0xff, 0xff, 0xff, 1][..]).is_err());
        assert!(
            Frame::new(1, vec![0; MAX_PAYLOAD + 1])
                .write(&mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn a_greeting_of_another_community_is_refused() {
        let hello = Frame::hello(&[7; 32], 9);
        assert_eq!(hello.read_hello(&[7; 32]), Ok(9));
        assert!(
            hello
                .read_hello(&[8; 32])
                .unwrap_err()
                .contains("another community")
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(frame) = Frame::read(&mut &bytes[..]) {
                let _ = frame.read_hello(&[0; 32]);
                let _ = read_clock_answer(&frame.payload);
                let _ = chunks(&frame.payload);
            }
        }
    }
}
