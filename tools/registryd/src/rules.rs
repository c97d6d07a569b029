//! The rules of a community: one pure function from the set of records to who is an
//! administrator, a member, banned, and whose each name is. Neither the order nor the time of
//! arrival plays a part, so two boxes with the same records agree.
//!
//! Specified in net.guifi.Registry1(5), "Rules". Signatures of the records themselves are
//! taken as checked; those inside bodies (rotations, uses of invitations) are checked here.

mod administrators;
pub(crate) mod broken;
mod members;
mod names;
mod presence;
mod proof;
mod quota;
mod rotations;

pub use members::{LAST_ADMINISTRATOR_SLOT, LAST_MEMBER_SLOT, countersigned, is_use};
pub use names::{Claim, is_label, is_zone};
pub use presence::is_absent;
pub use quota::{MAX_SERVICES_PER_TYPE, counted, limit_bytes};
pub use rotations::{CLAIM_CONTEXT, rotation_message};

use std::collections::{BTreeMap, BTreeSet, HashMap};

use guifi_streams::Key;
use serde_json::{Map, Value};

use crate::record::{Hash, Record};
use rotations::Rotations;

/// How a community admits members.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Policy {
    /// Administrators and confirmed members sponsor whoever asks.
    Open,
    /// Administrators sponsor, or their invitations.
    Closed,
}

/// What the founding record says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Founding {
    /// Name of the community, a DNS label.
    pub name: String,
    /// DNS domain of the community.
    pub domain: String,
    /// Who may sponsor.
    pub policy: Policy,
    /// Keys of the founding administrators, the first in rank first.
    pub administrators: Vec<Key>,
    /// What a person agrees to when joining.
    pub terms: String,
}

impl Founding {
    /// Reads a founding record.
    ///
    /// # Errors
    /// A sentence saying what is wrong with it.
    pub fn read(record: &Record) -> Result<Self, String> {
        let body = record.json();
        if record.key.kind != "founding" || record.community != [0; 32] {
            return Err("not a founding record".to_owned());
        }
        let name = text(&body, "name")
            .filter(|n| is_label(n))
            .ok_or("no valid name")?;
        let domain = text(&body, "domain")
            .filter(|d| is_zone(d))
            .ok_or("no valid domain")?;
        let policy = match text(&body, "policy") {
            Some("open") => Policy::Open,
            Some("closed") => Policy::Closed,
            _ => return Err("the policy is neither open nor closed".to_owned()),
        };
        let administrators: Option<Vec<Key>> = body
            .get("administrators")
            .and_then(Value::as_array)
            .map(|list| list.iter().map(|k| k.as_str()?.parse().ok()).collect())
            .unwrap_or_default();
        let administrators = administrators.ok_or("a key of an administrator is not valid")?;
        let distinct: BTreeSet<&Key> = administrators.iter().collect();
        if distinct.len() != administrators.len() || !distinct.contains(&record.key.owner) {
            return Err("the administrators are not distinct, or the signer is none".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            domain: domain.to_owned(),
            policy,
            administrators,
            terms: text(&body, "terms").unwrap_or_default().to_owned(),
        })
    }
}

/// A member: an identity, which may have changed its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// The key that it uses now.
    pub current: Key,
    /// Who sponsors it (identities), sorted; empty for founding administrators.
    pub sponsors: Vec<Key>,
    /// Version of its oldest counted `member` record, in milliseconds; 0 for administrators.
    pub since: u64,
    /// May sponsor others.
    pub confirmed: bool,
}

/// The state of a community that its records amount to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ruling {
    /// What the founding record says.
    pub founding: Founding,
    /// Administrators (identities), the highest rank first.
    pub administrators: Vec<Key>,
    /// Members by identity: the first key of each.
    pub members: BTreeMap<Key, Member>,
    /// Banned identities.
    pub banned: BTreeSet<Key>,
    /// Identities with two rotations that no administrator has decided.
    pub frozen: BTreeSet<Key>,
    /// For every counted claim: winner of (space, zone, lower-case name).
    pub names: BTreeMap<(String, String, String), Key>,
    /// Up to when the claims of an identity have lapsed, in milliseconds.
    lapsed: BTreeMap<Key, u64>,
    /// Keys of invitations; the uses of each are `member` records that it owns.
    pub invitations: BTreeSet<Key>,
    rotations: Rotations,
}

impl Ruling {
    /// Evaluates the rules over `records`: for each record key its valid winner, of any kind
    /// and in any order.
    ///
    /// # Errors
    /// A sentence if the founding record of `community` is missing or broken.
    pub fn of<'a>(
        community: &Hash,
        records: impl Iterator<Item = &'a Record>,
    ) -> Result<Self, String> {
        let mut ruling: HashMap<&str, Vec<&Record>> = HashMap::new();
        let mut founding = None;
        for record in records {
            if &record.hash == community {
                founding = Some(Founding::read(record)?);
            } else if &record.community == community && !record.is_removal() {
                ruling
                    .entry(record.key.kind.as_str())
                    .or_default()
                    .push(record);
            }
        }
        let founding = founding.ok_or("the founding record is missing")?;
        let of_kind = |kind: &str| ruling.get(kind).map_or(&[][..], Vec::as_slice);

        let mut rotations = Rotations::read(community, of_kind("rotate"), |key| {
            founding.administrators.contains(&key)
                || ["admin", "member"].iter().any(|kind| {
                    of_kind(kind)
                        .iter()
                        .any(|r| key_in(&r.json(), "key") == Some(key))
                })
        });
        let (administrators, banned) = administrators::evaluate(
            &founding,
            of_kind("admin"),
            of_kind("ban"),
            of_kind("confirm"),
            &mut rotations,
        );
        let mut banned = banned;
        if broken::is_broken(broken::Fault::BanLifted) {
            let newest = |kind: &str, is: &dyn Fn(&Record) -> bool| {
                let found = of_kind(kind).iter().filter(|r| is(r));
                found.map(|r| r.version).max()
            };
            banned.retain(|key| {
                let ban = newest("ban", &|r| r.key.name == key.to_string());
                newest("claim", &|r| r.key.owner == *key) < ban
            });
        }
        let members = members::evaluate(
            community,
            &founding,
            &administrators,
            &banned,
            members::Evidence {
                sponsorships: of_kind("member"),
                confirmations: of_kind("confirm"),
                invitations: of_kind("invite"),
            },
            &rotations,
            |_, _, _| {},
        );
        let rank = names::Rank::new(&administrators, &rotations);
        let lapsed = names::lapsed(of_kind("lapse"), &rank);
        let names = names::evaluate(
            &members,
            of_kind("claim"),
            of_kind("confirm"),
            &lapsed,
            &rank,
        );
        Ok(Self {
            founding,
            members,
            banned,
            frozen: rotations.frozen(),
            names,
            lapsed,
            invitations: of_kind("invite")
                .iter()
                .filter(|r| administrators.contains(&rotations.identity(r.key.owner)))
                .filter_map(|r| key_in(&r.json(), "key"))
                .collect(),
            administrators,
            rotations,
        })
    }

    /// The identity behind a key: the first key of its chain of rotations.
    #[must_use]
    pub fn identity(&self, key: Key) -> Key {
        self.rotations.identity(key)
    }

    /// All keys of an identity, the first one first.
    #[must_use]
    pub fn keys(&self, identity: Key) -> Vec<Key> {
        self.rotations.keys(identity)
    }

    /// Whether `key` is the key that a member uses now.
    #[must_use]
    pub fn is_member(&self, key: Key) -> bool {
        self.members
            .get(&self.identity(key))
            .is_some_and(|m| m.current == key)
    }

    /// Whether `key` is part of a change of key and not the one that its member uses now.
    #[must_use]
    pub fn is_spent(&self, key: Key) -> bool {
        self.rotations.keys(self.identity(key)).len() > 1 && !self.is_member(key)
    }

    /// Whether `key` leads to two others and nobody has decided.
    #[must_use]
    pub fn is_forked(&self, key: Key) -> bool {
        self.rotations.is_forked(key)
    }

    /// Whether `key` was given up by a member that uses another now.
    #[must_use]
    pub fn has_left(&self, key: Key) -> bool {
        let identity = self.identity(key);
        self.members
            .get(&identity)
            .is_some_and(|m| m.current != key)
    }

    /// Whether `key` is the key that an administrator uses now.
    #[must_use]
    pub fn is_administrator(&self, key: Key) -> bool {
        self.is_member(key) && self.administrators.contains(&self.identity(key))
    }

    /// Whether `key` may sponsor others.
    #[must_use]
    pub fn may_sponsor(&self, key: Key) -> bool {
        let confirmed = self
            .members
            .get(&self.identity(key))
            .is_some_and(|m| m.confirmed);
        let open = self.founding.policy == Policy::Open;
        self.is_member(key) && confirmed && (open || self.is_administrator(key))
    }

    /// Whether `key` or the identity behind it is banned.
    #[must_use]
    pub fn is_banned(&self, key: Key) -> bool {
        self.banned.contains(&self.identity(key))
    }

    /// Whether a record counts as far as its owner is concerned: signed by a member, and by
    /// the key that the member used at that version.
    #[must_use]
    pub fn counts(&self, record: &Record) -> bool {
        let owner = record.key.owner;
        self.members.contains_key(&self.identity(owner)) && self.rotations.signed_in_time(record)
    }

    /// Whether a claim that `identity` made at `time` counts no more.
    #[must_use]
    pub fn has_lapsed(&self, identity: Key, time: u64) -> bool {
        self.lapsed.get(&identity).is_some_and(|end| time <= *end)
    }

    /// The host label of a member whose box calls itself `name` in `zone`: that name if its
    /// claim has won, else one made of the key that nobody can take.
    #[must_use]
    pub fn host_label(&self, identity: Key, name: &str, zone: &str) -> String {
        let claim = (
            "dns".to_owned(),
            zone.to_ascii_lowercase(),
            name.to_ascii_lowercase(),
        );
        if self.names.get(&claim) == Some(&identity) {
            claim.2
        } else {
            fallback_label(identity)
        }
    }
}

/// `b-` and the first 16 characters of the key.
#[must_use]
pub fn fallback_label(key: Key) -> String {
    format!("b-{}", &key.to_string()[..16])
}

/// The text of a member of a body.
fn text<'a>(body: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    body.get(member)?.as_str()
}

fn key_in(body: &Map<String, Value>, member: &str) -> Option<Key> {
    text(body, member)?.parse().ok()
}

/// A record name that is a slot: decimal without leading zeros, at most `last`.
fn slot(name: &str, last: u32) -> Option<u32> {
    let slot: u32 = name.parse().ok()?;
    (slot <= last && slot.to_string() == name).then_some(slot)
}

#[cfg(test)]
mod tests;
