//! Zones of other servers, of which this box keeps a copy: fetched as a whole or by their
//! changes, asked for again as their SOA record says (RFC 1034 section 4.3.5). The holder of the
//! zones keeps the copies and decides; here is what waits and asks.

pub mod apply;
pub mod fetch;
pub mod follow;
pub mod notice;
pub mod stream;
pub mod timers;
pub mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::hosted::View;
use crate::hosted::blob::Delta;
use crate::hosted::spec::Server;
use crate::name::Name;
use crate::state::now;

/// A zone that is followed.
#[derive(Debug)]
pub struct Followed {
    /// Its name, lower case.
    pub zone: Name,
    /// Under which view it is kept.
    pub view: View,
    /// Where it comes from, in the order of asking.
    pub primaries: Vec<Server>,
    /// Rung to have it asked for at once. Rung while that is done, it is done once more.
    bell: Notify,
    /// Whether all of it is wanted, whatever its serial.
    whole: AtomicBool,
}

impl Followed {
    /// Begins to follow a zone.
    pub fn new(zone: Name, view: View, primaries: Vec<Server>) -> Self {
        Self {
            zone,
            view,
            primaries,
            bell: Notify::new(),
            whole: AtomicBool::new(false),
        }
    }

    /// Asks for the zone at once; for all of it, whatever its serial, if `whole`.
    pub fn ring(&self, whole: bool) {
        if whole {
            self.whole.store(true, Ordering::Relaxed);
        }
        self.bell.notify_one();
    }

    /// Whether the bell was rung.
    #[cfg(test)]
    fn take(&self) -> bool {
        use futures_util::FutureExt as _;
        self.bell.notified().now_or_never().is_some()
    }
}

/// All zones that are followed, by name.
#[derive(Debug, Default)]
pub struct Register {
    zones: HashMap<Name, Vec<Arc<Followed>>>,
    /// When something was said about strangers, in seconds since 1970.
    complained: AtomicU64,
}

/// Seconds between two lines about strangers.
const COMPLAINTS: u64 = 60;

impl Register {
    /// A register of these zones.
    pub fn new(zones: impl IntoIterator<Item = Arc<Followed>>) -> Self {
        let mut register = Self::default();
        for zone in zones {
            let place = register.zones.entry(zone.zone.clone());
            place.or_default().push(zone);
        }
        register
    }

    /// Those of a name (lower case): one for each view that has its own.
    pub fn get(&self, zone: &Name) -> &[Arc<Followed>] {
        self.zones.get(zone).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether something may be said about strangers: once in a while.
    pub fn may_complain(&self) -> bool {
        let (now, last) = (now(), self.complained.load(Ordering::Relaxed));
        let due = now.abs_diff(last) >= COMPLAINTS;
        let relaxed = Ordering::Relaxed;
        due && (self
            .complained
            .compare_exchange(last, now, relaxed, relaxed))
        .is_ok()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Followed>> {
        self.zones.values().flatten()
    }
}

/// What the holder of the zones is told about one of them.
#[derive(Debug)]
pub enum Event {
    /// It is followed from now on.
    Begun,
    /// Its time is up, if nothing has come in between.
    Due,
    /// This primary has nothing newer.
    Confirmed(SocketAddr),
    /// All records, from this primary; taken even if the serial is not newer, if told so.
    Whole(SocketAddr, Vec<u8>, bool),
    /// The changes since the present serial, from this primary.
    Changes(SocketAddr, Vec<Delta>),
    /// No primary was of use: why.
    Failed(String),
}

/// What the holder says to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    /// Go on so.
    Plan(Plan),
    /// The changes do not fit: the whole zone is wanted.
    Misfit,
}

/// How a zone is followed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The serial of the copy, if there is one.
    pub serial: Option<u32>,
    /// The primary that was of use last.
    pub last: Option<SocketAddr>,
    /// When it is asked about next.
    pub check: Instant,
    /// When the copy is too old to answer from, unless it is already.
    pub expire: Option<Instant>,
}

/// An event, and where the reply goes.
#[derive(Debug)]
pub struct Told {
    /// The zone.
    pub zone: Arc<Followed>,
    /// What there is.
    pub event: Event,
    /// Where the reply goes.
    pub reply: oneshot::Sender<Reply>,
}
