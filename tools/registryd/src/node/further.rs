//! Further sponsors: a member whose membership hangs on one other gathers up to three, so that
//! it stays when one of them is banned. A community that admits only by hand does not do this
//! by itself.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use guifi_streams::Key;
use rand::RngExt as _;

use super::{Admission, Effect, Favour, Node, Now};
use crate::rules::{Policy, Ruling};

/// Sponsors that are enough.
const ENOUGH: usize = 3;
/// From the start to the first request.
pub(super) const FIRST: Duration = Duration::from_secs(3 * 60);
/// Between two requests.
const BETWEEN: Duration = Duration::from_secs(3600);
/// The highest slot that a member gives to those who are members already: the upper half is
/// for newcomers.
const LAST_SLOT: u32 = 127;

/// The sponsors of `identity` whose own membership does not hang on it.
fn firm_sponsors(ruling: &Ruling, identity: Key) -> impl Iterator<Item = Key> + '_ {
    let sponsors = ruling.members.get(&identity).map(|m| m.sponsors.as_slice());
    let sponsors = sponsors.unwrap_or_default().iter().copied();
    sponsors.filter(move |sponsor| stands_without(ruling, *sponsor, identity))
}

/// Whether `identity` would be a member if there was no `without`.
fn stands_without(ruling: &Ruling, identity: Key, without: Key) -> bool {
    let mut seen = BTreeSet::from([without]);
    let mut queue = vec![identity];
    while let Some(key) = queue.pop() {
        if !seen.insert(key) {
            continue;
        }
        if ruling.administrators.contains(&key) {
            return true;
        }
        if let Some(member) = ruling.members.get(&key) {
            queue.extend(&member.sponsors);
        }
    }
    false
}

/// Whether `identity` should have further sponsors.
fn wants_more(ruling: &Ruling, identity: Key) -> bool {
    ruling.founding.policy == Policy::Open
        && !ruling.administrators.contains(&identity)
        && firm_sponsors(ruling, identity).count() < ENOUGH
}

impl Node {
    /// Asks somebody to sponsor this box too, if it is time, it needs that and somebody may.
    pub(super) fn seek_sponsor(&mut self, now: Now) {
        if self.schedule.seek > now.at {
            return;
        }
        self.schedule.seek = next(self.rng.random_range(0.75..1.25), now.at);
        let ruling = self.book.ruling();
        let own = ruling.identity(self.own);
        if !ruling.is_member(self.own) || !wants_more(ruling, own) {
            return;
        }
        let mut able: Vec<Key> = self.others().collect();
        able.retain(|key| {
            let identity = ruling.identity(*key);
            ruling.may_sponsor(*key)
                && self.is_live(*key)
                && !ruling.members[&own].sponsors.contains(&identity)
                && stands_without(ruling, identity, own)
        });
        if let Some(sponsor) = self.pick(&able) {
            self.effects.push(Effect::Ask(sponsor, Favour::Sponsor));
        }
    }

    /// Sponsors the member `key`, seen at `address`, beside others.
    pub fn sponsor_further(&mut self, key: Key, address: Option<IpAddr>, now: Now) -> Admission {
        let ruling = self.book.ruling();
        if !ruling.is_member(key) {
            return Admission::Refused("only a member has further sponsors".to_owned());
        }
        if !ruling.may_sponsor(self.own) {
            return Admission::Refused("this box may not sponsor".to_owned());
        }
        let (identity, own) = (ruling.identity(key), ruling.identity(self.own));
        if !wants_more(ruling, identity)
            || identity == own
            || ruling.members[&identity].sponsors.contains(&own)
        {
            return Admission::Member(self.proof(key));
        }
        // Its own count: newcomers must not wait because members are many.
        if !self.further.allows(self.tuning.sponsor, address, now.at) {
            return Admission::Later("this box has sponsored as many as it does in a day".into());
        }
        let admission = self.sponsor(key, LAST_SLOT, now);
        if matches!(admission, Admission::Member(_)) {
            self.further.note(address, now.at);
        }
        admission
    }
}

fn next(jitter: f64, now: Instant) -> Instant {
    now + BETWEEN.mul_f64(jitter)
}
