//! A member that means harm: it signs with its own key whatever it likes, forges what it cannot
//! sign, and keeps everything that others have ever said.

use serde_json::json;

use super::*;
use crate::record::MAX_LIFE_MS;
use crate::time::TOLERANCE_MS;

/// What a villain may do; each is told to one random box, or different things to two.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trick {
    /// Another's record with another body, signed by the wrong key.
    Forge,
    /// A claim on another's name, as old as can be.
    BackDate,
    /// More than the quota.
    Flood,
    /// Two records of one version.
    Equivocate,
    /// Records from the future, near and far.
    Hurry,
    /// Another box is called absent.
    Slander,
    /// Everything that was ever seen is said again.
    Replay,
    /// A hundred puppets become members.
    Puppets,
}

pub(super) const TRICKS: [Trick; 8] = [
    Trick::Forge,
    Trick::BackDate,
    Trick::Flood,
    Trick::Equivocate,
    Trick::Hurry,
    Trick::Slander,
    Trick::Replay,
    Trick::Puppets,
];

impl World {
    /// `villain` plays a trick on the running honest boxes; `seen` is all that it has ever seen.
    pub(super) fn play(&mut self, trick: Trick, villain: &Signer, seen: &[Record]) {
        let community = self.founding.hash;
        let victims: Vec<usize> = self.running().collect();
        let pick = |world: &mut Self| victims[world.rng.random_range(0..victims.len())];
        let (one, other) = (pick(self), pick(self));
        let now = self.true_ms();
        let sign = |kind: &str, name: &str, version: u64, body| {
            villain.record(community, kind, name, version, body)
        };
        match trick {
            Trick::Forge => {
                let forged = seen.iter().filter(|r| r.key.kind == "service").map(|r| {
                    let mut forged = sign("service", &r.key.name, r.version + 1, json!({"n": 666}));
                    forged.key.owner = r.key.owner;
                    Record::decode(&forged.encode()).unwrap_or(forged)
                });
                let forged = forged.take(20).collect();
                self.node_merge(one, forged);
            }
            Trick::BackDate => {
                let name = format!("box{other}");
                let body = json!({"space": "dns", "zone": "vic", "name": name, "time": 1});
                self.node_merge(one, vec![sign("claim", "dns/0", now, body)]);
            }
            Trick::Flood => {
                let begin = self.rng.random_range(0..1000);
                let flood = (begin..begin + 60)
                    .map(|n| {
                        sign(
                            "service",
                            &format!("_flood._tcp/{n}"),
                            now + n,
                            json!({"n": n}),
                        )
                    })
                    .collect();
                self.node_merge(one, flood);
            }
            Trick::Equivocate => {
                for (at, value) in [(one, 1), (other, 2)] {
                    let record = sign("service", "_two._tcp/faces", now, json!({"n": value}));
                    self.node_merge(at, vec![record]);
                }
            }
            Trick::Hurry => {
                let soon = now + TOLERANCE_MS - 30_000;
                let ahead = [soon, now + 24 * 3_600_000, now + MAX_LIFE_MS];
                let hurry = ahead
                    .iter()
                    .map(|at| sign("service", "_soon._tcp/er", *at, json!({"n": 1})));
                let hurry = hurry.collect();
                self.node_merge(one, hurry);
            }
            Trick::Slander => {
                let accused = self.key(other);
                let version = self.sites[other].node.as_ref().and_then(|node| {
                    let record = node.book().get(&crate::book::box_key(accused))?;
                    Some(record.version)
                });
                let body = json!({"key": accused, "version": version.unwrap_or(now)});
                self.node_merge(one, vec![sign("absent", &accused.to_string(), now, body)]);
            }
            Trick::Replay => self.node_merge(one, seen.to_vec()),
            Trick::Puppets => {
                let mut records = Vec::new();
                for slot in 0..100usize {
                    let puppet = Signer::numbered(1_000_000 + slot);
                    let body = json!({"key": puppet.key()});
                    records.push(sign("member", &slot.to_string(), now, body));
                    records.push(puppet.record(
                        community,
                        "service",
                        "_puppet._tcp/x",
                        now,
                        json!({"n": slot}),
                    ));
                }
                self.node_merge(one, records);
            }
        }
    }
}
