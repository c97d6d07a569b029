//! With whom this box compares its whole book, and when.

use std::collections::BTreeMap;
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
/// A neighbour that comes and goes is not reconciled with more often than this.
const CALM: Duration = Duration::from_secs(1);
/// Of two new neighbours one begins at once; the other, if nothing has come of that, after this.
/// If both did, the second would bring all that the first has not yet brought once more. What
/// had begun before the two were neighbours does not count: records that came since are pushed
/// to neighbours only, and would be lost in between.
const SECOND: Duration = Duration::from_secs(4);
/// What is under way for longer, and brings nothing, is given up.
const STUCK: Duration = Duration::from_secs(120);
/// A box that lacks so many records takes in a book, and each answer would bring them again.
const BOOK: usize = 1000;
/// For at most so long a box that takes in a book answers nobody.
const INTAKE: Duration = Duration::from_secs(600);

/// The reconciliations of a box.
#[derive(Debug)]
pub(super) struct Syncs {
    next: Instant,
    /// With whom one is wanted.
    wanted: BTreeMap<Key, Wanted>,
    /// The last one that was begun, or that another began and ended well.
    last: Option<(Key, Instant)>,
    /// When one that this box began has last brought something.
    under_way: Option<Instant>,
    /// Since when that brings a book.
    intake: Option<Instant>,
    /// Who has begun some that are under way, and when, the first one first.
    answering: BTreeMap<Key, Vec<Instant>>,
    /// How many were begun.
    begun: u32,
    /// The one under way has brought something that was said long ago.
    pub(super) gained: bool,
}

/// A reconciliation that is wanted.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// When it is to be begun.
    due: Instant,
    /// One that begins no earlier than this will do, whoever begins it.
    since: Instant,
    /// It was due, and another one was under way.
    waits: bool,
}

impl Syncs {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now,
            wanted: BTreeMap::new(),
            last: None,
            under_way: None,
            intake: None,
            answering: BTreeMap::new(),
            begun: 0,
            gained: false,
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Instant {
        let wanted = self.wanted.values().map(|wanted| wanted.due);
        wanted.fold(self.next, Instant::min)
    }

    /// Reconciles with somebody soon.
    pub(super) fn after(&mut self, wait: Duration, now: Instant) {
        self.next = self.next.min(now + wait);
    }

    /// Reconciles with `peer` now.
    pub(super) fn with(&mut self, peer: Key, now: Instant) {
        self.want(peer, now, now);
    }

    /// Reconciles with the new neighbour `peer` of the box `own`, as one of the two does.
    pub(super) fn neighbour(&mut self, own: Key, peer: Key, now: Instant) {
        let wait = if own < peer { Duration::ZERO } else { SECOND };
        self.want(peer, now + wait, now);
    }

    fn want(&mut self, peer: Key, due: Instant, now: Instant) {
        let last = self.last.filter(|(last, _)| *last == peer);
        let wanted = Wanted {
            due: last.map_or(due, |(_, at)| due.max(at + CALM)),
            since: now,
            waits: false,
        };
        self.wanted.insert(peer, wanted);
    }

    /// One with `peer` that had begun then has ended well.
    fn served(&mut self, peer: Key, begun: Instant) {
        if self.wanted.get(&peer).is_some_and(|w| w.since <= begun) {
            self.wanted.remove(&peer);
        }
    }

    /// The one that this box had begun is over: what waited for that begins.
    fn go_on(&mut self, now: Instant) {
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.waits) {
            (wanted.due, wanted.waits) = (wanted.due.min(now), false);
        }
    }

    fn is_under_way(&self, now: Instant) -> bool {
        self.under_way.is_some_and(|since| since + STUCK > now)
    }

    /// Whether this box takes in a book.
    pub(super) fn is_intake(&self, now: Instant) -> bool {
        self.intake.is_some_and(|since| since + INTAKE > now)
    }
}

impl Node {
    /// Begins a reconciliation: it is time.
    pub(super) fn start_sync(&mut self, now: Now) {
        let interval = self
            .tuning
            .sync_interval
            .mul_f64(self.rng.random_range(0.75..1.25));
        let due = self.syncs.wanted.iter().filter(|(_, w)| w.due <= now.at);
        let wanted = due.min_by_key(|(_, w)| w.due).map(|(peer, _)| *peer);
        if let Some(peer) = wanted {
            let busy = self.syncs.is_under_way(now.at);
            if busy || self.syncs.answering.contains_key(&peer) {
                if let Some(wanted) = self.syncs.wanted.get_mut(&peer) {
                    (wanted.due, wanted.waits) = (now.at + SECOND, true);
                }
                if self.syncs.next > now.at {
                    return;
                }
            }
        }
        self.syncs.next = now.at + interval;
        if self.syncs.is_under_way(now.at) {
            return;
        }
        let linked: Vec<Key> = self.linked().collect();
        self.syncs.begun = self.syncs.begun.wrapping_add(1);
        let afar = self.syncs.begun.is_multiple_of(AFAR);
        let mut others: Vec<Key> = if linked.is_empty() || afar {
            self.partners()
        } else {
            linked
        };
        // What they have begun serves both.
        let answering = &self.syncs.answering;
        others.retain(|key| !answering.contains_key(key));
        let wanted = wanted.filter(|key| !answering.contains_key(key));
        if let Some(peer) = wanted.or_else(|| self.pick(&others)) {
            self.syncs.under_way = Some(now.at);
            self.syncs.last = Some((peer, now.at));
            self.syncs.served(peer, now.at);
            self.effects.push(Effect::Dial(peer, Protocol::Sync));
        }
    }

    /// A reconciliation goes on, and so many records are to come of it. Only of one that this box
    /// began is it told the end, so that only such a one can be the taking in of a book.
    pub fn sync_goes_on(&mut self, to_come: usize, now: Now) {
        if self.syncs.under_way.is_none() {
            return;
        }
        if to_come >= BOOK && !self.synced {
            self.syncs.intake.get_or_insert(now.at);
        }
        if self.syncs.is_intake(now.at) {
            self.syncs.under_way = Some(now.at);
        }
    }

    /// `peer` begins a reconciliation. Says whether this box answers; then it is to be told of
    /// the end.
    pub fn sync_asked(&mut self, peer: Key, now: Now) -> bool {
        if self.syncs.is_intake(now.at) {
            return false;
        }
        self.syncs.answering.entry(peer).or_default().push(now.at);
        true
    }

    /// A reconciliation that this box has answered has ended.
    pub fn sync_answered(&mut self, peer: Key, well: bool, now: Now) {
        let Some(begun) = self.syncs.answering.get_mut(&peer) else {
            return;
        };
        // Which of several it was does not matter much: the first is the careful guess.
        let first = begun.remove(0);
        if begun.is_empty() {
            self.syncs.answering.remove(&peer);
        }
        if well {
            self.syncs.last = Some((peer, now.at));
            self.syncs.served(peer, first);
        }
    }

    /// A reconciliation that this box began has ended.
    pub fn sync_ended(&mut self, peer: Key, well: bool, now: Now) {
        self.syncs.under_way = None;
        self.syncs.go_on(now.at);
        if self.syncs.intake.take().is_some() {
            self.schedule.configure_now(now.at);
        }
        if !well {
            self.counters.syncs_failed += 1;
            if !self.synced {
                // A newcomer with an empty book does not wait for its turn, nor for somebody
                // who may be gone for good if it knows others.
                self.syncs.next = self.syncs.next.min(now.at + FIRST);
                if self.partners().is_empty() {
                    self.syncs.want(peer, now.at + FIRST, now.at);
                }
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
