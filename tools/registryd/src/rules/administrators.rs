//! Who administers, in which rank, and whom they have banned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guifi_streams::Key;

use super::rotations::Rotations;
use super::{Founding, key_in, slot};
use crate::record::Record;

/// The highest slot of an administrator's appointments.
const LAST_SLOT: u32 = 65_535;

/// Administrators in rank order and all banned identities.
pub(super) fn evaluate(
    founding: &Founding,
    appointments: &[&Record],
    bans: &[&Record],
    confirmations: &[&Record],
    rotations: &mut Rotations,
) -> (Vec<Key>, BTreeSet<Key>) {
    loop {
        let by_owner = Acts::group(appointments, bans, confirmations, rotations);
        let ranked = rank(founding, &by_owner, rotations);
        // Deciding a fork may bring an administrator back, whose acts then count as well.
        let mut changed = false;
        for administrator in &ranked.0 {
            for (old, new) in &by_owner.of(*administrator).decisions {
                changed |= rotations.decide(*old, *new);
            }
        }
        if !changed {
            return ranked;
        }
    }
}

/// What one identity has done as an administrator, if it is one.
#[derive(Default)]
struct Acts {
    /// Appointees (identities) by slot, then by key should two keys of one chain differ.
    appointments: BTreeSet<(u32, Key)>,
    bans: BTreeSet<Key>,
    decisions: BTreeSet<(Key, Key)>,
}

struct ByOwner(BTreeMap<Key, Acts>, Acts);

impl ByOwner {
    fn of(&self, identity: Key) -> &Acts {
        self.0.get(&identity).unwrap_or(&self.1)
    }
}

impl Acts {
    fn group(
        appointments: &[&Record],
        bans: &[&Record],
        confirmations: &[&Record],
        rotations: &Rotations,
    ) -> ByOwner {
        let mut acts: BTreeMap<Key, Self> = BTreeMap::new();
        let mut each = |records: &[&Record], note: &mut dyn FnMut(&mut Self, &Record)| {
            for record in records.iter().filter(|r| rotations.signed_in_time(r)) {
                note(
                    acts.entry(rotations.identity(record.key.owner))
                        .or_default(),
                    record,
                );
            }
        };
        each(appointments, &mut |acts, record| {
            if let (Some(slot), Some(key)) = (
                slot(&record.key.name, LAST_SLOT),
                key_in(&record.json(), "key"),
            ) {
                acts.appointments.insert((slot, rotations.identity(key)));
            }
        });
        each(bans, &mut |acts, record| {
            if let Ok(key) = record.key.name.parse() {
                acts.bans.insert(rotations.identity(key));
            }
        });
        each(confirmations, &mut |acts, record| {
            let old = record
                .key
                .name
                .strip_prefix("rotate/")
                .and_then(|k| k.parse().ok());
            if let (Some(old), Some(new)) = (old, key_in(&record.json(), "key")) {
                acts.decisions.insert((old, new));
            }
        });
        ByOwner(acts, Self::default())
    }
}

/// Walks the ranks downwards: whoever is banned by a higher rank, or by more than half of the
/// founding list, does not act at all.
fn rank(founding: &Founding, acts: &ByOwner, rotations: &Rotations) -> (Vec<Key>, BTreeSet<Key>) {
    let frozen = rotations.frozen();
    let founders: Vec<Key> = founding
        .administrators
        .iter()
        .map(|k| rotations.identity(*k))
        .collect();
    let mut votes: BTreeMap<Key, usize> = BTreeMap::new();
    for founder in founders.iter().collect::<BTreeSet<_>>() {
        for banned in &acts.of(*founder).bans {
            *votes.entry(*banned).or_default() += 1;
        }
    }
    let mut banned: BTreeSet<Key> = votes
        .into_iter()
        .filter(|(_, votes)| votes * 2 > founders.len())
        .map(|(key, _)| key)
        .collect();
    let mut ranked = Vec::new();
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<Key> = founders.into();
    while let Some(key) = queue.pop_front() {
        if banned.contains(&key) || frozen.contains(&key) || !seen.insert(key) {
            continue;
        }
        ranked.push(key);
        for target in &acts.of(key).bans {
            // Upwards, and on oneself, a ban does not count.
            if !seen.contains(target) {
                banned.insert(*target);
            }
        }
        queue.extend(
            acts.of(key)
                .appointments
                .iter()
                .map(|(_, appointee)| *appointee),
        );
    }
    (ranked, banned)
}
