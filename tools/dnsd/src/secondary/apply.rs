//! The changes of a primary, carried out on a copy of its zone.

use std::collections::BTreeMap;
use std::fmt;

use crate::encode::rtype;
use crate::hosted::blob::Delta;
use crate::hosted::content::{Change, Content};
use crate::hosted::rrset::{Record, Rrset, Sets, Soa, same};
use crate::name::Name;

/// Why changes are none of this zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Misfit {
    /// They begin at the first serial, and the zone has the second.
    Serial(u32, u32),
    /// A record of this owner and type goes that is not there.
    Missing(Name, u16),
    /// A record of this owner and type comes that is there.
    Twice(Name, u16),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(theirs, ours) => write!(f, "they begin at {theirs}, and we have {ours}"),
            Self::Missing(owner, rtype) => write!(f, "{owner} has no such record of type {rtype}"),
            Self::Twice(owner, rtype) => write!(f, "{owner} has this record of type {rtype}"),
        }
    }
}

/// The zone after these changes.
///
/// # Errors
/// The first thing that does not fit.
pub fn apply(old: &Content, deltas: &[Delta]) -> Result<Content, Misfit> {
    let mut editing = Editing {
        old,
        changes: BTreeMap::new(),
    };
    for delta in deltas {
        let serial = editing.serial();
        if serial != delta.from {
            return Err(Misfit::Serial(delta.from, serial));
        }
        for record in &delta.removed {
            editing.remove(record)?;
        }
        for record in &delta.added {
            editing.add(record)?;
        }
    }
    let mut new = old.clone();
    new.apply(editing.changes);
    Ok(new)
}

/// The names that have changed so far.
struct Editing<'a> {
    old: &'a Content,
    changes: BTreeMap<Box<[u8]>, Change>,
}

impl Editing<'_> {
    fn serial(&self) -> u32 {
        let changed = self.changes.get(&b""[..]).map(|change| change.1.clone());
        let sets = changed.unwrap_or_else(|| self.old.get(b""));
        let data = sets.get(&rtype::SOA).and_then(|set| set.data.first());
        data.and_then(|data| Soa::read(data))
            .map_or(0, |soa| soa.serial)
    }

    /// The sets of the owner of `record`, which lies in the zone.
    fn sets(&mut self, record: &Record) -> &mut Sets {
        let lower = record.owner.lower();
        let front = lower.below(self.old.origin()).unwrap_or_default();
        let old = self.old;
        let change = self.changes.entry(front.into()).or_insert_with(|| {
            // As it is written already, if it is.
            let written = record.owner.wire().get(..front.len()).unwrap_or_default();
            match old.node(front) {
                Some(node) => (node.name.into(), old.get(front)),
                None => (written.into(), Sets::new()),
            }
        });
        &mut change.1
    }

    fn remove(&mut self, record: &Record) -> Result<(), Misfit> {
        let (rtype, data) = (record.rtype, &record.data);
        let sets = self.sets(record);
        // The time to live does not tell records apart (RFC 2136 section 1.1.1).
        let place = sets.get_mut(&rtype).and_then(|set| {
            let at = set.data.iter().position(|old| same(rtype, old, data))?;
            Some((set, at))
        });
        let (set, at) = place.ok_or_else(|| Misfit::Missing(record.owner.clone(), rtype))?;
        set.data.remove(at);
        if set.data.is_empty() {
            sets.remove(&rtype);
        }
        Ok(())
    }

    fn add(&mut self, record: &Record) -> Result<(), Misfit> {
        let set: &mut Rrset = self.sets(record).entry(record.rtype).or_default();
        // RFC 2181 section 5.2: one time to live for a set.
        set.ttl = record.ttl;
        match set.add(record.rtype, &record.data) {
            true => Ok(()),
            false => Err(Misfit::Twice(record.owner.clone(), record.rtype)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hosted::{blob, file};

    const BASE: &str = "@ 60 SOA ns dns 1 60 60 600 60\n@ 60 NS ns\nns 60 A 10.0.0.1\n\
                        A.b 60 A 10.0.0.2\na.b 60 A 10.0.0.3\nsub 60 NS ns.sub\nns.sub 60 A 10.0.0.4\n";

    fn records(text: &str) -> Vec<Record> {
        file::read(text, None, &origin()).unwrap()
    }

    fn origin() -> Name {
        Name::parse("vall.example").unwrap()
    }

    fn content(text: &str) -> Content {
        Content::of(&origin(), records(text))
    }

    fn soa(serial: u32) -> String {
        format!("@ 60 SOA ns dns {serial} 60 60 600 60\n")
    }

    fn delta(from: u32, removed: &str, to: u32, added: &str) -> Delta {
        Delta {
            from,
            to,
            removed: records(&(soa(from) + removed)),
            added: records(&(soa(to) + added)),
        }
    }

    fn sorted(content: &Content) -> Vec<String> {
        let mut lines: Vec<_> = blob::records(content)
            .iter()
            .map(|r| format!("{} {} {} {:?}", r.owner, r.ttl, r.rtype, r.data))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn changes_lead_where_the_primary_is() {
        let steps = [
            delta(1, "a.B 9 A 10.0.0.2\n", 2, "new.deep 60 A 10.0.0.5\n"),
            delta(
                2,
                "a.b 60 A 10.0.0.3\n",
                5,
                "a.b 5 A 10.0.0.3\nsub 60 NS ns2.sub\n",
            ),
            delta(
                5,
                "sub 60 NS NS2.sub\nsub 60 NS ns.sub\n",
                u32::MAX,
                "sub 60 A 10.0.0.6\n",
            ),
            delta(u32::MAX, "new.deep 60 A 10.0.0.5\n", 3, ""),
        ];
        let new = apply(&content(BASE), &steps).unwrap();
        let wanted = BASE
            .replace(" 1 60", " 3 60")
            .replace("A.b 60 A 10.0.0.2\n", "")
            .replace("a.b 60 A", "A.b 5 A")
            .replace("sub 60 NS ns.sub\n", "sub 60 A 10.0.0.6\n");
        assert_eq!(sorted(&new), sorted(&content(&wanted)));
        assert!(new.cuts().is_empty());
        assert!(new.node(b"\x04deep").is_none(), "nothing stands below it");
    }

    #[test]
    fn changes_of_another_state_are_told() {
        let misfit = |delta| apply(&content(BASE), &[delta]).unwrap_err();
        assert_eq!(misfit(delta(2, "", 3, "")), Misfit::Serial(2, 1));
        for (removed, added) in [
            ("a.b 60 A 10.0.0.9\n", ""),
            ("nowhere 60 A 10.0.0.9\n", ""),
            ("a.b 60 A 10.0.0.2\na.b 60 A 10.0.0.2\n", ""),
        ] {
            assert!(matches!(
                misfit(delta(1, removed, 2, added)),
                Misfit::Missing(..)
            ));
        }
        let twice = misfit(delta(1, "", 2, "A.B 60 A 10.0.0.2\n"));
        assert!(matches!(twice, Misfit::Twice(..)), "{twice}");
        let mut other = delta(1, "", 2, "");
        other.removed = records("@ 60 SOA ns other 1 60 60 600 60\n");
        assert!(matches!(misfit(other), Misfit::Missing(..)));
    }
}
