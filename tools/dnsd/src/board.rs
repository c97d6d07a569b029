//! What the workers answer from: one immutable snapshot, replaced as a whole. A reader looks
//! at one number per batch of questions and takes no lock while it stays the same.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::hosted::{Hosted, View, Zone};
use crate::keys::Keys;
use crate::limit::Rules;
use crate::name::Name;
use crate::query::Question;
use crate::respond::Client;
use crate::secondary::{Followed, Register};
use crate::zone::Zones;

/// Who is resolved for, which zones have servers of their own, and how much others get.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    /// Networks: address and length of the prefix.
    pub networks: Vec<(IpAddr, u8)>,
    /// Zones with servers of their own, lower case.
    pub zones: Vec<Name>,
    /// Limits of answers.
    pub limit: Rules,
}

impl Policy {
    /// Whether `client` is this box, on one of its links, or allowed.
    pub fn knows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        client.is_loopback()
            || link_local(client)
            || self.networks.iter().any(|&network| within(client, network))
    }

    /// What may be told to `client`, and done for it.
    pub fn client(&self, client: IpAddr) -> Client {
        let known = self.knows(client);
        Client {
            known,
            inside: known || private(client.to_canonical()),
        }
    }

    /// Whether the name of `question` is in a zone with servers of its own.
    pub fn conditional(&self, question: &Question) -> bool {
        self.zones
            .iter()
            .any(|zone| question.ends_with(zone.wire(), zone.labels().count()))
    }
}

/// The networks that guifi.net uses, and those that any link may have.
fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            a.is_private() || within(address, (Ipv4Addr::new(100, 64, 0, 0).into(), 10))
        }
        IpAddr::V6(a) => a.is_unique_local(),
    }
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    }
}

/// Whether `address` is in the network.
pub fn within(address: IpAddr, (network, length): (IpAddr, u8)) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let shift = 32 - u32::from(length.min(32));
            (u64::from(a.to_bits() ^ n.to_bits()) >> shift) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let differ = a.to_bits() ^ n.to_bits();
            differ
                .checked_shr(128 - u32::from(length.min(128)))
                .unwrap_or(0)
                == 0
        }
        _ => false,
    }
}

/// One state of everything that answers depend on.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The names.
    pub zones: Arc<Zones>,
    /// The clients.
    pub policy: Arc<Policy>,
    /// The keys that others sign with.
    pub keys: Arc<Keys>,
    /// Hosted zones as clients inside see them.
    pub internal: Arc<Hosted>,
    /// Hosted zones as all others see them.
    pub external: Arc<Hosted>,
    /// Those that are copies.
    pub followed: Arc<Register>,
}

impl Snapshot {
    /// The hosted zones that a client inside or outside sees.
    pub fn hosted(&self, inside: bool) -> &Hosted {
        if inside {
            &self.internal
        } else {
            &self.external
        }
    }

    /// The copy of a zone that is followed, if it may be answered from.
    pub fn copy(&self, followed: &Followed) -> Option<&Arc<Zone>> {
        let zone = self
            .hosted(followed.view == View::Internal)
            .get(&followed.zone)?;
        Some(zone).filter(|zone| !zone.expired)
    }
}

/// Told after a change, so that an idle reader lets go of the old snapshot.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// The place where snapshots are published.
#[derive(Default)]
pub struct Board {
    generation: AtomicU64,
    current: Mutex<Arc<Snapshot>>,
    wakers: Mutex<Vec<Waker>>,
}

impl Board {
    /// The present snapshot.
    pub fn get(&self) -> Arc<Snapshot> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Publishes a changed snapshot.
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            change(Arc::make_mut(&mut current));
            self.generation.fetch_add(1, Ordering::Release);
        }
        for waker in self
            .wakers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            waker();
        }
    }

    /// Adds a waker.
    pub fn on_change(&self, waker: Waker) {
        self.wakers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(waker);
    }
}

/// One reader's hold on the board.
pub struct Reader {
    board: Arc<Board>,
    generation: u64,
    snapshot: Arc<Snapshot>,
}

impl Reader {
    /// A reader of `board`.
    pub fn new(board: Arc<Board>) -> Self {
        // The number first: a change in between is then seen once more.
        let generation = board.generation.load(Ordering::Acquire);
        let snapshot = board.get();
        Self {
            board,
            generation,
            snapshot,
        }
    }

    /// The present snapshot.
    pub fn get(&mut self) -> &Snapshot {
        let generation = self.board.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            self.snapshot = self.board.get();
        }
        &self.snapshot
    }
}
