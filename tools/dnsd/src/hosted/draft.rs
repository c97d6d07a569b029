//! Changes of a zone that are put together before they are made: what is to stand at each name
//! that they touch. Names are in front of the apex and in lower case.

use std::collections::BTreeMap;

use super::blob::{self, Delta};
use super::content::{Change, Content};
use super::rrset::{Record, Rrset, Sets, Soa};
use crate::encode::rtype;
use crate::name::Name;

/// What is to stand at names from now on.
pub type Changes = BTreeMap<Box<[u8]>, Change>;

/// Changes upon a zone, and perhaps upon others that are not made yet.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    content: &'a Content,
    before: Option<&'a Changes>,
    changes: Changes,
}

impl<'a> Draft<'a> {
    /// No changes yet, upon `content` and `before`.
    pub fn new(content: &'a Content, before: Option<&'a Changes>) -> Self {
        Self {
            content,
            before,
            changes: Changes::new(),
        }
    }

    /// These changes upon `content`.
    pub fn of(content: &'a Content, changes: Changes) -> Self {
        Self {
            content,
            before: None,
            changes,
        }
    }

    /// The name of the zone.
    pub fn origin(&self) -> &'a Name {
        self.content.origin()
    }

    fn changed(&self, name: &[u8]) -> Option<&Change> {
        let before = self.before.and_then(|before| before.get(name));
        self.changes.get(name).or(before)
    }

    /// The sets of a name.
    pub fn get(&self, name: &[u8]) -> Sets {
        match self.changed(name) {
            Some((_, sets)) => sets.clone(),
            None => self.content.get(name),
        }
    }

    /// The sets of a name, to be changed; a new one is to be written as `written`.
    pub fn edit(&mut self, name: &[u8], written: &[u8]) -> &mut Sets {
        if !self.changes.contains_key(name) {
            let change = match self.changed(name) {
                Some(change) => change.clone(),
                None => {
                    let node = self.content.node(name);
                    let written = node.map_or(written, |node| node.name);
                    (written.into(), self.content.get(name))
                }
            };
            self.changes.insert(name.into(), change);
        }
        &mut self.changes.entry(name.into()).or_default().1
    }

    /// Adds one record, or takes one away; one outside of the zone changes nothing.
    fn record(&mut self, record: &Record, change: impl FnOnce(&mut Rrset) -> bool) -> bool {
        let lower = record.owner.lower();
        let Some(name) = lower.below(self.content.origin()) else {
            return false;
        };
        let written = record.owner.wire().get(..name.len()).unwrap_or_default();
        let sets = self.edit(name, written);
        let done = change(sets.entry(record.rtype).or_default());
        sets.retain(|_, rrset| !rrset.data.is_empty());
        done
    }

    /// Makes a change that was kept, or that came from elsewhere; `false` if it does not fit
    /// what is there.
    pub fn patch(&mut self, delta: &Delta) -> bool {
        let mut fits = true;
        for record in &delta.removed {
            fits &= self.record(record, |rrset| rrset.remove(record.rtype, &record.data));
        }
        for record in &delta.added {
            fits &= self.record(record, |rrset| {
                rrset.ttl = record.ttl;
                rrset.add(record.rtype, &record.data)
            });
        }
        fits
    }

    /// The changes.
    pub fn finish(self) -> Changes {
        self.changes
    }

    /// The way from the zone to the changes. Unless they have a later serial themselves, theirs
    /// is the next one. `None` if nothing changes, or the zone has no SOA record.
    pub fn step(&mut self) -> Option<Delta> {
        let mut delta = Delta::default();
        for (name, (written, sets)) in &self.changes {
            let owner = Name::from_wire(&[written, self.origin().wire()].concat());
            blob::differences(&owner, &self.content.get(name), sets, &mut delta);
        }
        if delta.removed.is_empty() && delta.added.is_empty() {
            return None;
        }
        let from = serial(&self.content.get(b""))?;
        if serial(&self.get(b""))? == from {
            let owner = self.origin().clone();
            let rrset = self.edit(b"", b"").get_mut(&rtype::SOA)?;
            let old = rrset.data.first()?.clone();
            let mut soa = Soa::read(&old)?;
            // RFC 1982; 0 means to some that there is no zone yet.
            soa.serial = from.checked_add(1).unwrap_or(1);
            rrset.data = vec![soa.data()];
            let record = |data| Record {
                owner: owner.clone(),
                rtype: rtype::SOA,
                ttl: rrset.ttl,
                data,
            };
            delta.removed.push(record(old));
            delta.added.push(record(soa.data()));
        }
        for side in [&mut delta.removed, &mut delta.added] {
            side.sort_by_key(|record| record.rtype != rtype::SOA);
        }
        (delta.from, delta.to) = (from, serial(&self.get(b""))?);
        Some(delta)
    }
}

fn serial(apex: &Sets) -> Option<u32> {
    Some(Soa::read(apex.get(&rtype::SOA)?.data.first()?)?.serial)
}
