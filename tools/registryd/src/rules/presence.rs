//! Whether a box is there: what its neighbours say of its latest `box` record.

use std::collections::BTreeSet;

use guifi_streams::Key;
use serde_json::Value;

use super::key_in;
use crate::record::Record;

/// How many neighbours must miss a box, if it has as many.
const ACCUSERS: usize = 2;

/// Whether the box of `record` (kind `box`) is absent according to `accusations`: the
/// unexpired `absent` records that name its owner. Two of the neighbours that the record lists
/// (one, if it lists only one) must deny this very version; the owner alone suffices, which is
/// how a box says good-bye.
pub fn is_absent<'a>(record: &Record, accusations: impl Iterator<Item = &'a Record>) -> bool {
    let body = record.json();
    let neighbours: BTreeSet<Key> = body
        .get("spine")
        .and_then(|spine| spine.get("neighbours"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|key| key.as_str()?.parse().ok())
        .collect();
    let mut accusers = BTreeSet::new();
    for accusation in accusations {
        let body = accusation.json();
        let denies = body.get("version").and_then(Value::as_u64) == Some(record.version);
        if !denies || key_in(&body, "key") != Some(record.key.owner) {
            continue;
        }
        if accusation.key.owner == record.key.owner {
            return true;
        }
        if neighbours.contains(&accusation.key.owner) {
            accusers.insert(accusation.key.owner);
        }
    }
    !neighbours.is_empty() && accusers.len() >= ACCUSERS.min(neighbours.len())
}
