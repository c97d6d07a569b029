//! This box's own `box` record, its word on neighbours that are gone, and its good-bye.

use std::time::{Duration, Instant};

use guifi_streams::Key;
use serde_json::{Map, Value, json};

use super::duties::RELAYS;
use super::{Effect, Home, Node, Now, Protocol, Reach};
use crate::book::box_key;
use crate::record::{MAX_LIFE_MS, RecordKey};

/// The shortest time between two renewals for changed neighbours.
const CALM: Duration = Duration::from_secs(10);
/// Between the two attempts to reach a lost neighbour.
const SECOND_TRY: Duration = Duration::from_secs(12);
/// Failed attempts before a neighbour is called absent.
const TRIES: u32 = 2;
/// Neighbours that a box lists.
const LISTED: usize = 8;
/// The life of an accusation: it names one version, which is refuted or expires before.
const ACCUSATION_MS: u64 = 2 * 24 * 3600 * 1000;
/// Former neighbours that are tried again.
const MAX_LOST: usize = 16;

/// A neighbour whose stream broke.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    /// Version of its `box` record then.
    version: u64,
    failures: u32,
    next: Option<Instant>,
}

/// How often a box renews its record when there are `boxes`: every 10 minutes, more rarely
/// when there are more than 150 of them.
#[must_use]
pub(crate) fn renewal_interval(boxes: usize) -> Duration {
    Duration::from_secs((boxes as u64 * 4).max(600))
}

impl Node {
    /// Where this box is reached.
    pub fn set_reach(&mut self, reach: Reach, now: Now) {
        if reach.addresses != self.reach.addresses {
            self.witnessing.moved(now.at);
        }
        let before = std::mem::replace(&mut self.reach, reach);
        let reach = &self.reach;
        if (&before.addresses, before.port, &before.relay)
            != (&reach.addresses, reach.port, &reach.relay)
        {
            self.schedule.renew_now(now.at);
        } else if before.relays != reach.relays {
            self.schedule.renew_after(CALM, now.at);
        }
    }

    /// What this box calls itself from now on.
    pub fn set_home(&mut self, home: Home, now: Now) {
        if home != self.home {
            self.home = home;
            self.schedule.renew_now(now.at);
        }
    }

    /// Says good-bye: readers elsewhere see this box's services as stale at once.
    pub fn say_goodbye(&mut self, now: Now) {
        self.schedule.leave(now.at);
        if let Some(version) = self.box_version(self.own) {
            self.accuse(self.own, version, now);
        }
        self.pump(now);
    }

    /// Version of the `box` record of `owner` that counts now.
    pub(super) fn box_version(&self, owner: Key) -> Option<u64> {
        self.book
            .view()
            .get(&box_key(owner))
            .map(|e| e.record.version)
    }

    fn lists(&self, owner: Key) -> Vec<Key> {
        let Some(entry) = self.book.view().get(&box_key(owner)) else {
            return Vec::new();
        };
        let body = entry.record.json();
        let listed = body
            .get("spine")
            .and_then(|s| s.get("neighbours"))
            .and_then(Value::as_array);
        listed
            .into_iter()
            .flatten()
            .filter_map(|k| k.as_str()?.parse().ok())
            .collect()
    }

    /// The own record should list neighbours that can speak for this box; it is written again
    /// for that only when too few of those it lists are left.
    pub(super) fn neighbours_changed(&mut self, now: Now) {
        let listed = self.lists(self.own);
        let valid = listed
            .iter()
            .filter(|k| self.neighbours.contains(k))
            .count();
        if valid < self.neighbours.len().min(2) {
            self.schedule.renew_after(CALM, now.at);
        }
    }

    /// The own record has something new to say.
    pub(super) fn renew_soon(&mut self, now: Now) {
        self.schedule.renew_after(CALM, now.at);
    }

    /// Renews the own record when so much time has passed, as if the last time were long ago.
    #[cfg(test)]
    pub(crate) fn renew_after(&mut self, wait: Duration, now: Now) {
        self.schedule.renew_now(now.at + wait);
    }

    /// Writes the own `box` record and claims the own name.
    pub(super) fn renew(&mut self, now: Now) -> Result<(), String> {
        let boxes = self.others().count() + 1;
        let interval = renewal_interval(boxes);
        self.schedule.renewed(interval, &mut self.rng, now.at);
        self.claim_name(now)?;
        let mut body = self
            .book
            .get(&box_key(self.own))
            .map(|r| r.json())
            .unwrap_or_default();
        body.insert("spine".into(), Value::Object(self.spine(now)));
        let life = u64::try_from(interval.as_millis()).unwrap_or(MAX_LIFE_MS) * 3 + 3_600_000;
        self.write("box", "box", Some(body), life.min(MAX_LIFE_MS), now)?;
        Ok(())
    }

    fn spine(&self, now: Now) -> Map<String, Value> {
        let addresses: Vec<String> = self
            .reach
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        let neighbours: Vec<&Key> = self.neighbours.iter().take(LISTED).collect();
        let mut spine = Map::new();
        spine.insert("name".into(), self.home.name.clone().into());
        spine.insert("zone".into(), self.home.zone.clone().into());
        spine.insert("addresses".into(), addresses.into());
        spine.insert("port".into(), self.reach.port.into());
        spine.insert("neighbours".into(), json!(neighbours));
        spine.insert("software".into(), env!("CARGO_PKG_VERSION").into());
        let witnesses = self.witness_list(now);
        if !witnesses.is_empty() {
            spine.insert("witnesses".into(), witnesses.into());
        }
        if let Some(relay) = &self.reach.relay {
            let relay =
                json!({"udp": relay.udp, "tcp": relay.tcp, "certificate": relay.certificate});
            spine.insert("relay".into(), relay);
        }
        if !self.reach.relays.is_empty() {
            let relays = &self.reach.relays;
            spine.insert("relays".into(), json!(relays[..relays.len().min(RELAYS)]));
        }
        if self.knows_twin(now) {
            spine.insert("twin".into(), true.into());
        }
        if let Some(coordinate) = &self.reach.coordinate {
            spine.insert("coordinate".into(), json!(coordinate));
        }
        spine
    }

    fn claim_name(&mut self, now: Now) -> Result<(), String> {
        let Home { name, zone } = self.home.clone();
        let key = RecordKey {
            owner: self.own,
            kind: "claim".into(),
            name: "dns/0".into(),
        };
        let held = self.book.get(&key).map(|r| r.json()).unwrap_or_default();
        let says = |member: &str| held.get(member).and_then(Value::as_str);
        let ruling = self.book.ruling();
        let since = held.get("time").and_then(Value::as_u64).unwrap_or(0);
        let stands = !ruling.has_lapsed(ruling.identity(self.own), since);
        let same = says("name") == Some(&name) && says("zone") == Some(&zone);
        if name.is_empty() || (same && stands) {
            return Ok(());
        }
        let time = self.community_time(now).max(self.own_last + 1);
        let body = json!({"space": "dns", "name": name, "zone": zone, "time": time});
        self.write("claim", "dns/0", body.as_object().cloned(), 0, now)
            .map(|_| ())
    }

    /// A neighbour's stream broke: it is tried again before anything is said.
    pub(super) fn suspect(&mut self, peer: Key, now: Now) {
        let Some(version) = self.box_version(peer) else {
            return;
        };
        self.suspects.insert(
            peer,
            Suspect {
                version,
                failures: 0,
                next: Some(now.at),
            },
        );
    }

    pub(super) fn suspect_failed(&mut self, peer: Key, now: Now) {
        let Some(suspect) = self.suspects.get_mut(&peer) else {
            return;
        };
        suspect.failures += 1;
        if suspect.failures < TRIES {
            suspect.next = Some(now.at + SECOND_TRY);
            return;
        }
        let version = suspect.version;
        self.suspects.remove(&peer);
        if self.lost.len() < MAX_LOST {
            self.lost.insert(peer);
        }
        let denied = self
            .book
            .view()
            .get(&box_key(peer))
            .is_some_and(|e| e.standing.stale);
        if !denied
            && self.box_version(peer) == Some(version)
            && self.lists(peer).contains(&self.own)
        {
            log::info!("{peer} does not answer: telling the others");
            self.accuse(peer, version, now);
        }
    }

    fn accuse(&mut self, peer: Key, version: u64, now: Now) {
        let body = json!({"key": peer, "version": version});
        let name = peer.to_string();
        if let Err(e) = self.write(
            "absent",
            &name,
            body.as_object().cloned(),
            ACCUSATION_MS,
            now,
        ) {
            log::warn!("cannot say that {peer} is absent: {e}");
        }
    }

    /// peerd is back after it was gone, and with it all streams: nobody else is to blame.
    pub fn transport_up(&mut self, now: Now) {
        for suspect in self.suspects.values_mut() {
            suspect.failures = 0;
            suspect.next = Some(now.at);
        }
        self.schedule.redial_after(Duration::ZERO, now.at);
    }

    /// Tries suspects whose time has come.
    pub(super) fn probe(&mut self, now: Now) {
        let due: Vec<Key> = self
            .suspects
            .iter()
            .filter(|(_, s)| s.next.is_some_and(|next| next <= now.at))
            .map(|(key, _)| *key)
            .collect();
        for peer in due {
            if self.links.is_up(peer) {
                self.suspects.remove(&peer);
                continue;
            }
            if let Some(suspect) = self.suspects.get_mut(&peer) {
                suspect.next = None;
            }
            self.effects.push(Effect::Dial(peer, Protocol::Gossip));
        }
    }

    /// When the next suspect is due.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        self.suspects.values().filter_map(|s| s.next).min()
    }
}
