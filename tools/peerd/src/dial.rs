//! Reaching a peer: the cached connection, or a new one; and opening a stream on it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guifi_streams::{Key, Reason, reset};
use iroh::endpoint::{ReadError, ReadExactError, RecvStream, SendStream, VarInt};
use iroh::{EndpointAddr, EndpointId, TransportAddr};
use tokio::time::{timeout, timeout_at};

use crate::header;
use crate::incoming::PING;
use crate::net::Net;
use crate::node::{Node, Refusal, count, lock};
use crate::peers::{Busy, Link, adopt, close};

/// How long a dial may take.
const DIAL: Duration = Duration::from_secs(5);
/// How long a failed dial stands for the next ones.
const FAILED: Duration = Duration::from_secs(10);
/// How long a cached connection may keep silent before it counts as dead.
const SILENCE: Duration = Duration::from_secs(1);

/// A stream whose protocol the peer accepted. Dropped unused, it is reset.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) link: Arc<Link>,
    busy: Option<Busy>,
    halves: Option<(SendStream, RecvStream)>,
}

impl Wire {
    /// The two halves, for splicing.
    pub(crate) fn take(mut self) -> Option<(SendStream, RecvStream, Busy)> {
        let (send, recv) = self.halves.take()?;
        Some((send, recv, self.busy.take()?))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some((mut send, mut recv)) = self.halves.take() {
            // They may be over already.
            let _ = send.reset(VarInt::from_u32(reset::ABORTED));
            let _ = recv.stop(VarInt::from_u32(reset::ABORTED));
        }
    }
}

/// Why a stream could not be opened on a connection.
enum Attempt {
    /// The connection does not work: dial anew.
    Dead,
    /// The peer says no.
    Refused(Reason),
}

/// Opens a stream of `protocol` to `key` before `deadline`.
pub(crate) async fn open(
    node: &Arc<Node>,
    key: Key,
    protocol: &str,
    hints: &[SocketAddr],
    deadline: Duration,
) -> Result<Wire, Refusal> {
    let net = node.net().ok_or(Reason::Offline)?;
    if key == node.identity.public() {
        return Err(Refusal::new(Reason::Invalid, "that is this box itself"));
    }
    node.members()
        .admit(key, protocol)
        .map_err(|reason| Refusal::new(reason, format!("{key} is not a member")))?;
    let until = tokio::time::Instant::now() + deadline;
    let opened = timeout_at(until, async {
        if let Some(link) = node.peers.newest(key) {
            match on_link(node, &link, protocol, true).await {
                Ok(wire) => return Ok(wire),
                Err(Attempt::Refused(reason)) => return Err(refused(reason, key, protocol)),
                Err(Attempt::Dead) => link.close(close::SILENT),
            }
        }
        let link = dial(node, &net, key, hints).await?;
        match on_link(node, &link, protocol, false).await {
            Ok(wire) => Ok(wire),
            Err(Attempt::Refused(reason)) => Err(refused(reason, key, protocol)),
            Err(Attempt::Dead) => Err(Refusal::new(
                Reason::Unreachable,
                format!("the connection with {key} was lost"),
            )),
        }
    })
    .await;
    opened.unwrap_or_else(|_| {
        Err(Refusal::new(
            Reason::TimedOut,
            format!("no answer from {key} within {} ms", deadline.as_millis()),
        ))
    })
}

fn refused(reason: Reason, key: Key, protocol: &str) -> Refusal {
    let text = match reason {
        Reason::NoListener => format!("nobody serves '{protocol}' on {key}"),
        Reason::Denied => format!("{key} denies '{protocol}' to this box"),
        Reason::Busy => format!("{key} is busy"),
        other => format!("{key} refuses '{protocol}': {other}"),
    };
    Refusal::new(reason, text)
}

/// Whether the peer still answers on this connection; it may take a second to know.
pub(crate) async fn is_alive(node: &Arc<Node>, link: &Arc<Link>) -> bool {
    let answered = timeout(DIAL, on_link(node, link, PING, true)).await;
    matches!(answered, Ok(Ok(_) | Err(Attempt::Refused(_))))
}

async fn on_link(
    node: &Arc<Node>,
    link: &Arc<Link>,
    protocol: &str,
    cached: bool,
) -> Result<Wire, Attempt> {
    let busy = link.begin(node);
    let halves = link.connection.open_bi().await.map_err(|_| lost(link))?;
    let mut wire = Wire {
        link: link.clone(),
        busy: Some(busy),
        halves: Some(halves),
    };
    let Some((send, recv)) = &mut wire.halves else {
        return Err(Attempt::Dead);
    };
    let heard = link.heard();
    send.write_all(&header::encode(protocol))
        .await
        .map_err(|_| lost(link))?;
    // A peer that was killed and is back swallows what is sent on its old connection.
    let silence = SILENCE.max(link.route().rtt * 3);
    let mut status = [0];
    // One byte is there or not: giving up half-way loses nothing.
    let answered = match timeout(silence, recv.read_exact(&mut status)).await {
        Ok(answered) => answered,
        Err(_) if cached && link.heard() == heard => return Err(Attempt::Dead),
        Err(_) => recv.read_exact(&mut status).await,
    };
    match answered {
        Ok(()) => header::status(status[0]).map_err(Attempt::Refused)?,
        // Its program had no place for the stream, and the reset came before the answer.
        Err(ReadExactError::ReadError(ReadError::Reset(code)))
            if code == VarInt::from_u32(reset::BUSY) =>
        {
            return Err(Attempt::Refused(Reason::Busy));
        }
        Err(_) => return Err(lost(link)),
    }
    Ok(wire)
}

/// The peer ended the stream or the connection without an answer.
fn lost(link: &Link) -> Attempt {
    use iroh::endpoint::ConnectionError;
    match link.connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(by)) => match by.error_code.into_inner() {
            code if code == u64::from(close::DENIED.0) => Attempt::Refused(Reason::Denied),
            code if code == u64::from(close::BUSY.0) => Attempt::Refused(Reason::Busy),
            _ => Attempt::Dead,
        },
        Some(_) => Attempt::Dead,
        None => Attempt::Refused(Reason::Failed),
    }
}

/// Makes a connection; those who want the same peer meanwhile wait for it.
pub(crate) async fn dial(
    node: &Arc<Node>,
    net: &Arc<Net>,
    key: Key,
    hints: &[SocketAddr],
) -> Result<Arc<Link>, Refusal> {
    let dialling = lock(&node.peers.table)
        .entry(key)
        .or_default()
        .dialling
        .clone();
    let _turn = dialling.lock().await;
    // Whoever had the turn before may have succeeded, or the peer may have called.
    if let Some(link) = node.peers.newest(key) {
        return Ok(link);
    }
    let target = target(node, net, key, hints)?;
    let tried = target.addrs.len();
    if let Some(peer) = lock(&node.peers.table).get(&key)
        && let Some((when, refusal, before)) = &peer.failed
        && when.elapsed() < FAILED
        // More addresses are known than were tried then: worth another attempt.
        && tried <= *before
    {
        return Err(refusal.clone());
    }
    count(&node.counters.dials, 1);
    let reached = timeout(DIAL, net.endpoint.connect(target, header::ALPN)).await;
    let refusal = match reached {
        Ok(Ok(connection)) => {
            return adopt(node, connection).ok_or_else(|| Refusal::from(Reason::Denied));
        }
        Ok(Err(e)) => Refusal::new(
            Reason::Unreachable,
            format!("cannot reach {key}: {}", plain(&e)),
        ),
        Err(_) => Refusal::new(Reason::Unreachable, format!("{key} does not answer")),
    };
    count(&node.counters.dials_failed, 1);
    if let Some(peer) = lock(&node.peers.table).get_mut(&key) {
        peer.failed = Some((Instant::now(), refusal.clone(), tried));
    }
    Err(refusal)
}

/// All that is known of where `key` may be.
fn target(node: &Node, net: &Net, key: Key, hints: &[SocketAddr]) -> Result<EndpointAddr, Refusal> {
    let id = EndpointId::from_bytes(&key.0)
        .map_err(|_| Refusal::new(Reason::Invalid, format!("{key} is not a public key")))?;
    let members = node.members();
    let mut addresses: BTreeSet<SocketAddr> = hints.iter().copied().collect();
    if let Some(member) = members.by_key.get(&key) {
        addresses.extend(&member.addresses);
        addresses.extend(lock(&node.book).addresses(key));
    }
    if let Some(heard) = lock(&node.link).get(&key) {
        addresses.extend(heard);
    }
    if let Some(peer) = lock(&node.peers.table).get(&key) {
        addresses.extend(&peer.hints);
    }
    let mut all: Vec<_> = addresses.into_iter().map(TransportAddr::Ip).collect();
    if members.contains(key) {
        all.extend(
            net.relays
                .towards(&members, key)
                .into_iter()
                .map(TransportAddr::Relay),
        );
    }
    if all.is_empty() {
        return Err(Refusal::new(
            Reason::Unknown,
            format!("no address of {key} is known"),
        ));
    }
    Ok(EndpointAddr::from_parts(id, all))
}

/// The last cause of an error of the QUIC library, in its own words.
fn plain(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string().to_lowercase()
}
