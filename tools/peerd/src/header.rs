//! What precedes the bytes of a stream between two boxes: the opener says version and protocol,
//! the acceptor answers one byte.
//!
//! The opener must speak first: a QUIC stream is invisible to the peer until then.

use std::fmt;

use guifi_streams::{Reason, protocol_name_is_valid};

/// The ALPN of all connections between boxes.
pub const ALPN: &[u8] = b"guifi/peer/1";

/// Version of the header, its first byte.
pub const VERSION: u8 = 1;

/// The acceptor's answer when the stream is taken; otherwise it is the number of a [`Reason`].
pub const ACCEPTED: u8 = 0;

/// A header that is not one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeaderError;

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the header of a stream")
    }
}

impl std::error::Error for HeaderError {}

/// The header for `protocol`: version, length, name.
pub fn encode(protocol: &str) -> Vec<u8> {
    let mut header = vec![VERSION, u8::try_from(protocol.len()).unwrap_or(u8::MAX)];
    header.extend_from_slice(protocol.as_bytes());
    header
}

/// The length of the name, from the first two bytes.
///
/// # Errors
/// Another version, or a length that no name has.
pub fn name_length(start: [u8; 2]) -> Result<usize, HeaderError> {
    match start {
        [VERSION, length @ 1..=32] => Ok(length.into()),
        _ => Err(HeaderError),
    }
}

/// The protocol, from the bytes of its name.
///
/// # Errors
/// Bytes that are no protocol name.
pub fn name(bytes: &[u8]) -> Result<&str, HeaderError> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|name| protocol_name_is_valid(name))
        .ok_or(HeaderError)
}

/// What the acceptor's byte means.
///
/// # Errors
/// The reason of a refusal; an unknown byte counts as [`Reason::Failed`].
pub fn status(byte: u8) -> Result<(), Reason> {
    match byte {
        ACCEPTED => Ok(()),
        other => Err(Reason::from_number(other).unwrap_or(Reason::Failed)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_is_read_as_written(protocol in "[a-z0-9-]{1,32}") {
            let header = encode(&protocol);
            let length = name_length([header[0], header[1]]).unwrap();
            prop_assert_eq!(name(&header[2..2 + length]), Ok(protocol.as_str()));
            prop_assert_eq!(header.len(), 2 + length);
        }
    }

    #[test]
    fn mutants_never_panic_and_never_ask_for_much() {
        let samples = [encode("sync"), encode("join"), encode(&"x".repeat(32))];
        guifi_testing::fuzz::bytes("stream header", &samples, |bytes| {
            let [version, length, rest @ ..] = bytes else {
                return;
            };
            let _ = status(*length);
            if let Ok(length) = name_length([*version, *length]) {
                assert!(length <= 32);
                let _ = name(&rest[..length.min(rest.len())]);
            }
        });
    }
}
