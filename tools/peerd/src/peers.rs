//! The peers and their connections: one per peer as a rule, two after both dialled at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use guifi_streams::{Key, PathKind};
use iroh::TransportAddr;
use iroh::endpoint::{Connection, Side, VarInt};
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

use crate::dial;
use crate::incoming;
use crate::limits::{Share, Source};
use crate::members::Members;
use crate::node::{Node, Notice, Refusal, count, lock, now_seconds};
use crate::transport;

/// How many connections with one peer are kept: two after simultaneous dials, and some that it
/// has forgotten after a restart. The oldest goes first.
const MAX_LINKS: usize = 4;
/// How many strangers may be connected,
const MAX_STRANGERS: usize = 32;
/// and how many of one address.
const STRANGERS_THERE: usize = 4;
/// When all places are taken, a stranger who came so long ago makes room.
const LONG: Duration = Duration::from_secs(60);
/// How many streams of one connection are looked at at once: others get their turns between.
const OPENING: usize = 32;
/// How long the book of addresses may stay unwritten.
const SAVE_AFTER: Duration = Duration::from_secs(300);

/// Why a connection is closed, as the peer reads it.
pub(crate) mod close {
    /// Nothing is going on.
    pub(crate) const IDLE: (u32, &[u8]) = (0, b"idle");
    /// The peer may not speak with this box.
    pub(crate) const DENIED: (u32, &[u8]) = (1, b"denied");
    /// Too many connections.
    pub(crate) const BUSY: (u32, &[u8]) = (2, b"busy");
    /// The connection does not answer.
    pub(crate) const SILENT: (u32, &[u8]) = (3, b"silent");
}

/// All peers that there is something to say about.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    pub(crate) table: Mutex<HashMap<Key, Peer>>,
    /// Rung when a connection may have become idle.
    pub(crate) idle: Notify,
}

/// One peer.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Its connections, the newest last.
    pub(crate) links: Vec<Arc<Link>>,
    /// Held by whoever dials.
    pub(crate) dialling: Arc<tokio::sync::Mutex<()>>,
    /// The last failed dial, and the addresses it tried.
    pub(crate) failed: Option<(Instant, Refusal, usize)>,
    pub(crate) last_seen: Option<SystemTime>,
    /// When it was last called back.
    pub(crate) called_back: Option<Instant>,
    /// Addresses that an administrator gave.
    pub(crate) hints: Vec<SocketAddr>,
    /// What it takes.
    pub(crate) share: Arc<Share>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) key: Key,
    pub(crate) connection: Connection,
    pub(crate) share: Arc<Share>,
    /// Where a peer that called is; none if it was called.
    caller: Option<Source>,
    since: Instant,
    streams: AtomicUsize,
    idle_since: Mutex<Instant>,
}

/// Where a connection leads now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) path: PathKind,
    pub(crate) rtt: Duration,
    pub(crate) address: Option<SocketAddr>,
}

impl Route {
    pub(crate) fn rtt_us(&self) -> u32 {
        u32::try_from(self.rtt.as_micros()).unwrap_or(u32::MAX)
    }
}

impl Link {
    /// The path in use, its round trip and the peer's address on it.
    pub(crate) fn route(&self) -> Route {
        let paths = self.connection.paths();
        let mut route = Route {
            path: PathKind::None,
            rtt: Duration::ZERO,
            address: None,
        };
        for path in paths.iter() {
            // Before one is selected, the first stands for it.
            if path.is_selected() || route.path == PathKind::None {
                route.rtt = path.rtt();
                (route.path, route.address) = match path.remote_addr() {
                    TransportAddr::Ip(address) => (PathKind::Direct, Some(canonical(*address))),
                    _ => (PathKind::Relay, None),
                };
            }
        }
        route
    }

    /// Packets received so far: more than before means the peer is alive.
    pub(crate) fn heard(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    /// Counts a stream until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>, node: &Arc<Node>) -> Busy {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Busy {
            link: self.clone(),
            node: node.clone(),
        }
    }

    /// Streams on this connection.
    pub(crate) fn stream_count(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// For how long no stream has been on it.
    pub(crate) fn idle(&self) -> Option<Duration> {
        (self.stream_count() == 0).then(|| lock(&self.idle_since).elapsed())
    }

    pub(crate) fn close(&self, (code, reason): (u32, &[u8])) {
        self.connection.close(VarInt::from_u32(code), reason);
    }
}

/// A stream that keeps its connection from being idle.
#[derive(Debug)]
pub(crate) struct Busy {
    link: Arc<Link>,
    node: Arc<Node>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.link.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            *lock(&self.link.idle_since) = Instant::now();
            self.node.peers.idle.notify_one();
        }
    }
}

impl Peers {
    /// The newest living connection of a peer.
    pub(crate) fn newest(&self, key: Key) -> Option<Arc<Link>> {
        let table = lock(&self.table);
        let links = &table.get(&key)?.links;
        links
            .iter()
            .rev()
            .find(|link| link.connection.close_reason().is_none())
            .cloned()
    }

    /// Every connection.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        let table = lock(&self.table);
        table.values().flat_map(|p| p.links.clone()).collect()
    }
}

/// Takes a fresh connection in: serves its streams and watches its paths until it ends.
pub(crate) fn adopt(node: &Arc<Node>, connection: Connection) -> Option<Arc<Link>> {
    let key = Key(*connection.remote_id().as_bytes());
    let members = node.members();
    let mut table = lock(&node.peers.table);
    let refused = if members.banned.contains(&key) {
        Some(close::DENIED)
    } else if connection.side() == Side::Server {
        crowded(&table, &members, &connection, key).then_some(close::BUSY)
    } else {
        None
    };
    if let Some((code, reason)) = refused {
        drop(table);
        connection.close(VarInt::from_u32(code), reason);
        count(&node.counters.connections_refused, 1);
        node.complaints.say(
            key,
            "connects too often or may not; refusing some connections",
        );
        return None;
    }
    if members.contains(key) {
        transport::widen(&connection);
    }
    let peer = table.entry(key).or_default();
    let link = Arc::new(Link {
        key,
        caller: caller(&connection),
        connection,
        share: peer.share.clone(),
        since: Instant::now(),
        streams: AtomicUsize::new(0),
        idle_since: Mutex::new(Instant::now()),
    });
    while peer.links.len() >= MAX_LINKS {
        peer.links.remove(0).close(close::BUSY);
    }
    for older in &peer.links {
        // It may have dialled because its end of that one is gone: killed and back, it leaves a
        // connection that takes up to forty seconds to time out.
        tokio::spawn(doubt(node.clone(), older.clone()));
    }
    peer.links.push(link.clone());
    peer.failed = None;
    peer.last_seen = Some(SystemTime::now());
    drop(table);
    tokio::spawn(attend(node.clone(), link.clone()));
    node.notice(Notice::Peer(key));
    node.peers.idle.notify_one();
    Some(link)
}

/// Where the peer that made a connection is.
fn caller(connection: &Connection) -> Option<Source> {
    (connection.side() == Side::Server).then(|| {
        let address = connection
            .paths()
            .iter()
            .find_map(|path| match path.remote_addr() {
                TransportAddr::Ip(address) => Some(Source::from(*address)),
                _ => None,
            });
        address.unwrap_or(Source::Key(Key(*connection.remote_id().as_bytes())))
    })
}

/// Whether `key` calls too often, or there is no place for one more stranger.
fn crowded(
    table: &HashMap<Key, Peer>,
    members: &Members,
    connection: &Connection,
    key: Key,
) -> bool {
    if members.by_key.contains_key(&key) {
        let share = table.get(&key).map(|peer| &peer.share);
        return share.is_some_and(|share| !share.admits_connection());
    }
    let from = caller(connection);
    let mut strangers: Vec<&Arc<Link>> = table
        .iter()
        .filter(|(key, _)| !members.by_key.contains_key(key))
        .flat_map(|(_, peer)| &peer.links)
        .filter(|link| link.caller.is_some())
        .collect();
    if strangers.iter().filter(|link| link.caller == from).count() >= STRANGERS_THERE {
        return true;
    }
    if strangers.len() < MAX_STRANGERS {
        return false;
    }
    strangers.sort_by_key(|link| link.since);
    match strangers.first() {
        Some(oldest) if oldest.since.elapsed() >= LONG => {
            oldest.close(close::BUSY);
            false
        }
        _ => true,
    }
}

async fn doubt(node: Arc<Node>, link: Arc<Link>) {
    if !dial::is_alive(&node, &link).await {
        link.close(close::SILENT);
    }
}

async fn attend(node: Arc<Node>, link: Arc<Link>) {
    let mut paths = link.connection.path_events();
    let opening = Arc::new(Semaphore::new(OPENING));
    remember(&node, &link);
    loop {
        let stream = async {
            // Never closed.
            let turn = opening.clone().acquire_owned().await.ok();
            link.connection
                .accept_bi()
                .await
                .map(|halves| (turn, halves))
        };
        tokio::select! {
            stream = stream => match stream {
                Ok((turn, (send, recv))) => {
                    if let Some(wait) = link.share.pace() {
                        count(&node.counters.delayed, 1);
                        node.complaints
                            .say(link.key, "opens streams too fast; holding it back");
                        sleep(wait).await;
                    }
                    tokio::spawn(incoming::serve(node.clone(), link.clone(), turn, send, recv));
                }
                Err(e) => {
                    log::debug!("connection with {} ended: {e}", link.key);
                    break;
                }
            },
            event = paths.next() => if event.is_some() {
                remember(&node, &link);
                node.notice(Notice::Peer(link.key));
            } else {
                // The connection is about to end; that is seen above.
                link.connection.closed().await;
            },
        }
    }
    if let Some(peer) = lock(&node.peers.table).get_mut(&link.key) {
        peer.links.retain(|l| !Arc::ptr_eq(l, &link));
        peer.last_seen = Some(SystemTime::now());
    }
    node.notice(Notice::Peer(link.key));
}

/// Writes down the address that works.
fn remember(node: &Arc<Node>, link: &Link) {
    let Some(address) = link.route().address else {
        return;
    };
    if !node.members().contains(link.key) {
        return;
    }
    if lock(&node.book).worked(link.key, address, now_seconds()) {
        let node = Arc::downgrade(node);
        tokio::spawn(async move {
            tokio::time::sleep(SAVE_AFTER).await;
            if let Some(node) = node.upgrade() {
                node.save();
            }
        });
    }
}

/// An IPv4 address without its IPv6 clothes.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
