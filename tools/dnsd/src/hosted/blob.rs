//! Records one behind the other in wire form without compression: as the store keeps them, and
//! as a transfer sends them.

use std::collections::BTreeMap;

use super::content::Content;
use super::rrset::{Record, Sets, Soa, name_at, stored, write_tail};
use crate::encode::rtype;
use crate::name::{MAX_NAME, Name};

/// What a zone lost and gained between two serials.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Delta {
    /// The serial before.
    pub from: u32,
    /// The serial after.
    pub to: u32,
    /// Records that went, the SOA record first.
    pub removed: Vec<Record>,
    /// Records that came, the SOA record first.
    pub added: Vec<Record>,
}

impl Record {
    /// Octets that it takes in a piece.
    pub fn size(&self) -> usize {
        self.owner.wire().len() + 10 + self.data.len()
    }

    /// Adds the record to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.owner.wire());
        write_tail(out, self.rtype, self.ttl, &self.data);
    }
}

/// The records as one piece.
pub fn write(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        record.write(&mut out);
    }
    out
}

/// Reads what [`write`] wrote; `None` if it is damaged.
pub fn read(bytes: &[u8]) -> Option<Vec<Record>> {
    each(bytes).collect()
}

/// The same, one record after the other; `None` where it is damaged, for ever.
pub fn each(mut bytes: &[u8]) -> impl Iterator<Item = Option<Record>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let next = first(bytes);
        bytes = next.as_ref().map_or(bytes, |(_, rest)| rest);
        Some(next.map(|(record, _)| record))
    })
}

/// The first record, and what comes behind it.
fn first(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let owner = name_at(bytes, 0).filter(|name| name.len() <= MAX_NAME)?;
    let (head, rest) = bytes.get(owner.len()..)?.split_first_chunk::<10>()?;
    let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
    let (data, rest) = rest.split_at_checked(length)?;
    let record = Record {
        owner: Name::from_wire(owner),
        rtype: u16::from_be_bytes([head[0], head[1]]),
        ttl: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        data: data.into(),
    };
    Some((record, rest))
}

/// All records of a zone, the SOA record first, as pieces of whole records.
pub fn records(content: &Content) -> Vec<Record> {
    let mut records = Vec::with_capacity(content.records());
    for node in content.shards().iter().flat_map(|table| table.nodes()) {
        let owner = Name::from_wire(&[node.name, content.origin().wire()].concat());
        for (rtype, set) in node.sets() {
            records.extend(stored(set.answer).map(|(ttl, data)| Record {
                owner: owner.clone(),
                rtype,
                ttl,
                data: data.into(),
            }));
        }
    }
    records.sort_by_key(|record| record.rtype != rtype::SOA);
    records
}

/// All records of a zone as one piece.
pub fn whole(content: &Content) -> Vec<u8> {
    let mut out = Vec::new();
    for node in content.shards().iter().flat_map(|table| table.nodes()) {
        for (rtype, set) in node.sets() {
            for (ttl, data) in stored(set.answer) {
                out.extend_from_slice(node.name);
                out.extend_from_slice(content.origin().wire());
                write_tail(&mut out, rtype, ttl, data);
            }
        }
    }
    out
}

/// What `name` lost and gained with its new sets.
pub fn differences(owner: &Name, old: &Sets, new: &Sets, delta: &mut Delta) {
    let record = |rtype, ttl, data: &[u8]| Record {
        owner: owner.clone(),
        rtype,
        ttl,
        data: data.into(),
    };
    let lost = |from: &Sets, to: &Sets, into: &mut Vec<Record>| {
        for (&rtype, rrset) in from {
            let other = to.get(&rtype);
            for data in &rrset.data {
                let stays = other.is_some_and(|o| o.ttl == rrset.ttl && o.data.contains(data));
                if !stays {
                    into.push(record(rtype, rrset.ttl, data));
                }
            }
        }
    };
    lost(old, new, &mut delta.removed);
    lost(new, old, &mut delta.added);
}

/// The way from one state of a zone to another. Both have an SOA record, with other serials if
/// anything differs.
pub fn between(old: &Content, new: &Content) -> Delta {
    let mut names: BTreeMap<Box<[u8]>, Box<[u8]>> = BTreeMap::new();
    for content in [old, new] {
        for node in content.shards().iter().flat_map(|table| table.nodes()) {
            names.insert(node.name.to_ascii_lowercase().into(), node.name.into());
        }
    }
    let mut delta = Delta::default();
    for (lower, written) in names {
        let owner = Name::from_wire(&[&written, old.origin().wire()].concat());
        differences(&owner, &old.get(&lower), &new.get(&lower), &mut delta);
    }
    for side in [&mut delta.removed, &mut delta.added] {
        side.sort_by_key(|record| record.rtype != rtype::SOA);
    }
    let serial = |records: &[Record]| {
        let first = records
            .first()
            .filter(|record| record.rtype == rtype::SOA)?;
        Some(Soa::read(&first.data)?.serial)
    };
    delta.from = serial(&delta.removed).unwrap_or_default();
    delta.to = serial(&delta.added).unwrap_or_default();
    delta
}
