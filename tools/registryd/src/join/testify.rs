//! Saying at which address a member is met.

use std::net::IpAddr;

use guifi_streams::{PathKind, Stream, context};
use serde_json::Map;

use super::Handle;
use crate::body;
use crate::engine::now;
use crate::frame::{Frame, kind};
use crate::net::is_reachable;
use crate::witness::{self, Statement};

/// The answer to a member's question on `stream`: a statement about the address that it has on
/// a direct path, or nothing.
pub(super) fn testify(stream: &Stream, handle: &Handle) -> Result<Frame, String> {
    let map = match met_at(stream) {
        Some(address) => statement(stream, address, handle)?.answer(),
        None => Map::new(),
    };
    Ok(Frame::new(kind::WITNESSED, body::encode(&map)?))
}

fn met_at(stream: &Stream) -> Option<IpAddr> {
    let address = stream.address.filter(|_| stream.path == PathKind::Direct)?;
    Some(address.ip().to_canonical()).filter(is_reachable)
}

fn statement(stream: &Stream, address: IpAddr, handle: &Handle) -> Result<Statement, String> {
    let (client, community, time) = handle
        .call(|engine| {
            let client = engine.client()?;
            let node = engine.node()?;
            Ok((client, node.community(), node.community_time(now())))
        })
        .and_then(|r: Result<_, guifi_core::Error>| r)
        .map_err(|e| e.to_string())?;
    let message = witness::message(&community, stream.peer, address, time);
    let signature = client
        .sign(context::WITNESS, &message)
        .map_err(|e| e.to_string())?;
    Ok(Statement {
        address,
        by: client.own_key(),
        time,
        signature,
    })
}
