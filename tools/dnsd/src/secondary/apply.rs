//! The changes of a primary upon a copy of its zone.

use std::fmt;

use crate::encode::rtype;
use crate::hosted::blob::Delta;
use crate::hosted::content::Content;
use crate::hosted::draft::{Changes, Draft};
use crate::hosted::rrset::Soa;

/// Why changes are none of this zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misfit {
    /// They begin at the first serial, and the zone has the second.
    Serial(u32, u32),
    /// In the change from the first to the second serial a record goes that is not there, or one
    /// comes that is.
    Records(u32, u32),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(theirs, ours) => write!(f, "they begin at {theirs}, and we have {ours}"),
            Self::Records(from, to) => {
                write!(f, "other records were here before that from {from} to {to}")
            }
        }
    }
}

/// What is to stand in `zone` after these changes.
///
/// # Errors
/// The first thing that does not fit.
pub fn apply(zone: &Content, deltas: &[Delta]) -> Result<Changes, Misfit> {
    let mut draft = Draft::new(zone, None);
    for delta in deltas {
        let serial = serial(&draft);
        if serial != delta.from {
            return Err(Misfit::Serial(delta.from, serial));
        }
        if !draft.patch(delta) {
            return Err(Misfit::Records(delta.from, delta.to));
        }
    }
    Ok(draft.finish())
}

fn serial(draft: &Draft<'_>) -> u32 {
    let apex = draft.get(b"");
    let data = apex.get(&rtype::SOA).and_then(|set| set.data.first());
    let soa = data.and_then(|data| Soa::read(data));
    soa.map_or(0, |soa| soa.serial)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hosted::rrset::Record;
    use crate::hosted::{blob, file};
    use crate::name::Name;

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
        let mut new = content(BASE);
        new.apply(apply(&new, &steps).unwrap());
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
            ("", "A.B 60 A 10.0.0.2\n"),
            ("a.b 60 A 10.0.0.2\na.b 60 A 10.0.0.2\n", ""),
        ] {
            assert_eq!(misfit(delta(1, removed, 2, added)), Misfit::Records(1, 2));
        }
        let mut other = delta(1, "", 2, "");
        other.removed = records("@ 60 SOA ns other 1 60 60 600 60\n");
        assert_eq!(misfit(other), Misfit::Records(1, 2));
    }
}
