//! What must hold of every community once its network is whole again, whatever happened before.

use std::collections::BTreeSet;

use super::*;
use crate::time::TOLERANCE_MS;

/// What honest owners were told is kept: by box and name of a service, its value, or that it is
/// removed.
pub(super) type Ledger = BTreeMap<(usize, String), Option<u64>>;

/// A visible record in short: owner, kind, name, value of a service, whether it is stale.
type Seen = (Key, String, String, u64, bool);

impl World {
    fn seen(&self, n: usize) -> BTreeSet<Seen> {
        let node = self.sites[n].node.as_ref().unwrap();
        let entries = node.book().view().entries();
        entries
            .filter(|e| e.record.key.kind != "absent")
            .map(|e| {
                let key = e.record.key.clone();
                // Boxes renew their records all the time: one may be under way.
                let value = e.record.json().get("n").and_then(|n| n.as_u64());
                let value = value.unwrap_or_default();
                (key.owner, key.kind, key.name, value, e.standing.stale)
            })
            .collect()
    }

    /// Whether every honest box knows where every other is.
    pub(super) fn is_whole(&mut self, honest: usize) -> bool {
        let keys: Vec<Key> = (0..honest).map(|n| self.key(n)).collect();
        (0..honest).all(|n| {
            let view = self.node(n).book().view();
            keys.iter()
                .all(|key| view.get(&crate::book::box_key(*key)).is_some())
        })
    }

    /// What box `n` knows of a record, visible or not: its version, seconds from now, and more.
    fn held(&self, n: usize, seen: &Seen) -> String {
        let node = self.sites[n].node.as_ref().unwrap();
        let key = crate::record::RecordKey {
            owner: seen.0,
            kind: seen.1.clone(),
            name: seen.2.clone(),
        };
        let ahead = |ms: u64| (ms as i64 - self.true_ms() as i64) / 1000;
        let record = node.book().get(&key);
        let word = record.map(|r| {
            let (version, end) = (ahead(r.version), ahead(r.expires));
            format!("written at {version} s, until {end} s, {:?}", r.json())
        });
        let box_record = node.book().get(&crate::book::box_key(seen.0));
        format!(
            "{}, box record of {:?} s, clock {} ms",
            word.unwrap_or_else(|| "nothing".to_owned()),
            box_record.map(|r| ahead(r.version)),
            node.clock_offset(self.now(n))
        )
    }

    /// Every invariant, as a list of what is broken. All honest boxes run, in one island, and
    /// have had time to heal.
    pub(super) fn faults(&mut self, honest: usize, ledger: &Ledger, banned: &[Key]) -> Vec<String> {
        let mut faults = Vec::new();
        let rulings: Vec<_> = (0..honest)
            .map(|n| self.node(n).book().ruling().clone())
            .collect();
        let seen: Vec<BTreeSet<Seen>> = (0..honest).map(|n| self.seen(n)).collect();
        for n in 1..honest {
            let (one, other) = (&rulings[0], &rulings[n]);
            if one.members != other.members || one.administrators != other.administrators {
                faults.push(format!("box {n} knows other members than box 0"));
            }
            if one.banned != other.banned {
                faults.push(format!("box {n} knows other bans than box 0"));
            }
            if one.names != other.names {
                faults.push(format!("box {n} knows other names than box 0"));
            }
            if let Some(odd) = seen[0].symmetric_difference(&seen[n]).next() {
                let held = [0, n].map(|n| self.held(n, odd));
                faults.push(format!("boxes 0 and {n} differ in {odd:?}: {held:?}"));
            }
        }
        for n in 0..honest {
            let owner = self.key(n);
            if !rulings[0].is_member(owner) {
                faults.push(format!("box {n} is no member any more"));
            }
            let live = |s: &&Seen| s.0 == owner && s.1 == "service";
            let held: BTreeMap<&str, u64> = seen[0]
                .iter()
                .filter(live)
                .map(|s| (s.2.as_str(), s.3))
                .collect();
            let promised = ledger.range((n, String::new())..(n + 1, String::new()));
            for ((_, name), value) in promised {
                let found = held.get(name.as_str()).copied();
                if found != *value {
                    faults.push(format!(
                        "box {n} was promised {name} = {value:?}: it is {found:?}"
                    ));
                }
            }
            if seen[0].iter().any(|s| s.0 == owner && s.4) {
                faults.push(format!("box {n} lives and is called stale"));
            }
            // What a box signed when its clock was a little ahead may come back once its time is
            // as near as all accept: then the box signs above it.
            let limit = self.true_ms() + TOLERANCE_MS + 1000;
            let (now, time) = (self.now(n), self.true_ms());
            let node = self.node(n);
            let ahead = node.book().of_owner(owner).filter(|r| r.version > limit);
            let ahead: Vec<String> = ahead
                .map(|r| {
                    let by = (r.version - time) / 1000;
                    format!("{}/{} by {by} s {:?}", r.key.kind, r.key.name, r.json())
                })
                .collect();
            if !ahead.is_empty() {
                faults.push(format!(
                    "the versions of box {n}, linked with {} and {} ms off, run ahead of time: {ahead:?}",
                    node.linked().count(),
                    node.clock_offset(now)
                ));
            }
        }
        for key in banned {
            if seen[0].iter().any(|s| s.0 == *key) || !rulings[0].is_banned(*key) {
                faults.push(format!("the ban on {key} is not kept"));
            }
        }
        faults
    }
}
