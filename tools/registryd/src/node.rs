//! One box of a community: its book, its gossip tree, its duties and when they are due. All
//! that happens to it comes in as calls with the time; all that it wants done goes out as
//! [`Effect`]s. It touches no network and no clock, so that many of them can be simulated.

mod ban;
mod door;
mod duties;
mod further;
mod invite;
mod lapse;
mod links;
mod presence;
mod redeem;
mod rotate;
mod sponsor;
mod standing;
mod syncs;
mod twin;
mod witness;
mod write;

pub use crate::store::Request;
pub use lapse::LapsePace;
#[cfg(test)]
pub(crate) use presence::renewal_interval;
pub use redeem::{Grant, use_of};
pub use rotate::KeyState;
pub use sponsor::{Admission, Pace};
pub use write::{WriteError, WritePace};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guifi_streams::{Configuration, Key};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::book::{Book, Merged};
use crate::frame::Frame;
use crate::gossip::Gossip;
use crate::record::{Hash, Record};
use crate::rules::broken::{Fault, is_broken};
use crate::store::{Change, Opened, Store};
use crate::time::CommunityTime;
use duties::Schedule;
use links::Links;
use presence::Suspect;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For waiting.
    pub at: Instant,
    /// The own clock in milliseconds since 1970 UTC.
    pub clock_ms: u64,
}

/// The stream protocols of the registry.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// Push of new records.
    Gossip,
    /// Reconciliation.
    Sync,
}

/// What a member is asked for on a stream of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Favour {
    /// To sponsor this box beside others.
    Sponsor,
    /// To say at which address it meets this box.
    Witness,
    /// To hear this box's change of key.
    Rotation,
}

/// What a node wants done.
#[derive(Debug)]
pub enum Effect {
    /// Open a stream to a member.
    Dial(Key, Protocol),
    /// Ask a member for something.
    Ask(Key, Favour),
    /// Send a frame on a member's gossip stream.
    Send(Key, Frame),
    /// Close a member's gossip streams.
    Close(Key),
    /// Tell peerd who the members are.
    Configure(Configuration),
    /// Tell readers that records of these kinds changed.
    Changed(Vec<String>),
    /// Tell readers that the book has been reconciled for the first time since the start.
    Synced,
}

/// Signs with the key of the box.
pub trait Sign {
    /// Signs `context`, a zero byte and `message`.
    ///
    /// # Errors
    /// A sentence if the key is out of reach.
    fn sign(&self, context: &str, message: &[u8]) -> Result<[u8; 64], String>;
}

/// What this box calls itself and where it stands.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Home {
    /// The host label that it claims.
    pub name: String,
    /// Its zone, empty for the community itself.
    pub zone: String,
}

/// How to reach this box.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reach {
    /// Its addresses, none of them loopback or link-local.
    pub addresses: Vec<IpAddr>,
    /// The port of peerd.
    pub port: u16,
    /// What it relays with.
    pub relay: Option<guifi_streams::RelayPorts>,
    /// At whose relays it can be met.
    pub relays: Vec<Key>,
    /// Where it is in the space of round trips; said whenever the record is written anyway.
    pub coordinate: Option<guifi_streams::Coordinate>,
}

/// What a node counts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// Records taken in from others.
    pub records_received: u64,
    /// Records refused.
    pub records_refused: u64,
    /// Records written by this box.
    pub records_written: u64,
    /// Reconciliations ended well.
    pub syncs: u64,
    /// Reconciliations that failed.
    pub syncs_failed: u64,
}

/// Paces and intervals.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// How fast this box sponsors.
    pub sponsor: Pace,
    /// How fast its own records are written.
    pub write: WritePace,
    /// Between two reconciliations.
    pub sync_interval: Duration,
    /// When the names of absent boxes lapse.
    pub lapse: LapsePace,
}

/// One box of a community.
pub struct Node {
    own: Key,
    book: Book,
    store: Store,
    /// Changes that the store could not take, for the next attempt.
    unsaved: Vec<Change>,
    /// The last write of a record of this box failed.
    write_failed: bool,
    gossip: Gossip,
    time: CommunityTime,
    /// When the connected members were last asked for their clocks.
    clocks_asked: Now,
    home: Home,
    reach: Reach,
    links: Links,
    neighbours: BTreeSet<Key>,
    suspects: BTreeMap<Key, Suspect>,
    /// Former neighbours that do not answer, to be tried again.
    lost: BTreeSet<Key>,
    own_last: u64,
    /// The highest version that this box has signed and taken back.
    taken_back: u64,
    tuning: Tuning,
    bucket: write::Bucket,
    sponsored: sponsor::Ledger,
    /// Whom this box has sponsored beside others.
    further: sponsor::Ledger,
    absences: lapse::Absences,
    door: door::Door,
    standing: standing::Standing,
    /// This box has given up its key just now, and ends in favour of its successor.
    rotating: bool,
    twin: twin::Twin,
    witnessing: witness::Witnessing,
    schedule: Schedule,
    syncs: syncs::Syncs,
    synced: bool,
    configuration: Option<Configuration>,
    rng: StdRng,
    counters: Counters,
    effects: Vec<Effect>,
    signer: Box<dyn Sign + Send>,
}

impl Node {
    /// A node of the community of `founding`, with what its store held.
    ///
    /// # Errors
    /// A sentence if the founding record is not valid.
    #[allow(clippy::too_many_arguments)] // made in two places, both of which have all of it
    pub fn new(
        founding: Record,
        own: Key,
        stored: Opened,
        home: Home,
        tuning: Tuning,
        seed: u64,
        signer: Box<dyn Sign + Send>,
        now: Now,
    ) -> Result<Self, String> {
        let Opened {
            store,
            records,
            unsure,
            absences,
            taken_back,
            requests,
            ..
        } = stored;
        let community = founding.hash;
        let mut rng = StdRng::seed_from_u64(seed);
        let mut book = Book::new(founding, own, format!("{seed:016x}"))?;
        book.set_taken_back(taken_back);
        let own_last = records
            .iter()
            .filter(|r| r.key.owner == own)
            .map(|r| r.version)
            .max();
        // What is stored was checked when it came: a clock that has lost its battery since must
        // not make it come from the future.
        let newest = records.iter().map(|r| r.version).max().unwrap_or(0);
        let checked = unsure.clone();
        let loaded = book.load(records, unsure, now.clock_ms.max(newest));
        let mut node = Self {
            own,
            book,
            store,
            unsaved: Vec::new(),
            write_failed: false,
            gossip: Gossip::new(own, community, rng.random(), now.at),
            time: CommunityTime::default(),
            clocks_asked: now,
            home,
            reach: Reach::default(),
            links: Links::default(),
            neighbours: BTreeSet::new(),
            suspects: BTreeMap::new(),
            lost: BTreeSet::new(),
            own_last: own_last.unwrap_or(0),
            taken_back,
            tuning,
            bucket: write::Bucket::new(tuning.write, now.at),
            sponsored: sponsor::Ledger::default(),
            further: sponsor::Ledger::default(),
            absences: lapse::Absences::new(absences),
            door: door::Door::new(requests),
            standing: standing::Standing::default(),
            rotating: false,
            twin: twin::Twin::default(),
            witnessing: witness::Witnessing::new(now.at),
            schedule: Schedule::new(now.at),
            syncs: syncs::Syncs::new(now.at),
            synced: false,
            configuration: None,
            rng,
            counters: Counters::default(),
            effects: Vec::new(),
            signer,
        };
        // What was stored is stored; news to the store is what the rules drop today, and what had
        // to be checked.
        let is_news = |change: &Change| match change {
            Change::Put(record) => checked.contains(&record.hash),
            Change::Drop(_) => true,
        };
        node.save(loaded.changes.into_iter().filter(is_news).collect());
        node.ruled(now);
        node.synced = node.book.ruling().members.len() <= 1;
        Ok(node)
    }

    /// What is to be done since the last call.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The book.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The identity of the community.
    #[must_use]
    pub fn community(&self) -> Hash {
        self.book.community()
    }

    /// The key of this box.
    #[must_use]
    pub fn own(&self) -> Key {
        self.own
    }

    /// What this box calls itself.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The gossip neighbours, sorted.
    #[must_use]
    pub fn neighbours(&self) -> &BTreeSet<Key> {
        &self.neighbours
    }

    /// Whether the book has been reconciled since the start.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether all that is known is on disk, and the last write worked.
    #[must_use]
    pub fn saved(&self) -> bool {
        self.unsaved.is_empty() && !self.write_failed
    }

    /// Milliseconds to add to the own clock for community time.
    #[must_use]
    pub fn clock_offset(&self, now: Now) -> i64 {
        self.time.offset(now.clock_ms)
    }

    /// Community time.
    #[must_use]
    pub fn community_time(&self, now: Now) -> u64 {
        self.time.at(now.clock_ms)
    }

    /// All records, for a reconciliation.
    pub fn snapshot(&self) -> impl Iterator<Item = Arc<Record>> + '_ {
        self.book.records().cloned()
    }

    /// Takes in records that a reconciliation or an admission brought.
    pub fn merge<R: Into<Arc<Record>>>(&mut self, records: Vec<R>, now: Now) {
        self.watch_clock(now);
        let records = records.into_iter().map(Into::into).collect();
        let records = self.defend(records, now);
        let merged = self.book.merge(records, self.community_time(now));
        if merged.accepted.len() <= duties::PUSH_ON {
            for record in &merged.accepted {
                self.gossip.broadcast(record.encode(), now.at);
            }
        }
        let old = self
            .community_time(now)
            .saturating_sub(duties::UNDER_WAY_MS);
        self.syncs.gained |= merged.accepted.iter().any(|r| r.version < old);
        self.digest(merged, now);
        self.pump(now);
    }

    /// Acts on what a merge changed: disk, readers, peerd, own duties.
    fn digest(&mut self, merged: Merged, now: Now) {
        self.counters.records_received += merged
            .accepted
            .iter()
            .filter(|r| r.key.owner != self.own)
            .count() as u64;
        for (key, why) in &merged.refused {
            self.counters.records_refused += 1;
            log::debug!(
                "{} {}/{} of {} is not taken: {why}",
                "record",
                key.kind,
                key.name,
                key.owner
            );
        }
        self.watch_twin(&merged.accepted, now);
        self.own_last = merged
            .accepted
            .iter()
            .filter(|r| r.key.owner == self.own || is_broken(Fault::VersionsMerged))
            .map(|r| r.version)
            .fold(self.own_last, u64::max);
        let met = merged.accepted.iter().any(|r| self.has_moved(r));
        if merged.ruling_changed {
            self.ruled(now);
        } else if met {
            self.configure_soon(now.at);
        }
        for record in &merged.accepted {
            if record.key.kind == "box" {
                self.suspects.remove(&record.key.owner);
            }
            let lapses_us = record.key.kind == "lapse"
                && record.key.name.parse().is_ok_and(|key| {
                    let ruling = self.book.ruling();
                    ruling.identity(key) == ruling.identity(self.own)
                });
            let denies_us = record.key.kind == "absent" && record.key.name == self.own.to_string();
            if lapses_us || denies_us && record.key.owner != self.own {
                // Whoever denies this box gets its next word at once; so does whoever gave its
                // names away, with a new claim.
                self.schedule.renew_now(now.at);
            }
        }
        self.save(merged.changes);
        if !merged.kinds.is_empty() {
            self.effects.push(Effect::Changed(merged.kinds));
        }
    }

    /// Writes changes to disk; what fails is kept and tried again.
    fn save(&mut self, changes: Vec<Change>) {
        self.unsaved.extend(changes);
        match self.store.apply(&self.unsaved) {
            Ok(()) => self.unsaved.clear(),
            Err(e) => log::error!(
                "{e}; {} changes wait for room on the disk",
                self.unsaved.len()
            ),
        }
    }

    /// Members that this box may try to reach: those that have told where they are or, as after
    /// a long sleep of everybody, all; peerd remembers where they were.
    fn partners(&self) -> Vec<Key> {
        let known: Vec<Key> = self.others().collect();
        if !known.is_empty() {
            return known;
        }
        let members = self.book.ruling().members.values().map(|m| m.current);
        members.filter(|key| *key != self.own).collect()
    }

    /// Members other than this box that have not told where they are, or not for long.
    fn silent(&self) -> Vec<Key> {
        let members = self.book.ruling().members.values().map(|m| m.current);
        members
            .filter(|key| *key != self.own && self.box_version(*key).is_none())
            .collect()
    }

    /// Members other than this box that have told where they are.
    fn others(&self) -> impl Iterator<Item = Key> + '_ {
        self.book
            .view()
            .entries()
            .filter(|e| e.record.key.kind == "box" && e.record.key.owner != self.own)
            .map(|e| e.record.key.owner)
            .filter(|k| self.book.ruling().is_member(*k))
    }
}

#[cfg(test)]
mod tests;
