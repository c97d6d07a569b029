//! Names of boxes that are gone: what an administrator's box counts, and its word on them.
//!
//! A day counts only if this box compared its book with another's on it, so that neither its
//! own absence nor a cut makes anybody's name lapse. Any sign of life begins the count anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use guifi_streams::Key;
use serde_json::json;

use super::{Node, Now};
use crate::rules::Claim;
use crate::store::Absence;

/// After how much absence names lapse.
#[derive(Clone, Copy, Debug)]
pub struct LapsePace {
    /// How long a day is; a test has shorter ones.
    pub day: Duration,
    /// Days of absence.
    pub days: u32,
}

impl Default for LapsePace {
    fn default() -> Self {
        Self {
            day: Duration::from_secs(24 * 3600),
            days: 90,
        }
    }
}

impl LapsePace {
    fn day_ms(self) -> u64 {
        u64::try_from(self.day.as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}

/// The days counted so far.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// By identity.
    counted: BTreeMap<Key, Absence>,
    /// The day of the last reconciliation that ended well.
    compared: Option<u64>,
}

impl Absences {
    pub(super) fn new(stored: Vec<Absence>) -> Self {
        Self {
            counted: stored.into_iter().map(|a| (a.identity, a)).collect(),
            compared: None,
        }
    }
}

impl Node {
    /// A reconciliation has ended well: today counts.
    pub(super) fn compared(&mut self, now: Now) {
        let day = self.community_time(now) / self.tuning.lapse.day_ms();
        self.absences.compared = Some(day);
    }

    /// Counts who is away; says of whoever has been for long enough that its names are free.
    pub(super) fn lapse(&mut self, now: Now) {
        let claims = if self.book.ruling().is_administrator(self.own) {
            self.standing_claims()
        } else {
            BTreeMap::new()
        };
        let time = self.community_time(now);
        let pace = self.tuning.lapse;
        let day = time / pace.day_ms();
        let away: BTreeSet<Key> = claims
            .keys()
            .filter(|identity| !self.shows_life(**identity))
            .copied()
            .collect();
        let before = self.absences.counted.clone();
        let counted = &mut self.absences.counted;
        counted.retain(|identity, _| away.contains(identity));
        if self.absences.compared == Some(day) {
            for identity in &away {
                let absence = counted.entry(*identity).or_insert(Absence {
                    identity: *identity,
                    days: 0,
                    last_day: day.wrapping_sub(1),
                });
                if absence.last_day != day {
                    absence.days = absence.days.saturating_add(1);
                    absence.last_day = day;
                }
            }
        }
        if *counted != before
            && let Err(e) = self
                .store
                .set_absences(counted.values().collect::<Vec<_>>().as_slice())
        {
            log::warn!("{e}; a restart counts the absent boxes' days anew");
        }
        let due: Vec<Key> = counted
            .values()
            .filter(|a| a.days >= pace.days)
            .map(|a| a.identity)
            .collect();
        for identity in due {
            let silence = pace.day_ms().saturating_mul(u64::from(pace.days));
            if self.last_word(identity).saturating_add(silence) > time {
                continue;
            }
            // No later than the claims that are known: one made meanwhile, beyond a cut, stands.
            let body = json!({"time": claims[&identity]});
            let name = identity.to_string();
            match self.write("lapse", &name, body.as_object().cloned(), 0, now) {
                Ok(_) => log::info!(
                    "{name} has been away for {} days: its names are free",
                    pace.days
                ),
                Err(e) => {
                    log::warn!("cannot say that the names of {name} are free: {e}; trying again")
                }
            }
        }
    }

    /// The identities, but for the own one, that have claims which have not lapsed, each with
    /// the time of the latest.
    fn standing_claims(&self) -> BTreeMap<Key, u64> {
        let ruling = self.book.ruling();
        let own = ruling.identity(self.own);
        let mut claims: BTreeMap<Key, u64> = BTreeMap::new();
        for record in self.book.records().filter(|r| r.key.kind == "claim") {
            let identity = ruling.identity(record.key.owner);
            if let Some(claim) = Claim::read(record)
                && identity != own
                && !ruling.has_lapsed(identity, claim.time)
            {
                let latest = claims.entry(identity).or_default();
                *latest = claim.time.max(*latest);
            }
        }
        claims
    }

    fn shows_life(&self, identity: Key) -> bool {
        let keys = self.book.ruling().keys(identity);
        keys.into_iter().any(|key| {
            let mut entries = self.book.view().of_owner(key);
            entries.any(|e| e.record.key.kind == "box" && !e.standing.stale)
        })
    }

    /// The latest version of all that an identity has said and that is still held.
    fn last_word(&self, identity: Key) -> u64 {
        let keys = self.book.ruling().keys(identity).into_iter();
        keys.flat_map(|key| self.book.of_owner(key).map(|r| r.version))
            .max()
            .unwrap_or(0)
    }
}
