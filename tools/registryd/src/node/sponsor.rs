//! Admitting new members: who may, how fast, and what an administrator's box confirms by
//! itself.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use guifi_streams::Key;
use serde_json::json;

use super::{Home, Node, Now};
use crate::record::{Record, RecordKey};
use crate::rules::{Claim, LAST_ADMINISTRATOR_SLOT, LAST_MEMBER_SLOT, Policy, is_label, is_zone};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// After this an administrator's box lets a member sponsor others.
const CONFIRM_MEMBER_MS: u64 = 7 * 24 * 3600 * 1000;
/// After this an administrator's box confirms a name that nobody contests.
const CONFIRM_NAME_MS: u64 = 24 * 3600 * 1000;

/// How fast a box sponsors: its own manners, not a rule of the community.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// New members a day.
    pub per_day: u32,
    /// Of these from one /24 (IPv4) or /48 (IPv6).
    pub per_network: u32,
}

/// Whom this box has sponsored of late.
#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<(Instant, Option<IpAddr>)>);

/// The answer to a request for admission.
#[derive(Clone, Debug)]
pub enum Admission {
    /// It is a member: the records that prove it.
    Member(Vec<Record>),
    /// This box may not sponsor; these may.
    Ask(Vec<Key>),
    /// Not now: the pace is used up, or nobody who may sponsor is there.
    Later(String),
    /// An administrator must decide: [`Node::knock`] keeps the request.
    Wait,
    /// Its name belongs to another.
    Taken,
    /// No.
    Refused(String),
}

pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let [a, b, c, _] = a.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(a) => {
            let s = a.segments();
            IpAddr::from([s[0], s[1], s[2], 0, 0, 0, 0, 0])
        }
    }
}

fn is_sound(home: &Home) -> bool {
    is_label(&home.name) && (home.zone.is_empty() || is_zone(&home.zone))
}

impl Ledger {
    pub(super) fn note(&mut self, address: Option<IpAddr>, now: Instant) {
        self.0.push((now, address));
    }

    pub(super) fn allows(&mut self, pace: Pace, address: Option<IpAddr>, now: Instant) -> bool {
        self.0
            .retain(|(at, _)| now.saturating_duration_since(*at) < DAY);
        let place = address.map(network);
        let near = self
            .0
            .iter()
            .filter(|(_, a)| place.is_some() && a.map(network) == place);
        self.0.len() < pace.per_day as usize && near.count() < pace.per_network as usize
    }
}

impl Node {
    /// Decides on the request of `key`, seen at `address`, to become a member called `home`.
    pub fn admit(&mut self, key: Key, address: Option<IpAddr>, home: &Home, now: Now) -> Admission {
        let ruling = self.book.ruling();
        let able = ruling.may_sponsor(self.own);
        // A stranger at a closed door learns nothing of the names behind it.
        let closed = ruling.founding.policy == Policy::Closed && !ruling.is_member(key);
        if closed && is_sound(home) && !ruling.is_banned(key) {
            return if able {
                Admission::Wait
            } else {
                Admission::Ask(self.sponsors_to_ask())
            };
        }
        if let Some(told) = self.before_the_door(key, home) {
            return told;
        }
        if !able {
            return Admission::Ask(self.sponsors_to_ask());
        }
        if !self.sponsored.allows(self.tuning.sponsor, address, now.at) {
            return Admission::Later(
                "this box has sponsored as many as it does in a day".to_owned(),
            );
        }
        let admission = self.sponsor(key, LAST_MEMBER_SLOT, now);
        if matches!(admission, Admission::Member(_)) {
            self.sponsored.note(address, now.at);
            log::info!("{key} is a member now, sponsored by this box");
        }
        admission
    }

    /// Writes that this box sponsors `key`, in a slot up to `last` unless it is an
    /// administrator's.
    pub(super) fn sponsor(&mut self, key: Key, last: u32, now: Now) -> Admission {
        let last = if self.book.ruling().is_administrator(self.own) {
            LAST_ADMINISTRATOR_SLOT
        } else {
            last
        };
        let Some(slot) = self.free_slot("member", last) else {
            return Admission::Refused("all slots of this sponsor are used".to_owned());
        };
        let body = json!({"key": key});
        match self.write(
            "member",
            &slot.to_string(),
            body.as_object().cloned(),
            0,
            now,
        ) {
            Ok(_) => {
                self.pump(now);
                Admission::Member(self.proof(key))
            }
            Err(e) => Admission::Later(e),
        }
    }

    /// What is answered to a request whoever may sponsor: it is banned, its name is not valid
    /// or taken, or it is a member.
    pub(super) fn before_the_door(&self, key: Key, home: &Home) -> Option<Admission> {
        let ruling = self.book.ruling();
        if ruling.is_banned(key) {
            return Some(Admission::Refused("this key is banned".to_owned()));
        }
        if ruling.is_spent(key) {
            let why = "this key was given up, or waits for an administrator to say whose it is";
            return Some(Admission::Refused(why.to_owned()));
        }
        if !is_sound(home) {
            let why = "the name or zone is not valid".to_owned();
            return Some(Admission::Refused(why));
        }
        let name = (
            "dns".into(),
            home.zone.to_ascii_lowercase(),
            home.name.to_ascii_lowercase(),
        );
        if ruling
            .names
            .get(&name)
            .is_some_and(|owner| *owner != ruling.identity(key))
        {
            return Some(Admission::Taken);
        }
        ruling
            .is_member(key)
            .then(|| Admission::Member(self.proof(key)))
    }

    /// Members that may sponsor, those that are there first.
    fn sponsors_to_ask(&self) -> Vec<Key> {
        let ruling = self.book.ruling();
        let able = self.others().filter(|k| ruling.may_sponsor(*k));
        let (live, stale): (Vec<Key>, Vec<Key>) = able.partition(|k| self.is_live(*k));
        live.into_iter().chain(stale).take(4).collect()
    }

    pub(super) fn is_live(&self, key: Key) -> bool {
        self.book
            .view()
            .of_owner(key)
            .next()
            .is_some_and(|e| !e.standing.stale)
    }

    pub(super) fn free_slot(&self, kind: &str, last: u32) -> Option<u32> {
        let used: BTreeSet<u32> = self
            .book
            .of_owner(self.own)
            .filter(|r| r.key.kind == kind)
            .filter_map(|r| r.key.name.parse().ok())
            .collect();
        (0..=last).find(|slot| !used.contains(slot))
    }

    /// The records that lead from an administrator to `key` and to this box, which the newcomer
    /// must know as a member too before it can compare books with it.
    #[must_use]
    pub fn proof(&self, key: Key) -> Vec<Record> {
        let records = self.book.records().map(|r| r.as_ref());
        let ruling = self.book.ruling();
        ruling
            .proof(&self.community(), records, &[self.own, key])
            .into_iter()
            .cloned()
            .collect()
    }

    /// What an administrator's box confirms without being asked: members of a week, and names
    /// that have stood for a day.
    pub(super) fn administrate(&mut self, now: Now) {
        let ruling = self.book.ruling();
        if !ruling.is_administrator(self.own) {
            return;
        }
        let time = self.community_time(now);
        let mut due: Vec<(String, serde_json::Value)> = ruling
            .members
            .iter()
            .filter(|(_, m)| !m.confirmed && m.since + CONFIRM_MEMBER_MS <= time)
            .map(|(key, _)| (format!("member/{key}"), json!({})))
            .collect();
        let old_claims = self.book.records().filter(|r| {
            r.key.kind == "claim" && !r.is_removal() && r.version + CONFIRM_NAME_MS <= time
        });
        for record in old_claims {
            let Some(claim) = Claim::read(record) else {
                continue;
            };
            let name = (claim.space, claim.zone, claim.name);
            let owner = ruling.identity(record.key.owner);
            if let Some(winner) = ruling.names.get(&name).filter(|w| **w == owner) {
                due.push((
                    format!("claim/{}/{}/{}", name.0, name.1, name.2),
                    json!({"key": winner}),
                ));
            }
        }
        for (name, body) in due {
            let key = RecordKey {
                owner: self.own,
                kind: "confirm".into(),
                name: name.clone(),
            };
            // A name whose holder has lapsed may be another's by now.
            let body = body.as_object().cloned();
            let says_so = |r: &Record| r.is_removal() || Some(r.json()) == body;
            if self.book.get(&key).is_some_and(|r| says_so(r)) {
                continue;
            }
            if let Err(e) = self.write("confirm", &name, body, 0, now) {
                log::warn!("cannot confirm {name}: {e}");
                return;
            }
        }
    }
}
