//! The socket of `guifi-peerd`, `/run/guifi/peerd.sock`: its messages and a blocking client.
//!
//! One `SOCK_SEQPACKET` connection, the *control connection*, lives as long as its program:
//! it carries requests ([`Request`]) and events ([`Event`]), one CBOR array a packet, at most
//! [`MAX_PACKET`] bytes. Each stream is one end of a Unix stream socket pair that arrives beside
//! its `Opened` or `Incoming` event. No async runtime and no QUIC is needed on this side.
//!
//! End of file on a stream does not prove that the content is whole; every protocol says its
//! own end. [`Stream::ended`] tells a clean end from a reset and from a lost peer.

mod client;
mod configuration;
mod error;
mod key;
mod listener;
mod message;
pub mod packet;
mod reader;
mod stream;
mod wire;

pub use client::{Client, Whois};
pub use configuration::{Configuration, Coordinate, Member, RelayPorts};
pub use error::ClientError;
pub use key::{Key, KeyError};
pub use listener::Listener;
pub use message::{
    Direction, End, Ended, Event, PathKind, Reason, Request, context, protocol_name_is_valid, reset,
};
pub use packet::MAX_PACKET;
pub use stream::Stream;
pub use wire::{VERSION, WireError};

/// Path of the socket below the file system root.
pub const SOCKET: &str = "/run/guifi/peerd.sock";

#[cfg(test)]
mod tests;
