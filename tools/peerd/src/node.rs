//! What all parts of the daemon share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use guifi_core::Root;
use guifi_streams::{Key, Reason};
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::book::Book;
use crate::callback;
use crate::client::Client;
use crate::config::Settings;
use crate::coordinates::Place;
use crate::identity::Identity;
use crate::limits::{Complaints, PEER_STALLED, Share};
use crate::members::Members;
use crate::net::Net;
use crate::peers::Peers;
use crate::reach::Reached;

/// From so many streams to slow readers on a peer with such streams may open no more: each holds
/// up to a stream window of 1 MiB.
const MAX_STALLED: usize = 32;
/// Descriptors kept back for what is not a stream.
const RESERVE: usize = 64;

/// A refusal: the reason, and what happened in words.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(pub(crate) Reason, pub(crate) String);

impl Refusal {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self(reason, text.into())
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self(reason, reason.to_string())
    }
}

/// Something that people on the bus may want to know.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Notice {
    /// A peer came, went or changed its path.
    Peer(Key),
    /// The link to a relay came or went.
    Relay(String, bool),
}

/// Numbers since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) opened: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) delayed: AtomicU64,
    pub(crate) stalled: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) callers_refused: AtomicU64,
    pub(crate) relay_refused: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) received_bytes: AtomicU64,
    pub(crate) dials: AtomicU64,
    pub(crate) dials_failed: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// The daemon's state. No lock is held across an await.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) root: Root,
    pub(crate) identity: Identity,
    settings: Mutex<Arc<Settings>>,
    members: Mutex<Arc<Members>>,
    net: Mutex<Option<Arc<Net>>>,
    /// Held while going online or offline.
    pub(crate) configuring: tokio::sync::Mutex<()>,
    pub(crate) peers: Peers,
    pub(crate) listeners: Mutex<HashMap<String, Arc<Client>>>,
    /// Rung when a program begins to serve a protocol.
    pub(crate) listening: Notify,
    /// The connection to the bus, while there is one.
    pub(crate) bus: Mutex<Option<zbus::Connection>>,
    pub(crate) book: Mutex<Book>,
    /// Addresses of members heard on the link.
    pub(crate) link: Mutex<HashMap<Key, Vec<SocketAddr>>>,
    /// Whether others reach this box, once it is known.
    pub(crate) reached: Mutex<Option<Reached>>,
    /// Where this box is in the space of round trips.
    pub(crate) place: Mutex<Place>,
    /// Turns of those who want to know that of themselves.
    pub(crate) callbacks: Semaphore,
    pub(crate) counters: Counters,
    pub(crate) complaints: Complaints,
    pub(crate) notices: broadcast::Sender<Notice>,
    /// Rung when the community or the settings changed.
    pub(crate) reconfigured: Notify,
    /// Rung when another key lies in the place of this one.
    pub(crate) succeeded: Notify,
    pub(crate) clients: AtomicUsize,
    /// Connections of others to the relay.
    pub(crate) relayed: AtomicUsize,
    stalled: AtomicUsize,
    streams: AtomicUsize,
    next: AtomicU64,
    descriptors: usize,
}

impl Node {
    pub(crate) fn new(root: &Root, settings: Settings, identity: Identity) -> Arc<Self> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Arc::new(Self {
            root: root.clone(),
            identity,
            settings: Mutex::new(Arc::new(settings)),
            members: Mutex::default(),
            net: Mutex::default(),
            configuring: tokio::sync::Mutex::default(),
            peers: Peers::default(),
            listeners: Mutex::default(),
            listening: Notify::new(),
            bus: Mutex::default(),
            book: Mutex::new(Book::load(root)),
            link: Mutex::default(),
            reached: Mutex::default(),
            place: Mutex::default(),
            callbacks: Semaphore::new(callback::TURNS),
            counters: Counters::default(),
            complaints: Complaints::default(),
            notices: broadcast::channel(256).0,
            reconfigured: Notify::new(),
            succeeded: Notify::new(),
            clients: AtomicUsize::new(0),
            relayed: AtomicUsize::new(0),
            stalled: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            next: AtomicU64::new(1),
            descriptors: limit.and_then(|l| usize::try_from(l).ok()).unwrap_or(1024),
        })
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        lock(&self.settings).clone()
    }

    pub(crate) fn set_settings(&self, settings: Settings) {
        *lock(&self.settings) = Arc::new(settings);
        self.reconfigured.notify_waiters();
    }

    pub(crate) fn members(&self) -> Arc<Members> {
        lock(&self.members).clone()
    }

    pub(crate) fn set_members(&self, members: Members) -> Arc<Members> {
        std::mem::replace(&mut *lock(&self.members), Arc::new(members))
    }

    pub(crate) fn net(&self) -> Option<Arc<Net>> {
        lock(&self.net).clone()
    }

    pub(crate) fn set_net(&self, net: Option<Arc<Net>>) -> Option<Arc<Net>> {
        std::mem::replace(&mut *lock(&self.net), net)
    }

    /// Tells the bus, if it is there.
    pub(crate) fn notice(&self, notice: Notice) {
        // Nobody may be listening.
        let _ = self.notices.send(notice);
    }

    pub(crate) fn stream_count(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Makes room for one more stream of a program, or says why there is none.
    pub(crate) fn admit_stream(self: &Arc<Self>) -> Result<StreamSlot, Refusal> {
        match self.free_streams() {
            Ok(0) => Err(busy("busy: too many streams are open")),
            Ok(_) => Ok(self.slot(None)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Makes room for one more stream that the peer of `share` opens, or says why there is none.
    pub(crate) fn admit_peer(self: &Arc<Self>, share: &Arc<Share>) -> Result<StreamSlot, Refusal> {
        let stalled = share.stalled.load(Ordering::Relaxed);
        let many = self.stalled.load(Ordering::Relaxed) >= MAX_STALLED;
        if stalled >= PEER_STALLED || (many && stalled > 0) {
            return Err(busy("busy: too many of its streams wait for slow readers"));
        }
        if !share.admits_stream(self.free_streams()?) {
            return Err(busy("busy: too many of its streams are open"));
        }
        Ok(self.slot(Some(share.clone())))
    }

    /// How many more streams can be open.
    fn free_streams(&self) -> Result<usize, Refusal> {
        let streams = self.stream_count();
        let others = [&self.clients, &self.relayed].map(|n| n.load(Ordering::Relaxed));
        let used = streams + others.iter().sum::<usize>() + RESERVE;
        let descriptors = (self.descriptors * 9 / 10).saturating_sub(used);
        if descriptors == 0 {
            return Err(busy("busy: file descriptors run short"));
        }
        let wanted = self.settings().max_streams as usize;
        Ok(wanted.saturating_sub(streams).min(descriptors))
    }

    fn slot(self: &Arc<Self>, share: Option<Arc<Share>>) -> StreamSlot {
        self.streams.fetch_add(1, Ordering::Relaxed);
        if let Some(share) = &share {
            share.streams.fetch_add(1, Ordering::Relaxed);
        }
        StreamSlot {
            node: self.clone(),
            share,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Counts a stream with the peer of `share` whose reader is slow.
    pub(crate) fn stall(self: &Arc<Self>, share: &Arc<Share>) -> Stalled {
        let before = share.stalled.fetch_add(1, Ordering::Relaxed);
        // One peer alone must not make it many.
        let counted = before < PEER_STALLED;
        if counted {
            self.stalled.fetch_add(1, Ordering::Relaxed);
        }
        Stalled {
            node: self.clone(),
            share: share.clone(),
            counted,
        }
    }

    /// Ends the connections of programs and to the bus, which is what they hold on to each
    /// other by.
    pub(crate) fn let_go(&self) {
        lock(&self.listeners).clear();
        *lock(&self.bus) = None;
    }

    /// Writes down what must survive a restart.
    pub(crate) fn save(&self) {
        lock(&self.book).save();
    }
}

fn busy(text: &str) -> Refusal {
    Refusal::new(Reason::Busy, text)
}

/// The right to one stream, given back when dropped.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    node: Arc<Node>,
    share: Option<Arc<Share>>,
    pub(crate) number: u64,
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.node.streams.fetch_sub(1, Ordering::Relaxed);
        if let Some(share) = &self.share {
            share.streams.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A stream whose reader is slow, for as long as it is.
#[derive(Debug)]
pub(crate) struct Stalled {
    node: Arc<Node>,
    share: Arc<Share>,
    counted: bool,
}

impl Stalled {
    /// How many streams with that peer are so.
    pub(crate) fn of_peer(&self) -> usize {
        self.share.stalled.load(Ordering::Relaxed)
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.share.stalled.fetch_sub(1, Ordering::Relaxed);
        if self.counted {
            self.node.stalled.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Locks; a panic elsewhere does not spread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970 UTC.
pub(crate) fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}
