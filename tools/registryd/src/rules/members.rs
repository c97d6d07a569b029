//! Who is a member: whoever `member` records lead to from an administrator.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guifi_streams::Key;
use serde_json::Value;

use super::rotations::{CLAIM_CONTEXT, Rotations, signature_in};
use super::{Founding, Member, Policy, key_in, slot, text};
use crate::invitation::MAX_USES;
use crate::record::{Hash, Record, verify};

/// The highest slot in which an administrator sponsors.
pub const LAST_ADMINISTRATOR_SLOT: u32 = 65_535;
/// The highest slot in which a confirmed member sponsors.
pub const LAST_MEMBER_SLOT: u32 = 255;

/// What the member that admits somebody with an invitation signs: `invite`, the community, the
/// invitation's key, the slot, the joiner's key and the time in milliseconds.
#[must_use]
pub fn countersigned(community: &Hash, invite: Key, slot: u32, joiner: Key, time: u64) -> Vec<u8> {
    [
        b"invite",
        community.as_slice(),
        invite.0.as_slice(),
        &slot.to_be_bytes(),
        joiner.0.as_slice(),
        &time.to_be_bytes(),
    ]
    .concat()
}

/// Whether a `member` record of an invitation's key is a use in a slot that any invitation can
/// have: whoever holds one shall neither fill the books with others nor, by a removal or a
/// record that the latest wins, undo the use of somebody else.
#[must_use]
pub fn is_use(record: &Record) -> bool {
    slot(&record.key.name, MAX_USES - 1).is_some() && record.json().contains_key("invite")
}

/// A sponsorship waiting for its sponsor to be found a member.
struct Sponsorship<'a> {
    slot: u32,
    target: Key,
    record: &'a Record,
}

/// The records that membership follows from.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'s, 'a> {
    pub(super) sponsorships: &'s [&'a Record],
    pub(super) confirmations: &'s [&'a Record],
    pub(super) invitations: &'s [&'a Record],
}

/// All members. Each one but the administrators is told to `reached` when it is first found,
/// by a shortest way from them: the member, its sponsor and the `member` record.
pub(super) fn evaluate<'a>(
    community: &Hash,
    founding: &Founding,
    administrators: &[Key],
    banned: &BTreeSet<Key>,
    evidence: Evidence<'_, 'a>,
    rotations: &Rotations,
    mut reached: impl FnMut(Key, Key, &'a Record),
) -> BTreeMap<Key, Member> {
    let Evidence {
        sponsorships,
        confirmations,
        invitations,
    } = evidence;
    let ranks: BTreeSet<Key> = administrators.iter().copied().collect();
    let by_administrator = |record: &&&Record| {
        ranks.contains(&rotations.identity(record.key.owner)) && rotations.signed_in_time(record)
    };
    let confirmed: BTreeSet<Key> = confirmations
        .iter()
        .filter(by_administrator)
        .filter_map(|r| r.key.name.strip_prefix("member/")?.parse::<Key>().ok())
        .map(|key| rotations.identity(key))
        .collect();
    // Key of an invitation to the number of its uses and its end.
    let invites: BTreeMap<Key, (u32, u64)> = invitations
        .iter()
        .filter(by_administrator)
        .filter_map(|r| {
            let body = r.json();
            let uses = u32::try_from(body.get("uses").and_then(Value::as_u64)?).ok()?;
            Some((
                key_in(&body, "key")?,
                (uses.min(MAX_USES), body.get("expires")?.as_u64()?),
            ))
        })
        .collect();

    let mut waiting: BTreeMap<Key, Vec<Sponsorship<'a>>> = BTreeMap::new();
    let mut invited: BTreeMap<Key, Vec<Sponsorship<'a>>> = BTreeMap::new();
    for &record in sponsorships {
        let body = record.json();
        let Some(target) = key_in(&body, "key").map(|k| rotations.identity(k)) else {
            continue;
        };
        let made = |slot| Sponsorship {
            slot,
            target,
            record,
        };
        if let Some((uses, end)) = invites.get(&record.key.owner) {
            if let Some((slot, by)) = admitted(community, record, *uses, *end) {
                invited
                    .entry(rotations.identity(by))
                    .or_default()
                    .push(made(slot));
            }
        } else if rotations.signed_in_time(record)
            && let Some(slot) = slot(&record.key.name, LAST_ADMINISTRATOR_SLOT)
        {
            waiting
                .entry(rotations.identity(record.key.owner))
                .or_default()
                .push(made(slot));
        }
    }

    let frozen = rotations.frozen();
    let mut members: BTreeMap<Key, Member> = BTreeMap::new();
    let mut queue = VecDeque::new();
    for key in administrators {
        members.insert(
            *key,
            Member {
                current: rotations.current(*key),
                sponsors: Vec::new(),
                since: 0,
                confirmed: true,
            },
        );
        queue.push_back(*key);
    }
    while let Some(sponsor) = queue.pop_front() {
        let last_slot = match (ranks.contains(&sponsor), founding.policy) {
            (true, _) => Some(LAST_ADMINISTRATOR_SLOT),
            (false, Policy::Open) => members
                .get(&sponsor)
                .is_some_and(|m| m.confirmed)
                .then_some(LAST_MEMBER_SLOT),
            (false, Policy::Closed) => None,
        };
        let own = waiting
            .get(&sponsor)
            .into_iter()
            .flatten()
            .filter(|s| last_slot.is_some_and(|last| s.slot <= last));
        for entry in own.chain(invited.get(&sponsor).into_iter().flatten()) {
            let target = entry.target;
            if banned.contains(&target) || frozen.contains(&target) || target == sponsor {
                continue;
            }
            let member = members.entry(target).or_insert_with(|| {
                queue.push_back(target);
                reached(target, sponsor, entry.record);
                Member {
                    current: rotations.current(target),
                    sponsors: Vec::new(),
                    since: entry.record.version,
                    confirmed: confirmed.contains(&target),
                }
            });
            if let Err(at) = member.sponsors.binary_search(&sponsor) {
                member.sponsors.insert(at, sponsor);
            }
            if member.since != 0 {
                member.since = member.since.min(entry.record.version);
            }
        }
    }
    members
}

/// The slot of a valid use of an invitation and the member that admitted the joiner.
fn admitted(community: &Hash, record: &Record, uses: u32, end: u64) -> Option<(u32, Key)> {
    let body = record.json();
    let slot = slot(&record.key.name, uses.checked_sub(1)?)?;
    let joiner = key_in(&body, "key")?;
    let by = key_in(&body, "by")?;
    let signature = signature_in(text(&body, "countersignature")?)?;
    let message = countersigned(community, record.key.owner, slot, joiner, record.version);
    (body.contains_key("invite")
        && record.version <= end
        && verify(by, CLAIM_CONTEXT, &message, &signature))
    .then_some((slot, by))
}
