//! The daemon's state as one JSON document, for `Describe` and `guifi-peer --json`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use guifi_streams::{Key, PathKind};
use iroh::Watcher as _;
use serde_json::{Value, json};

use crate::node::{Node, lock};
use crate::peers::{Peer, Route};

/// Up to this many members all are listed, beyond only those that were met.
const LIST_ALL: usize = 1000;

/// The document.
pub(crate) fn document(node: &Node) -> String {
    let members = node.members();
    let settings = node.settings();
    let net = node.net();
    let reached = *lock(&node.reached);
    let community = members
        .community
        .as_ref()
        .map(|id| json!({"id": id, "name": members.name}));
    let relay = net.as_ref().and_then(|n| n.relay.as_ref());
    let home_relays: Vec<Value> = net
        .iter()
        .flat_map(|n| n.endpoint.home_relay_status().get())
        .map(|s| json!({"url": s.url().to_string(), "connected": s.is_connected()}))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "key": node.identity.public(),
        "community": community,
        "online": net.is_some(),
        "port": settings.port,
        "addresses": net.as_ref().map(|n| n.addresses()).unwrap_or_default(),
        "relay": relay.map(|r| r.ports()),
        "relay_usage": relay.map(|r| {
            let (connections, bytes) = r.usage();
            json!({"connections": connections, "sent_bytes": bytes})
        }),
        "home_relays": home_relays,
        "relays": net.as_ref().map(|n| n.relays.named()).unwrap_or_default(),
        "coordinate": lock(&node.place).say(),
        "reached_from_outside": reached.map(|r| json!({
            "udp": r.answers.udp,
            "tcp": r.answers.tcp,
            "helper": r.helper,
            "at": time(r.when),
        })),
        "members": members.by_key.len(),
        "peers": peers(node),
        "streams": node.stream_count(),
        "counters": counters(node),
    })
    .to_string()
}

fn peers(node: &Node) -> Vec<Value> {
    let members = node.members();
    let own = node.identity.public();
    let mut all: BTreeMap<Key, Value> = lock(&node.peers.table)
        .iter()
        .map(|(key, peer)| (*key, known(*key, members.contains(*key), peer)))
        .collect();
    if members.by_key.len() <= LIST_ALL {
        let unknown = Peer::default();
        for key in members.by_key.keys().filter(|key| **key != own) {
            all.entry(*key)
                .or_insert_with(|| known(*key, members.contains(*key), &unknown));
        }
    }
    all.into_values().collect()
}

fn known(key: Key, member: bool, peer: &Peer) -> Value {
    let route = peer.links.last().map(|link| link.route());
    let seen = match &route {
        Some(_) => Some(SystemTime::now()),
        None => peer.last_seen,
    };
    json!({
        "key": key,
        "member": member,
        "path": path(route).to_string(),
        "address": route.and_then(|r| r.address),
        "rtt_ms": route.map(|r| milliseconds(r.rtt)),
        "last_seen": seen.map(time),
        "streams": peer.links.iter().map(|l| l.stream_count()).sum::<usize>(),
    })
}

/// How a peer is reached now.
pub(crate) fn path(route: Option<Route>) -> PathKind {
    route.map_or(PathKind::None, |r| r.path)
}

fn counters(node: &Node) -> Value {
    let c = &node.counters;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    json!({
        "streams_opened": read(&c.opened),
        "streams_accepted": read(&c.accepted),
        "streams_refused": read(&c.refused),
        "streams_delayed": read(&c.delayed),
        "streams_stalled": read(&c.stalled),
        "connections_refused": read(&c.connections_refused),
        "callers_refused": read(&c.callers_refused),
        "relay_refused": read(&c.relay_refused),
        "sent_bytes": read(&c.sent_bytes),
        "received_bytes": read(&c.received_bytes),
        "dials": read(&c.dials),
        "dials_failed": read(&c.dials_failed),
        "clients": node.clients.load(Ordering::Relaxed),
    })
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// RFC 3339, UTC, whole seconds.
fn time(when: SystemTime) -> String {
    let seconds = when
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    jiff::Timestamp::from_second(seconds)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}
