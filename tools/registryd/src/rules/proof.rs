//! The few records from which a newcomer, who knows the founding record only, sees that
//! certain keys are members.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use guifi_streams::Key;

use super::rotations::Rotations;
use super::{Ruling, key_in, members};
use crate::record::{Hash, Record};

/// What there is to choose from, by what it says.
struct Shelf<'a> {
    ruling: &'a Ruling,
    /// By the appointed identity, the appointment by the highest rank.
    appointments: BTreeMap<Key, (usize, &'a Record)>,
    /// By the confirmed identity, the confirmation by the highest rank.
    confirmations: BTreeMap<Key, (usize, &'a Record)>,
    /// By the invitation's key.
    invitations: BTreeMap<Key, (usize, &'a Record)>,
    /// By old key and new key.
    rotations: BTreeMap<(Key, Key), &'a Record>,
    /// By member: its sponsor on a shortest way from an administrator, and the record.
    sponsorships: BTreeMap<Key, (Key, &'a Record)>,
}

impl Ruling {
    /// The records that lead from the founding record, which is not among them, to each of
    /// `keys` that is a member: for each a shortest chain of sponsors, with one confirmation
    /// for each of these, and the appointments and changes of key on the way. `records` are
    /// those of this ruling.
    #[must_use]
    pub fn proof<'a>(
        &'a self,
        community: &Hash,
        records: impl Iterator<Item = &'a Record>,
        keys: &[Key],
    ) -> Vec<&'a Record> {
        let shelf = Shelf::fill(self, community, records);
        let mut proof: BTreeMap<Hash, &Record> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut queue: Vec<Key> = keys.iter().map(|key| self.identity(*key)).collect();
        while let Some(identity) = queue.pop() {
            if !seen.insert(identity) {
                continue;
            }
            let (records, further) = shelf.step(identity);
            proof.extend(records.into_iter().map(|r| (r.hash, r)));
            queue.extend(further);
        }
        proof.into_values().collect()
    }
}

impl<'a> Shelf<'a> {
    fn fill(
        ruling: &'a Ruling,
        community: &Hash,
        records: impl Iterator<Item = &'a Record>,
    ) -> Self {
        let mut by_kind: HashMap<&str, Vec<&Record>> = HashMap::new();
        for record in records.filter(|r| !r.is_removal()) {
            by_kind
                .entry(record.key.kind.as_str())
                .or_default()
                .push(record);
        }
        let of_kind = |kind: &str| by_kind.get(kind).map_or(&[][..], Vec::as_slice);
        let rotations = &ruling.rotations;
        let best = |kind: &str, about: &dyn Fn(&Record) -> Option<Key>| {
            let mut best: BTreeMap<Key, (usize, &Record)> = BTreeMap::new();
            for record in of_kind(kind).iter().filter(|r| rotations.signed_in_time(r)) {
                let owner = rotations.identity(record.key.owner);
                let rank = ruling.administrators.iter().position(|a| *a == owner);
                if let (Some(rank), Some(key)) = (rank, about(record)) {
                    let held = best.entry(key).or_insert((rank, record));
                    if rank < held.0 {
                        *held = (rank, record);
                    }
                }
            }
            best
        };
        let named = |r: &Record| Some(rotations.identity(key_in(&r.json(), "key")?));
        let mut sponsorships = BTreeMap::new();
        members::evaluate(
            community,
            &ruling.founding,
            &ruling.administrators,
            &ruling.banned,
            members::Evidence {
                sponsorships: of_kind("member"),
                confirmations: of_kind("confirm"),
                invitations: of_kind("invite"),
            },
            rotations,
            |member, sponsor, record| {
                sponsorships.insert(member, (sponsor, record));
            },
        );
        Self {
            ruling,
            appointments: best("admin", &named),
            confirmations: best("confirm", &|r| confirmed(r, rotations)),
            invitations: best("invite", &|r| key_in(&r.json(), "key")),
            rotations: of_kind("rotate")
                .iter()
                .filter_map(|r| Some(((r.key.owner, r.key.name.parse().ok()?), *r)))
                .collect(),
            sponsorships,
        }
    }

    /// What grounds an identity directly, and the identities that this rests on.
    fn step(&self, identity: Key) -> (Vec<&'a Record>, Vec<Key>) {
        let ruling = self.ruling;
        let mut records: Vec<&Record> = Vec::new();
        let mut owners: Vec<Key> = Vec::new();
        for (old, new) in ruling.rotations.chain(identity) {
            records.extend(self.rotations.get(&(old, new)));
        }
        let founders = &ruling.founding.administrators;
        if founders.iter().any(|f| ruling.identity(*f) == identity) {
            return (records, owners);
        }
        let mut take = |found: Option<&(usize, &'a Record)>| {
            if let Some((_, record)) = found {
                records.push(record);
                owners.push(ruling.identity(record.key.owner));
            }
        };
        if ruling.administrators.contains(&identity) {
            take(self.appointments.get(&identity));
        } else if let Some((sponsor, record)) = self.sponsorships.get(&identity) {
            let invitation = self.invitations.get(&record.key.owner);
            take(invitation);
            if invitation.is_none() && !ruling.administrators.contains(sponsor) {
                take(self.confirmations.get(sponsor));
            }
            records.push(record);
            owners.push(*sponsor);
        }
        (records, owners)
    }
}

fn confirmed(record: &Record, rotations: &Rotations) -> Option<Key> {
    let key = record.key.name.strip_prefix("member/")?.parse().ok()?;
    Some(rotations.identity(key))
}
