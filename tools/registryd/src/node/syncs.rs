//! With whom this box compares its whole book, and when.

use std::time::{Duration, Instant};

use guifi_streams::Key;
use rand::RngExt as _;

use super::duties::FEW;
use super::{Effect, Node, Now, Protocol};

/// Of so many reconciliations one is with any member, not with one at hand: two trees that do
/// not know of each other find together.
const AFAR: u32 = 8;
/// Between two attempts at the first reconciliation.
const FIRST: Duration = Duration::from_secs(2);
/// A peer is not reconciled with again before this.
const CALM: Duration = Duration::from_secs(5);

/// The reconciliations of a box.
#[derive(Debug)]
pub(super) struct Syncs {
    next: Instant,
    /// With whom the next one is.
    peer: Option<Key>,
    last: Option<(Key, Instant)>,
    /// Since when one is under way that this box began.
    under_way: Option<Instant>,
    /// How many were begun.
    begun: u32,
    /// The one under way has brought something that was said long ago.
    pub(super) gained: bool,
}

impl Syncs {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now,
            peer: None,
            last: None,
            under_way: None,
            begun: 0,
            gained: false,
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Reconciles with somebody soon.
    pub(super) fn after(&mut self, wait: Duration, now: Instant) {
        self.next = self.next.min(now + wait);
    }

    /// Reconciles with `peer` now, unless that has just been done.
    pub(super) fn with(&mut self, peer: Key, now: Instant) {
        let recent = |(last, at): (Key, Instant)| last == peer && at + CALM > now;
        if !self.last.is_some_and(recent) {
            self.next = now;
            self.peer = Some(peer);
        }
    }
}

impl Node {
    /// Begins a reconciliation: it is time.
    pub(super) fn start_sync(&mut self, now: Now) {
        let interval = self
            .tuning
            .sync_interval
            .mul_f64(self.rng.random_range(0.75..1.25));
        self.syncs.next = now.at + interval;
        if self
            .syncs
            .under_way
            .is_some_and(|since| since + Duration::from_secs(120) > now.at)
        {
            return;
        }
        let wanted = self.syncs.peer.take();
        let linked: Vec<Key> = self.linked().collect();
        self.syncs.begun = self.syncs.begun.wrapping_add(1);
        let afar = self.syncs.begun.is_multiple_of(AFAR);
        let others: Vec<Key> = if linked.is_empty() || afar {
            self.partners()
        } else {
            linked
        };
        if let Some(peer) = wanted.or_else(|| self.pick(&others)) {
            self.syncs.under_way = Some(now.at);
            self.syncs.last = Some((peer, now.at));
            self.effects.push(Effect::Dial(peer, Protocol::Sync));
        }
    }

    /// A reconciliation that this box began has ended.
    pub fn sync_ended(&mut self, peer: Key, well: bool, now: Now) {
        self.syncs.under_way = None;
        if !well {
            self.counters.syncs_failed += 1;
            if !self.synced {
                // A newcomer with an empty book does not wait for its turn, nor for somebody
                // who may be gone for good if it knows others.
                self.syncs.next = self.syncs.next.min(now.at + FIRST);
                self.syncs.peer = self.partners().is_empty().then_some(peer);
            }
            return;
        }
        self.counters.syncs += 1;
        self.ask_for_twin(now);
        self.compared(now);
        let was_lost = self.lost.remove(&peer);
        let gained = std::mem::take(&mut self.syncs.gained);
        if !self.synced {
            self.synced = true;
            self.effects.push(Effect::Synced);
        }
        // Who had news, or was lost, may be in another tree.
        let apart = was_lost || gained || self.neighbours.len() < FEW;
        if apart && !self.neighbours.contains(&peer) {
            self.gossip.join(&[peer], now.at);
            self.pump(now);
        }
    }
}
