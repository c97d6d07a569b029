//! What an update does to a zone: prerequisites (RFC 2136 sections 2.4 and 3.2), then changes
//! (sections 2.5 and 3.4). The records of messages are in hickory's hands.

use std::collections::BTreeMap;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record as WireRecord};

use crate::encode::rtype;
use crate::hosted::blob::Delta;
use crate::hosted::check::SET_LIMIT;
use crate::hosted::draft::Draft;
use crate::hosted::rdata::stored;
use crate::hosted::rrset::{HEAD, Record, Rrset, Sets, Soa, from_wire, newer, same};
use crate::keys::Entry;
use crate::name::Name;

/// A name of the zone, as it was written and in lower case, and what stands in front of the apex.
struct Owner {
    lower: Name,
    written: Name,
    length: usize,
}

impl Owner {
    fn read(record: &WireRecord, zone: &Name) -> Result<Self, ResponseCode> {
        let written = Name::from_labels(record.name.iter()).ok_or(ResponseCode::FormErr)?;
        Self::of(written, zone).ok_or(ResponseCode::NotZone)
    }

    fn of(written: Name, zone: &Name) -> Option<Self> {
        let lower = written.lower();
        let length = lower.below(zone)?.len();
        Some(Self {
            lower,
            written,
            length,
        })
    }

    fn front(&self) -> &[u8] {
        self.lower.wire().get(..self.length).unwrap_or_default()
    }

    fn sets<'a>(&self, draft: &'a mut Draft<'_>) -> &'a mut Sets {
        let written = self.written.wire().get(..self.length).unwrap_or_default();
        draft.edit(self.front(), written)
    }

    fn is_apex(&self) -> bool {
        self.length == 0
    }
}

/// What the update section asks for (section 2.5).
enum Edit {
    /// Add to an RRset.
    Add(Owner, Record),
    /// Delete an RRset.
    DeleteSet(Owner, u16),
    /// Delete all RRsets of a name.
    DeleteName(Owner),
    /// Delete an RR from an RRset.
    Delete(Owner, u16, Box<[u8]>),
}

/// Does what `message` says to `draft`, a draft upon the zone, with these `rights`.
///
/// # Errors
/// The response code; the draft must then be thrown away.
pub fn apply(message: &Message, rights: &Entry, draft: &mut Draft<'_>) -> Result<(), ResponseCode> {
    prerequisites(&message.answers, draft)?;
    let zone = draft.origin();
    let edits = message.authorities.iter().map(|record| edit(record, zone));
    // All of them are looked at before any is made (section 3.4.1).
    let edits: Vec<Edit> = edits.collect::<Result<_, _>>()?;
    for one in &edits {
        permit(one, rights, draft)?;
    }
    for one in edits {
        make(one, draft)?;
    }
    Ok(())
}

/// Makes changes that were once made to another state of a zone, as far as they are still
/// possible; gives the records that cannot be added any more.
pub fn again(delta: &Delta, draft: &mut Draft<'_>) -> Vec<Record> {
    let plain = |record: &&Record| record.rtype != rtype::SOA;
    for record in delta.removed.iter().filter(plain) {
        if let Some(owner) = Owner::of(record.owner.clone(), draft.origin()) {
            let edit = Edit::Delete(owner, record.rtype, record.data.clone());
            let _ = make(edit, draft); // that is always possible
        }
    }
    let mut lost = Vec::new();
    for record in delta.added.iter().filter(plain) {
        let owner = Owner::of(record.owner.clone(), draft.origin());
        let added = owner.is_some_and(|owner| {
            let added = add(&owner, record, draft).is_ok();
            let set = draft.get(owner.front()).remove(&record.rtype);
            added && set.is_some_and(|set| set.data.contains(&record.data))
        });
        if !added {
            lost.push(record.clone());
        }
    }
    lost
}

/// Whether a record has no data at all.
fn is_bare(record: &WireRecord) -> bool {
    matches!(record.data, RData::Update0(_))
}

/// Section 3.2.5.
fn prerequisites(records: &[WireRecord], draft: &Draft<'_>) -> Result<(), ResponseCode> {
    let mut wanted: BTreeMap<(Name, u16), (Sets, Rrset)> = BTreeMap::new();
    for record in records {
        let owner = Owner::read(record, draft.origin())?;
        let kind = u16::from(record.record_type());
        let (sets, any) = (draft.get(owner.front()), kind == rtype::ANY);
        if record.ttl != 0 || !(any || stored(kind)) {
            return Err(ResponseCode::FormErr);
        }
        let there = if any {
            !sets.is_empty()
        } else {
            sets.contains_key(&kind)
        };
        match record.dns_class {
            DNSClass::ANY if is_bare(record) => match (there, any) {
                (true, _) => {}
                (false, true) => return Err(ResponseCode::NXDomain),
                (false, false) => return Err(ResponseCode::NXRRSet),
            },
            DNSClass::NONE if is_bare(record) => match (there, any) {
                (false, _) => {}
                (true, true) => return Err(ResponseCode::YXDomain),
                (true, false) => return Err(ResponseCode::YXRRSet),
            },
            DNSClass::IN if !any && !is_bare(record) => {
                let data = from_wire(record).ok_or(ResponseCode::FormErr)?.data;
                let place = wanted.entry((owner.lower, kind));
                place.or_insert((sets, Rrset::default())).1.add(kind, &data);
            }
            _ => return Err(ResponseCode::FormErr),
        }
    }
    // Sets that must be just so, whatever their times to live.
    for ((_, kind), (sets, set)) in &wanted {
        let equal = sets.get(kind).is_some_and(|there| {
            let has = |data: &[u8]| there.data.iter().any(|other| same(*kind, other, data));
            there.data.len() == set.data.len() && set.data.iter().all(|data| has(data))
        });
        if !equal {
            return Err(ResponseCode::NXRRSet);
        }
    }
    Ok(())
}

/// Section 3.4.1.3.
fn edit(record: &WireRecord, zone: &Name) -> Result<Edit, ResponseCode> {
    let owner = Owner::read(record, zone)?;
    let kind = u16::from(record.record_type());
    let (bare, timeless) = (is_bare(record), record.ttl == 0);
    match record.dns_class {
        DNSClass::IN if stored(kind) && !bare => {
            let record = from_wire(record).ok_or(ResponseCode::FormErr)?;
            Ok(Edit::Add(owner, record))
        }
        DNSClass::ANY if timeless && bare && kind == rtype::ANY => Ok(Edit::DeleteName(owner)),
        DNSClass::ANY if timeless && bare && stored(kind) => Ok(Edit::DeleteSet(owner, kind)),
        DNSClass::NONE if timeless && stored(kind) && !bare => {
            let data = from_wire(record).ok_or(ResponseCode::FormErr)?.data;
            Ok(Edit::Delete(owner, kind, data))
        }
        _ => Err(ResponseCode::FormErr),
    }
}

/// Whether the key may do this (section 3.3).
fn permit(edit: &Edit, rights: &Entry, draft: &Draft<'_>) -> Result<(), ResponseCode> {
    let zone = draft.origin();
    let (owner, kinds) = match edit {
        Edit::Add(owner, record) => (owner, vec![record.rtype]),
        Edit::DeleteSet(owner, kind) | Edit::Delete(owner, kind, _) => (owner, vec![*kind]),
        // All that would go.
        Edit::DeleteName(owner) => {
            let sets = draft.get(owner.front());
            let goes = |kind: &u16| !(owner.is_apex() && stays_at_apex(*kind));
            (owner, sets.keys().copied().filter(goes).collect())
        }
    };
    let refused = kinds
        .into_iter()
        .find(|kind| !rights.allows(zone, &owner.lower, *kind));
    match refused {
        None => Ok(()),
        Some(kind) => {
            log::info!(
                "an update of {zone} is refused: the key {} may not change {} {}",
                rights.key.name(),
                owner.lower,
                crate::hosted::rdata::text(kind)
            );
            Err(ResponseCode::Refused)
        }
    }
}

/// What does not go with all the rest of the apex.
fn stays_at_apex(kind: u16) -> bool {
    matches!(kind, rtype::SOA | rtype::NS)
}

/// What may stand beside an alias (RFC 4034).
fn signs(kind: u16) -> bool {
    matches!(kind, rtype::RRSIG | rtype::NSEC)
}

/// Section 3.4.2.
fn make(edit: Edit, draft: &mut Draft<'_>) -> Result<(), ResponseCode> {
    match edit {
        Edit::Add(owner, record) => return add(&owner, &record, draft),
        Edit::DeleteName(owner) => {
            let apex = owner.is_apex();
            let sets = owner.sets(draft);
            sets.retain(|kind, _| apex && stays_at_apex(*kind));
        }
        Edit::DeleteSet(owner, kind) if !(owner.is_apex() && stays_at_apex(kind)) => {
            owner.sets(draft).remove(&kind);
        }
        Edit::Delete(owner, kind, data) if kind != rtype::SOA => {
            let apex = owner.is_apex();
            let sets = owner.sets(draft);
            if let Some(set) = sets.get_mut(&kind) {
                // The last name server of the zone stays (section 3.4.2.4).
                let last = apex && kind == rtype::NS && set.data.len() == 1;
                if !last {
                    set.remove(kind, &data);
                }
                if set.data.is_empty() {
                    sets.remove(&kind);
                }
            }
        }
        Edit::DeleteSet(..) | Edit::Delete(..) => {}
    }
    Ok(())
}

/// Adds a record, unless something stands in its way (section 3.4.2.2): that is no error.
fn add(owner: &Owner, record: &Record, draft: &mut Draft<'_>) -> Result<(), ResponseCode> {
    let kind = record.rtype;
    let sets = draft.get(owner.front());
    let others = sets.keys().any(|&k| k != rtype::CNAME && !signs(k));
    let blocked = match kind {
        rtype::CNAME => others,
        rtype::SOA => {
            let serial = |data: &[u8]| Soa::read(data).map(|soa| soa.serial);
            let old = sets.get(&rtype::SOA).and_then(|set| set.data.first());
            let old = old.and_then(|data| serial(data));
            // Also below the apex, where there is none.
            !old.zip(serial(&record.data))
                .is_some_and(|(old, new)| newer(new, old))
        }
        _ => sets.contains_key(&rtype::CNAME) && !signs(kind),
    };
    if blocked {
        return Ok(());
    }
    let set = owner.sets(draft).entry(kind).or_default();
    if matches!(kind, rtype::CNAME | rtype::SOA | rtype::DNAME) {
        set.data.clear(); // there is one
    }
    // One that is there already comes anew, with its case and time to live.
    set.remove(kind, &record.data);
    set.add(kind, &record.data);
    // RFC 2181 section 5.2: one time to live for a set.
    set.ttl = record.ttl;
    let size: usize = set.data.iter().map(|data| HEAD + data.len()).sum();
    if size > SET_LIMIT {
        log::info!(
            "an update is refused: {} would not fit into a message",
            owner.lower
        );
        return Err(ResponseCode::Refused);
    }
    Ok(())
}
