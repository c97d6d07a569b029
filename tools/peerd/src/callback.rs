//! Calling a member back from fresh sockets, so that it learns whether its ports are open.
//!
//! Over TCP it is asked who it is. Over UDP it gets a QUIC packet of a version that is reserved
//! (RFC 9000 section 15), which every QUIC server answers with the versions that it speaks
//! (section 6), and which opens no connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use guifi_streams::{Key, Reason};
use tokio::net::UdpSocket;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use crate::node::{Node, Refusal, lock};
use crate::peers::Link;
use crate::who;

/// How many members are called back at once.
pub(crate) const TURNS: usize = 4;
/// How long one member waits for its next turn.
const PACE: Duration = Duration::from_secs(10);
/// How many addresses of a member are tried.
const ADDRESSES: usize = 4;
/// How long one address may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// When the packet is sent again, for the lossy link.
const RESEND: Duration = Duration::from_millis(500);
/// Of the smallest size that a server must answer (RFC 9000 section 14.1).
const PACKET: usize = 1200;
/// A version that nobody speaks.
const RESERVED: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];

/// Which of a box's ports answered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Answers {
    pub(crate) udp: bool,
    pub(crate) tcp: bool,
}

/// The right to call one member back.
pub(crate) type Turn<'a> = SemaphorePermit<'a>;

/// Whether `key` may be called back now.
pub(crate) fn turn(node: &Node, key: Key) -> Result<Turn<'_>, Refusal> {
    let Ok(turn) = node.callbacks.try_acquire() else {
        return Err(Refusal::new(Reason::Busy, "others are called back"));
    };
    if let Some(peer) = lock(&node.peers.table).get_mut(&key) {
        if peer.called_back.is_some_and(|when| when.elapsed() < PACE) {
            return Err(Refusal::new(Reason::Busy, "it was called back just now"));
        }
        peer.called_back = Some(Instant::now());
    }
    Ok(turn)
}

/// Calls the peer of `link` on `port`: at the address where it is seen or, over a relay, at
/// those of its record.
pub(crate) async fn call(node: &Node, link: &Link, port: u16) -> Answers {
    let seen = link.route().address.map(|a| a.ip());
    let recorded = || {
        let members = node.members();
        let member = members.by_key.get(&link.key);
        let known = member.map(|m| m.addresses.clone()).unwrap_or_default();
        known.iter().map(|a| a.ip()).take(ADDRESSES).collect()
    };
    let addresses: Vec<IpAddr> = seen.map_or_else(recorded, |ip| vec![ip]);
    let calls = addresses
        .into_iter()
        .map(|ip| at(SocketAddr::new(ip, port), link.key, seen.is_some()));
    let found = join_all(calls).await;
    Answers {
        udp: found.iter().any(|f| f.udp),
        tcp: found.iter().any(|f| f.tcp),
    }
}

/// Calls one address. What answers without saying who it is counts only where the peer was
/// `seen`: elsewhere, and if it says so itself, it may be another box with the same address.
/// There it gets no large packet either: anybody can write anybody's address into a record.
async fn at(address: SocketAddr, key: Key, seen: bool) -> Answers {
    let who = timeout(PATIENCE, who::ask_at(address)).await;
    let who = who.ok().and_then(Result::ok).map(|whois| whois.key == key);
    let udp = who.unwrap_or(seen) && matches!(timeout(PATIENCE, knock(address)).await, Ok(Ok(())));
    Answers {
        udp,
        tcp: who == Some(true),
    }
}

/// Waits for a QUIC server's answer to a packet that is no connection.
async fn knock(address: SocketAddr) -> io::Result<()> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(address).await?;
    let mut ids = [0; 16];
    getrandom::fill(&mut ids).map_err(io::Error::other)?;
    let packet = packet(ids);
    let mut answer = [0; PACKET];
    loop {
        socket.send(&packet).await?;
        if let Ok(received) = timeout(RESEND, socket.recv(&mut answer)).await
            && answers(&answer[..received?], ids)
        {
            return Ok(());
        }
    }
}

/// A long header (RFC 9000 section 17.2): flags, version, two identities of 8 bytes.
fn packet(ids: [u8; 16]) -> Vec<u8> {
    let mut packet = vec![0xc0];
    packet.extend(RESERVED);
    for id in ids.chunks(8) {
        packet.push(8);
        packet.extend(id);
    }
    packet.resize(PACKET, 0);
    packet
}

/// Whether this is a Version Negotiation packet (RFC 9000 section 17.2.1) for those identities.
fn answers(packet: &[u8], ids: [u8; 16]) -> bool {
    let (ours, theirs) = ids.split_at(8);
    let mut wanted = vec![0, 0, 0, 0, 8];
    wanted.extend(theirs);
    wanted.push(8);
    wanted.extend(ours);
    packet
        .split_first()
        .is_some_and(|(flags, rest)| flags & 0x80 != 0 && rest.starts_with(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_its_packet_only() {
        let ids: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap_or_default());
        let mut answer = vec![0xca, 0, 0, 0, 0, 8];
        answer.extend(&ids[8..]);
        answer.push(8);
        answer.extend(&ids[..8]);
        answer.extend([0, 0, 0, 1]);
        assert!(answers(&answer, ids));
        assert!(!answers(&answer, [0; 16]));
        assert!(!answers(&answer[..12], ids));
        assert!(!answers(&packet(ids), ids));
        assert_eq!(packet(ids).len(), 1200);
    }

    #[test]
    fn mutants_are_answers_or_not() {
        let ids = [7; 16];
        let mut answer = vec![0xca, 0, 0, 0, 0, 8];
        answer.extend([&ids[8..], &[8], &ids[..8], &[0, 0, 0, 1]].concat());
        let samples = [answer, packet(ids)];
        guifi_testing::fuzz::bytes("call-back", &samples, |bytes| {
            let _ = answers(bytes, ids);
        });
    }
}
