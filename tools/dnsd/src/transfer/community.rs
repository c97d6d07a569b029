//! The community's domain for other servers. There is no journal of it, since its changes are
//! those of the registry: instead the states that others have fetched are remembered. They share
//! with the present what has not changed, and cost nothing while nobody fetches them.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::op::ResponseCode;

use super::{Transfer, refusal};
use crate::encode::rtype;
use crate::hosted::rrset::{Record, from_wire};
use crate::name::Name;
use crate::table::Table;
use crate::text;
use crate::zone::{Apex, Built, Zones};

/// States that are remembered: one for each server that follows, or two in the midst of a change.
const STATES: usize = 8;
/// Octets of them beside what the newest has as well.
const OCTETS: usize = 8 << 20;

/// States that others have, the newest last.
#[derive(Debug, Default)]
pub struct Given(Mutex<VecDeque<Arc<Zones>>>);

impl Given {
    /// The state with this serial, if it is remembered.
    pub fn get(&self, serial: u32) -> Option<Arc<Zones>> {
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |zones: &&Arc<Zones>| {
            let community = zones.community.as_ref();
            community.is_some_and(|apex| apex.serial == serial)
        };
        states.iter().find(is).cloned()
    }

    /// Remembers that somebody has this state.
    pub fn remember(&self, zones: &Arc<Zones>) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|old| !Arc::ptr_eq(old, zones));
        states.push_back(zones.clone());
        let mut octets = 0;
        let kept = states.iter().rev().take(STATES).take_while(|old| {
            octets += size_beside(old, zones);
            octets <= OCTETS
        });
        let kept = kept.count();
        while states.len() > kept.max(1) {
            states.pop_front();
        }
    }
}

/// Octets of the tables that `old` has and `new` has not.
fn size_beside(old: &Zones, new: &Zones) -> usize {
    let own = old.built.iter();
    let own = own.filter(|(zone, built)| !is_same(new, zone, built));
    own.map(|(_, built)| built.table.size()).sum()
}

fn is_same(zones: &Zones, zone: &str, built: &Arc<Built>) -> bool {
    let theirs = zones.built.get(zone);
    theirs.is_some_and(|theirs| Arc::ptr_eq(theirs, built))
}

/// The messages that bring the community's domain; with `old`, the state that the client has,
/// only what has changed since.
pub(super) fn write(
    zones: &Zones,
    apex: &Apex,
    old: Option<&Zones>,
    mut transfer: Transfer,
) -> Vec<Vec<u8>> {
    let domain = &apex.name;
    let Some(soa) = start(apex) else {
        return vec![refusal(&transfer.request, ResponseCode::ServFail)];
    };
    transfer.add_record(domain, &soa);
    if transfer.request.has(apex.serial) {
        return transfer.finish();
    }
    match old.and_then(|old| changes(old, zones, domain)) {
        Some((before, removed, added)) => {
            for record in [&before].into_iter().chain(&removed) {
                transfer.add_record(domain, record);
            }
            for record in [&soa].into_iter().chain(&added) {
                transfer.add_record(domain, record);
            }
        }
        None => {
            for built in zones.built.values() {
                each(&built.table, &built.apex, |record| {
                    transfer.add_record(domain, &record)
                });
            }
        }
    }
    transfer.add_record(domain, &soa);
    transfer.finish()
}

/// The SOA record before, and the records that went and came since; `None` if it is another
/// domain.
fn changes(old: &Zones, new: &Zones, domain: &Name) -> Option<(Record, Vec<Record>, Vec<Record>)> {
    let before = old.community.as_ref().filter(|apex| apex.name == *domain)?;
    let lost = |from: &Zones, to: &Zones| {
        let mut records = HashSet::new();
        for (zone, built) in &from.built {
            if !is_same(to, zone, built) {
                each(&built.table, &built.apex, |record| {
                    records.insert(record);
                });
            }
        }
        records
    };
    // A name may have gone from one table to another. The box that a zone below is named after
    // stands in both, which are built anew together when it changes.
    let (gone, come) = (lost(old, new), lost(new, old));
    let removed = gone.difference(&come).cloned().collect();
    let added = come.difference(&gone).cloned().collect();
    Some((start(before)?, removed, added))
}

/// The SOA record.
fn start(apex: &Apex) -> Option<Record> {
    let node = apex.top.node(b"")?;
    let (_, set) = node.sets().find(|(rtype, _)| *rtype == rtype::SOA)?;
    from_wire(text::records(&apex.name, set).first()?)
}

/// Hands over the records of a table, without SOA. Their sets are compressed against their owner.
fn each(table: &Table, apex: &Name, mut to: impl FnMut(Record)) {
    for node in table.nodes() {
        let owner = Name::from_wire(&[node.name, apex.wire()].concat());
        for (_, set) in node.sets().filter(|(rtype, _)| *rtype != rtype::SOA) {
            text::records(&owner, set)
                .iter()
                .filter_map(from_wire)
                .for_each(&mut to);
        }
    }
}
