//! How much of an owner's records counts.

use std::collections::HashMap;

use super::broken::{Fault, is_broken};
use crate::kinds;
use crate::record::Record;

/// The most services of one type that count for one owner.
pub const MAX_SERVICES_PER_TYPE: usize = 20;
/// The most bytes that count for one owner.
const MAX_OWNER_BYTES: u64 = 256 << 10;
/// The bytes that all members share.
const COMMUNITY_BYTES: u64 = 512 << 20;

/// The bytes that count for each of `members` owners.
#[must_use]
pub fn limit_bytes(members: usize) -> u64 {
    MAX_OWNER_BYTES.min(COMMUNITY_BYTES / members.max(1) as u64)
}

/// Of all records of one owner, removals included, those that count: in the order (rank of
/// kind, kind, name) up to the first that does not fit `limit` bytes. Records that decide
/// membership and names are bounded by their slots instead and always count. Of services the
/// first twenty of each type count.
pub fn counted<'a>(records: impl Iterator<Item = &'a Record>, limit: u64) -> Vec<&'a Record> {
    let mut sorted: Vec<&Record> = records.collect();
    if !is_broken(Fault::QuotaByArrival) {
        sorted.sort_by_key(|r| (kinds::rank(&r.key.kind), &r.key.kind, &r.key.name));
    }
    let mut used = 0;
    let mut full = false;
    let mut services: HashMap<&str, usize> = HashMap::new();
    sorted.retain(|record| {
        if kinds::RULING.contains(&record.key.kind.as_str()) {
            return true;
        }
        used += record.size as u64;
        full |= used > limit;
        if full {
            return false;
        }
        if record.key.kind != "service" || record.is_removal() {
            return true;
        }
        let kind = record.key.name.split('/').next().unwrap_or_default();
        let seen = services.entry(kind).or_default();
        *seen += 1;
        *seen <= MAX_SERVICES_PER_TYPE
    });
    sorted
}
