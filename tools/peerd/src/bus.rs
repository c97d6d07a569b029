//! `net.guifi.Peer1` on the system bus: status and administration, no streams. The daemon serves
//! streams without the bus too, and comes back to it when it returns.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guifi_bus::{Failure, PEER};
use guifi_streams::{Key, PathKind, Reason};
use tokio::sync::{Semaphore, broadcast};
use tokio::time::{sleep, timeout};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, connection, interface};

use crate::incoming::PING;
use crate::node::{Node, Notice, Refusal, lock};
use crate::peers::close;
use crate::{describe, dial, link};

/// How long the start waits for the bus.
const START: Duration = Duration::from_secs(5);
/// The pauses between attempts to come back to the bus.
const RETRY: [u64; 4] = [1, 2, 5, 10];
/// How long changes are collected before they are told.
const COLLECT: Duration = Duration::from_secs(1);
/// How long `Ping` and `Connect` may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many of them may be under way.
const PINGS: usize = 8;
/// How many address hints a peer may have.
const MAX_HINTS: usize = 8;

struct Reads {
    node: Arc<Node>,
    pings: Semaphore,
}

struct Admin {
    node: Arc<Node>,
}

#[interface(name = "net.guifi.Peer1")]
impl Reads {
    async fn describe(&self) -> String {
        describe::document(&self.node)
    }

    /// Round trip to a member and back, in microseconds.
    async fn ping(&self, key: &str) -> Result<u32, Failure> {
        let key = parse(key)?;
        let _permit = self
            .pings
            .try_acquire()
            .map_err(|_| Failure::TryLater("too many pings are under way".to_owned()))?;
        // The first opening may include a dial, the second is the measurement.
        open_ping(&self.node, key).await?;
        let begin = Instant::now();
        open_ping(&self.node, key).await?;
        Ok(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX))
    }

    #[zbus(signal)]
    async fn peer_changed(
        emitter: &SignalEmitter<'_>,
        key: &str,
        state: &str,
        path: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn relay_changed(
        emitter: &SignalEmitter<'_>,
        url: &str,
        connected: bool,
    ) -> zbus::Result<()>;
}

#[interface(name = "net.guifi.Peer1.Admin")]
impl Admin {
    async fn connect(&self, key: &str) -> Result<(), Failure> {
        open_ping(&self.node, parse(key)?).await
    }

    async fn disconnect(&self, key: &str) -> Result<(), Failure> {
        let key = parse(key)?;
        let links = self.node.peers.links();
        let of_peer: Vec<_> = links.iter().filter(|l| l.key == key).collect();
        if of_peer.is_empty() {
            return Err(Failure::NotFound(format!("{key} is not connected")));
        }
        for link in of_peer {
            link.close(close::IDLE);
        }
        Ok(())
    }

    async fn set_hint(&self, key: &str, addresses: Vec<String>) -> Result<(), Failure> {
        let key = parse(key)?;
        if addresses.len() > MAX_HINTS {
            return Err(Failure::Invalid(format!(
                "at most {MAX_HINTS} addresses are kept"
            )));
        }
        let hints = addresses
            .iter()
            .map(|a| a.parse::<SocketAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Failure::Invalid("an address is IP:PORT".to_owned()))?;
        lock(&self.node.peers.table).entry(key).or_default().hints = hints;
        Ok(())
    }
}

fn parse(key: &str) -> Result<Key, Failure> {
    key.parse()
        .map_err(|e| Failure::Invalid(format!("'{key}' is {e}")))
}

async fn open_ping(node: &Arc<Node>, key: Key) -> Result<(), Failure> {
    match dial::open(node, key, PING, &[], PATIENCE).await {
        Ok(_) => Ok(()),
        Err(Refusal(reason, text)) => Err(match reason {
            Reason::Invalid => Failure::Invalid(text),
            Reason::Busy | Reason::TimedOut => Failure::TryLater(text),
            Reason::NotAllowed => Failure::NotAllowed(text),
            Reason::Offline | Reason::Unknown | Reason::Unreachable => Failure::Unavailable(text),
            _ => Failure::Failed(text),
        }),
    }
}

/// Comes on the bus, and stays there; returns after the first attempt.
pub(crate) async fn start(node: &Arc<Node>) {
    let first = match timeout(START, serve(node)).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(e)) => {
            log::warn!("cannot come on the bus: {e}; serving streams without it");
            None
        }
        Err(_) => {
            log::warn!("the bus does not answer; serving streams without it");
            None
        }
    };
    tokio::spawn(stay(node.clone(), first));
}

async fn serve(node: &Arc<Node>) -> zbus::Result<Connection> {
    let reads = Reads {
        node: node.clone(),
        pings: Semaphore::new(PINGS),
    };
    connection::Builder::system()
        .serve_at(PEER.path, reads)
        .serve_at(PEER.path, Admin { node: node.clone() })
        .name(PEER.name)
        .build()
        .await
}

async fn stay(node: Arc<Node>, mut bus: Option<Connection>) {
    let mut pauses = RETRY.iter().copied();
    loop {
        if let Some(connection) = bus.take() {
            *lock(&node.bus) = Some(connection.clone());
            tokio::select! {
                () = connection.closed() => {}
                () = tell(&node, &connection) => {}
                () = link::run(&node, &connection) => {}
            }
            log::warn!("the bus is gone; serving streams without it");
            lock(&node.link).clear();
            *lock(&node.bus) = None;
            pauses = RETRY.iter().copied();
        }
        sleep(Duration::from_secs(pauses.next().unwrap_or(RETRY[3]))).await;
        match timeout(START, serve(&node)).await {
            Ok(Ok(connection)) => {
                log::info!("on the bus again");
                bus = Some(connection);
            }
            Ok(Err(e)) => log::debug!("cannot come on the bus: {e}"),
            Err(_) => log::debug!("the bus does not answer"),
        }
    }
}

/// Has the bus start the service that owns `name`.
pub(crate) async fn activate(node: &Node, name: &str) -> zbus::Result<()> {
    let connection = lock(&node.bus).clone();
    let connection = connection.ok_or_else(|| zbus::Error::Failure("there is no bus".into()))?;
    let proxy = zbus::fdo::DBusProxy::new(&connection).await?;
    proxy.start_service_by_name(name.try_into()?, 0).await?;
    Ok(())
}

/// Sends signals, at most one a second for each peer.
async fn tell(node: &Node, connection: &Connection) {
    let Ok(emitter) = SignalEmitter::new(connection, PEER.path) else {
        return;
    };
    let mut notices = node.notices.subscribe();
    loop {
        let mut changed = HashSet::new();
        match notices.recv().await {
            Ok(notice) => drop(changed.insert(notice)),
            // Something was missed: readers ask `Describe` anyway.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
        sleep(COLLECT).await;
        while let Ok(notice) = notices.try_recv() {
            changed.insert(notice);
        }
        for notice in changed {
            // A bus that does not take it is about to be seen as gone.
            let _ = match notice {
                Notice::Peer(key) => {
                    let route = node.peers.newest(key).map(|l| l.route());
                    let path = describe::path(route);
                    let state = match path {
                        PathKind::None if route.is_none() => "disconnected",
                        _ => "connected",
                    };
                    let (key, path) = (key.to_string(), path.to_string());
                    Reads::peer_changed(&emitter, &key, state, &path).await
                }
                Notice::Relay(url, up) => Reads::relay_changed(&emitter, &url, up).await,
            };
        }
    }
}
