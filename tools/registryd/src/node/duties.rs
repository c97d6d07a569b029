//! What a node does by itself, and when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use guifi_streams::{Configuration, Coordinate, Key, Member, RelayPorts};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

use super::{Effect, Node, Now, Protocol};
use crate::record::Record;

/// Records of one reconciliation that are pushed on; a larger gain is a cold start, of which
/// the others know.
pub(super) const PUSH_ON: usize = 64;
/// A record may be this old, in milliseconds, and still be on its way through the tree: who has
/// it already is in no other tree. Among thousands of boxes there always is one on its way, and
/// those that all joined each other for that would lose their neighbours again and again.
pub(super) const UNDER_WAY_MS: u64 = 30_000;
/// Between two looks at what has expired, must be renewed or confirmed.
const SWEEP: Duration = Duration::from_secs(60);
/// Between two attempts to find a lost member again.
const REDIAL: Duration = Duration::from_secs(20);
/// Of so many such times one is for a member that has not told where it is: after a long sleep
/// of everybody each half of a community may know itself only.
const SILENT: u32 = 6;
/// The same for the first two attempts of a box that has lost all its neighbours.
pub(super) const ALONE: Duration = Duration::from_secs(1);
/// Between two words to peerd, and what each member adds to that: each word names all of them.
const CONFIGURE: Duration = Duration::from_millis(500);
const CONFIGURE_EACH: Duration = Duration::from_micros(200);
/// The same while a book is taken in, and with each part of it more members.
const CONFIGURE_INTAKE: Duration = Duration::from_secs(10);
/// With fewer gossip neighbours a box looks for more by itself. The tree sees to the rest: each
/// newcomer drives another out of a full view, so that boxes which all insisted on a full one
/// would drive each other out for ever.
pub(super) const FEW: usize = 2;

/// When what is due.
#[derive(Debug)]
pub(super) struct Schedule {
    renew: Instant,
    renewed: Option<Instant>,
    sweep: Instant,
    redial: Instant,
    configure: Option<Instant>,
    configured: Option<Instant>,
    leaving: bool,
    /// Times at which a lost member was looked for.
    redials: u32,
    /// When to ask for a further sponsor.
    pub(super) seek: Instant,
    /// Between the next two attempts to find a neighbour while there is none.
    alone: Duration,
    /// Who was tried since there is none: the others first, half of which may be cut off.
    tried: BTreeSet<Key>,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            renew: now,
            renewed: None,
            sweep: now + SWEEP,
            redial: now,
            configure: Some(now),
            configured: None,
            leaving: false,
            redials: 0,
            seek: now + super::further::FIRST,
            alone: ALONE,
            tried: BTreeSet::new(),
        }
    }

    pub(super) fn renew_now(&mut self, now: Instant) {
        if !self.leaving {
            self.renew = now;
        }
    }

    /// The box has said good-bye: another word of it would call it back to life.
    pub(super) fn leave(&mut self, now: Instant) {
        self.leaving = true;
        self.renew = now + Duration::from_secs(24 * 3600);
    }

    /// Renews soon, but not within `calm` of the last time.
    pub(super) fn renew_after(&mut self, calm: Duration, now: Instant) {
        let due = self.renewed.map_or(now, |at| at + calm).max(now);
        if !self.leaving {
            self.renew = self.renew.min(due);
        }
    }

    pub(super) fn renewed(&mut self, interval: Duration, rng: &mut StdRng, now: Instant) {
        self.renewed = Some(now);
        self.renew = now + interval.mul_f64(rng.random_range(0.9..1.1));
    }

    fn configure_soon(&mut self, pause: Duration, now: Instant) {
        let due = self.configured.map_or(now, |at| at + pause).max(now);
        self.configure.get_or_insert(due);
    }

    /// Does not wait any longer with what peerd is to be told.
    pub(super) fn configure_now(&mut self, now: Instant) {
        self.configure = self.configure.map(|due| due.min(now));
    }

    /// Looks for a neighbour soon.
    pub(super) fn redial_after(&mut self, wait: Duration, now: Instant) {
        self.redial = self.redial.min(now + wait);
    }
}

impl Node {
    /// Does what is due.
    pub fn tick(&mut self, now: Now) {
        self.watch_clock(now);
        self.gossip.tick(now.at);
        self.pump(now);
        self.probe(now);
        self.seek_witness(now);
        if self.schedule.renew <= now.at
            && let Err(e) = self.renew(now)
        {
            log::warn!("cannot renew this box's record: {e}; trying again in 10 s");
            self.schedule.renew = now.at + Duration::from_secs(10);
        }
        if self.schedule.sweep <= now.at {
            self.schedule.sweep = now.at + SWEEP;
            // Own records first: a clock gone wrong must not let them expire.
            self.refresh_own(now);
            let merged = self.book.sweep(self.community_time(now));
            self.digest(merged, now);
            let sure = self.time.is_sure();
            let merged = self.book.doubt(self.community_time(now), sure);
            self.digest(merged, now);
            self.administrate(now);
            self.settle_invited(now);
            self.lapse(now);
            self.seek_sponsor(now);
        }
        if self.schedule.redial <= now.at {
            let alone = self.neighbours.is_empty();
            let wait = if alone { self.schedule.alone } else { REDIAL };
            self.schedule.alone = if alone { (wait * 2).min(REDIAL) } else { ALONE };
            self.schedule.redial = now.at + wait;
            self.plead();
            self.redial(now);
        }
        if self.syncs.next() <= now.at {
            self.start_sync(now);
        }
        if self.schedule.configure.is_some_and(|at| at <= now.at) {
            self.configure(now);
        }
        self.pump(now);
    }

    /// When [`Node::tick`] is to be called next.
    #[must_use]
    pub fn next_tick(&self) -> Instant {
        let schedule = &self.schedule;
        [
            Some(schedule.renew),
            Some(schedule.sweep),
            schedule.configure,
            self.gossip.next_timer(),
        ]
        .into_iter()
        .flatten()
        .chain([schedule.redial, self.syncs.next(), self.witnessing.next()])
        .chain(self.next_probe())
        .min()
        .unwrap_or(schedule.sweep)
    }

    /// Begins with a member whose record is not known yet: the seed of a joiner.
    pub fn meet(&mut self, peer: Key, now: Now) {
        if self.others().next().is_none() {
            self.syncs.with(peer, now.at);
            self.synced = false;
        }
    }

    /// Takes other paces and intervals.
    pub fn tune(&mut self, tuning: super::Tuning) {
        self.tuning = tuning;
    }

    /// Meets a member more where neighbours are missing, and tries a lost one again.
    fn redial(&mut self, now: Now) {
        if let Some(lost) = self.pick(&self.lost.iter().copied().collect::<Vec<_>>()) {
            if self.book.ruling().is_member(lost) {
                self.effects.push(Effect::Dial(lost, Protocol::Sync));
            } else {
                self.lost.remove(&lost);
            }
        }
        self.schedule.redials = self.schedule.redials.wrapping_add(1);
        if self.schedule.redials.is_multiple_of(SILENT)
            && let Some(silent) = self.pick(&self.silent())
        {
            self.effects.push(Effect::Dial(silent, Protocol::Sync));
        }
        if self.neighbours.len() >= FEW {
            return;
        }
        let strangers: Vec<Key> = self
            .partners()
            .into_iter()
            .filter(|k| !self.neighbours.contains(k) && !self.suspects.contains_key(k))
            .collect();
        let Some(stranger) = self.pick_untried(strangers) else {
            return;
        };
        if self.neighbours.is_empty() && self.links.is_up(stranger) {
            // It has a stream to this box and yet is no neighbour: one of the two waits for a
            // word that was lost. A new stream lets both begin anew, soon.
            self.effects.push(Effect::Close(stranger));
            self.schedule.tried.remove(&stranger);
            self.schedule.redial_after(ALONE, now.at);
            return;
        }
        self.gossip.join(&[stranger], now.at);
    }

    /// One of `keys`; while there is no neighbour, one that was not tried as long as there is such,
    /// and first of all one that has a stream to this box: it is there.
    fn pick_untried(&mut self, keys: Vec<Key>) -> Option<Key> {
        let tried = &mut self.schedule.tried;
        if !self.neighbours.is_empty() || keys.iter().all(|key| tried.contains(key)) {
            tried.clear();
        }
        let mut untried: Vec<Key> = keys.into_iter().filter(|k| !tried.contains(k)).collect();
        if self.neighbours.is_empty() && untried.iter().any(|k| self.links.is_up(*k)) {
            untried.retain(|k| self.links.is_up(*k));
        }
        let picked = self.pick(&untried)?;
        self.schedule.tried.insert(picked);
        Some(picked)
    }

    pub(super) fn pick(&mut self, keys: &[Key]) -> Option<Key> {
        (!keys.is_empty()).then(|| keys[self.rng.random_range(0..keys.len())])
    }

    /// Tells peerd soon who the members are.
    pub(super) fn configure_soon(&mut self, now: Instant) {
        let members = self.book.ruling().members.len();
        let each = CONFIGURE_EACH * u32::try_from(members).unwrap_or(u32::MAX);
        let pause = if self.syncs.is_intake(now) {
            CONFIGURE_INTAKE
        } else {
            CONFIGURE.max(each)
        };
        self.schedule.configure_soon(pause, now);
    }

    /// Tells peerd who the members are, if that has changed.
    pub fn configure(&mut self, now: Now) {
        self.schedule.configure = None;
        let configuration = self.members();
        if self.configuration.as_ref() != Some(&configuration) {
            self.schedule.configured = Some(now.at);
            self.configuration = Some(configuration.clone());
            self.effects.push(Effect::Configure(configuration));
        }
    }

    /// Whether a record says of a member's place what peerd has not been told.
    pub(super) fn has_moved(&self, record: &Record) -> bool {
        if record.key.kind != "box" {
            return false;
        }
        let owner = record.key.owner;
        let told = self.configuration.iter().flat_map(|c| &c.members);
        let spine = record.json().remove("spine").unwrap_or_default();
        told.into_iter().find(|m| m.key == owner) != Some(&place(owner, &spine))
    }

    /// What peerd needs to know.
    #[must_use]
    pub fn members(&self) -> Configuration {
        let ruling = self.book.ruling();
        let mut places = std::collections::BTreeMap::new();
        for entry in self
            .book
            .view()
            .entries()
            .filter(|e| e.record.key.kind == "box")
        {
            let body = entry.record.json();
            if let Some(spine) = body.get("spine") {
                places.insert(entry.record.key.owner, spine.clone());
            }
        }
        let members = ruling.members.values().map(|member| {
            let spine = places.remove(&member.current).unwrap_or_default();
            place(member.current, &spine)
        });
        Configuration {
            community: Some(Key(self.community()).to_string()),
            name: ruling.founding.name.clone(),
            members: members.collect(),
            banned: ruling.banned.iter().flat_map(|b| ruling.keys(*b)).collect(),
        }
    }
}

/// Where a member is, as its `box` record says.
fn place(key: Key, spine: &Value) -> Member {
    let relay = relay(spine);
    Member {
        relays: relays(spine),
        // peerd guesses the way to relays only.
        coordinate: relay.as_ref().and_then(|_| coordinate(spine)),
        relay,
        ..Member::new(key, addresses(spine))
    }
}

fn port(spine: &Value, member: &str) -> Option<u16> {
    spine.get(member)?.as_u64()?.try_into().ok()
}

fn addresses(spine: &Value) -> Vec<SocketAddr> {
    let Some(port) = port(spine, "port") else {
        return Vec::new();
    };
    let list = spine.get("addresses").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|a| a.as_str()?.parse::<IpAddr>().ok())
        .take(16)
        .map(|a| SocketAddr::new(a, port))
        .collect()
}

/// How many relays of a box count.
pub(super) const RELAYS: usize = 3;

fn relays(spine: &Value) -> Vec<Key> {
    let list = spine.get("relays").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|key| key.as_str()?.parse().ok())
        .take(RELAYS)
        .collect()
}

fn coordinate(spine: &Value) -> Option<Coordinate> {
    serde_json::from_value(spine.get("coordinate")?.clone()).ok()
}

fn relay(spine: &Value) -> Option<RelayPorts> {
    let relay = spine.get("relay")?;
    Some(RelayPorts {
        udp: port(relay, "udp")?,
        tcp: port(relay, "tcp")?,
        certificate: relay.get("certificate")?.as_str()?.to_owned(),
    })
}
