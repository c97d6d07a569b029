//! Whose each name is: claims in a fixed order.

use std::collections::{BTreeMap, HashMap};

use guifi_streams::Key;
use serde_json::Value;

use super::rotations::Rotations;
use super::{Member, key_in, slot, text};
use crate::record::Record;

/// Names that are never anybody's.
const RESERVED: [&str; 10] = [
    "wpad",
    "isatap",
    "localhost",
    "ns",
    "www",
    "dns",
    "b",
    "lb",
    "db",
    "autoconfig",
];
/// The highest slot of a claim within its space.
const LAST_SLOT: u32 = 3;

/// A claim to a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// What the name is one of: `dns`, …
    pub space: String,
    /// The name in lower case.
    pub name: String,
    /// The zone in lower case, empty for the community itself.
    pub zone: String,
    /// Since when, in milliseconds.
    pub time: u64,
}

impl Claim {
    /// Reads a claim record; `None` if it claims nothing.
    #[must_use]
    pub fn read(record: &Record) -> Option<Self> {
        let body = record.json();
        let claim = Self {
            space: text(&body, "space")?.to_owned(),
            name: text(&body, "name")?.to_ascii_lowercase(),
            zone: text(&body, "zone")?.to_ascii_lowercase(),
            time: body.get("time").and_then(Value::as_u64)?,
        };
        let number = record
            .key
            .name
            .strip_prefix(&claim.space)?
            .strip_prefix('/')?;
        slot(number, LAST_SLOT)?;
        let claimable =
            claim.space != "dns" || (is_label(&claim.name) && !is_reserved(&claim.name));
        let placed = claim.zone.is_empty() || is_zone(&claim.zone);
        (claimable && placed && claim.time <= record.version).then_some(claim)
    }
}

/// Whether `name` is a host label (RFC 1123): letters, digits and inner hyphens, at most 63.
#[must_use]
pub fn is_label(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether `zone` is one or more labels with dots between, at most 100 octets.
#[must_use]
pub fn is_zone(zone: &str) -> bool {
    zone.len() <= 100
        && zone
            .split('.')
            .all(|l| is_label(l) && !l.bytes().all(|b| b.is_ascii_digit()))
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with("b-") || name.bytes().all(|b| b.is_ascii_digit())
}

/// The rank of administrators, as far as a record is signed by one.
pub(super) struct Rank<'a> {
    places: HashMap<Key, usize>,
    rotations: &'a Rotations,
}

impl<'a> Rank<'a> {
    pub(super) fn new(administrators: &[Key], rotations: &'a Rotations) -> Self {
        let places = administrators.iter().enumerate();
        Self {
            places: places.map(|(rank, key)| (*key, rank)).collect(),
            rotations,
        }
    }

    fn of(&self, record: &Record) -> Option<usize> {
        let identity = self.rotations.identity(record.key.owner);
        let rank = self.places.get(&identity).copied();
        rank.filter(|_| self.rotations.signed_in_time(record))
    }
}

/// The end of each identity's lapsed claims.
pub(super) fn lapsed(lapses: &[&Record], rank: &Rank<'_>) -> BTreeMap<Key, u64> {
    let mut lapsed: BTreeMap<Key, u64> = BTreeMap::new();
    for record in lapses.iter().filter(|r| rank.of(r).is_some()) {
        let time = record.json().get("time").and_then(Value::as_u64);
        if let (Ok(key), Some(time)) = (record.key.name.parse::<Key>(), time) {
            let end = lapsed.entry(rank.rotations.identity(key)).or_default();
            *end = (*end).max(time);
        }
    }
    lapsed
}

pub(super) fn evaluate(
    members: &BTreeMap<Key, Member>,
    claims: &[&Record],
    confirmations: &[&Record],
    lapsed: &BTreeMap<Key, u64>,
    rank: &Rank<'_>,
) -> BTreeMap<(String, String, String), Key> {
    let rotations = rank.rotations;
    // For each name, the identities confirmed by administrators, the highest rank first.
    let mut confirmed: HashMap<String, BTreeMap<usize, Key>> = HashMap::new();
    for record in confirmations {
        let name = record.key.name.strip_prefix("claim/");
        if let (Some(name), Some(rank), Some(key)) =
            (name, rank.of(record), key_in(&record.json(), "key"))
        {
            let name = name.to_ascii_lowercase();
            confirmed
                .entry(name)
                .or_default()
                .insert(rank, rotations.identity(key));
        }
    }
    // A successor's claim stands in the place of the same one of the key before it.
    let mut newest: HashMap<(Key, &str), usize> = HashMap::new();
    for record in claims {
        let place = (
            rotations.identity(record.key.owner),
            record.key.name.as_str(),
        );
        let generation = newest.entry(place).or_default();
        *generation = (*generation).max(rotations.generation(record.key.owner));
    }
    let mut best: BTreeMap<(String, String, String), (usize, u64, Key)> = BTreeMap::new();
    for record in claims {
        let identity = rotations.identity(record.key.owner);
        if newest[&(identity, record.key.name.as_str())] > rotations.generation(record.key.owner) {
            continue;
        }
        if !members.contains_key(&identity) || !rotations.signed_in_time(record) {
            continue;
        }
        let Some(claim) = Claim::read(record) else {
            continue;
        };
        if lapsed.get(&identity).is_some_and(|end| claim.time <= *end) {
            continue;
        }
        let confirmed_by = confirmed
            .get(&format!("{}/{}/{}", claim.space, claim.zone, claim.name))
            .and_then(|by| by.iter().find(|(_, key)| **key == identity))
            .map_or(usize::MAX, |(rank, _)| *rank);
        let standing = (confirmed_by, claim.time, identity);
        best.entry((claim.space, claim.zone, claim.name))
            .and_modify(|held| *held = (*held).min(standing))
            .or_insert(standing);
    }
    best.into_iter()
        .map(|(name, (_, _, key))| (name, key))
        .collect()
}
