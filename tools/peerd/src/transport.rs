//! The settings of QUIC: what all connections of a box have, and what members have besides.

use std::time::Duration;

use iroh::endpoint::{Connection, IdleTimeout, QuicTransportConfig, VarInt};

/// Silence after which a connection is lost.
const LOST: Duration = Duration::from_secs(10);
/// What a stream may hold that its reader has not taken: 84 Mbit/s at 100 ms.
const STREAM_WINDOW: u32 = 1 << 20;
/// What all streams of a connection may hold so: room for some that nobody reads beside those
/// that move. A member's is wider, since credit once given is never taken back.
const STRANGER_WINDOW: u32 = 256 << 10;
const MEMBER_WINDOW: u32 = 16 << 20;
/// How many streams a member may hold open on one connection,
const MEMBER_STREAMS: u32 = 1024;
/// and a stranger.
const STRANGER_STREAMS: u32 = 4;

/// What every connection begins with: as much as a stranger may have.
pub fn config() -> QuicTransportConfig {
    QuicTransportConfig::builder()
        .max_idle_timeout(IdleTimeout::try_from(LOST).ok())
        .max_concurrent_bidi_streams(VarInt::from_u32(STRANGER_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .datagram_receive_buffer_size(None)
        .build()
}

/// Gives a connection what a member may have.
pub fn widen(connection: &Connection) {
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(MEMBER_STREAMS));
    connection.set_receive_window(VarInt::from_u32(MEMBER_WINDOW));
}
