//! What makes a zone one that may be answered from: a zone with a fault is not loaded, a doubt
//! is only told.

use super::content::{Content, above};
use super::rdata::text;
use super::rrset::{Rrset, Soa, name_at, target_at};
use crate::encode::rtype;
use crate::name::Name;
use crate::respond::TCP_LIMIT;
use crate::table::Found;

/// Octets that a set may take in an answer: the rest is for header, question and EDNS.
pub const SET_LIMIT: usize = TCP_LIMIT - 512;
/// Faults that are told of one zone.
const TOLD: usize = 20;

/// What was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// Why the zone may not be answered from.
    pub faults: Vec<String>,
    /// What is probably a mistake.
    pub doubts: Vec<String>,
}

impl Findings {
    fn fault(&mut self, text: String) {
        if self.faults.len() < TOLD {
            self.faults.push(text);
        }
    }

    fn doubt(&mut self, text: String) {
        if self.doubts.len() < TOLD {
            self.doubts.push(text);
        }
    }
}

/// Looks through a zone.
pub fn check(content: &Content) -> Findings {
    let mut findings = Findings::default();
    let apex = content.get(b"");
    match apex.get(&rtype::SOA) {
        None => findings.fault(format!("{} has no SOA record", content.origin())),
        Some(soa) if soa.data.len() != 1 || Soa::read(&soa.data[0]).is_none() => {
            findings.fault(format!("{} needs one SOA record", content.origin()));
        }
        Some(_) => {}
    }
    if !apex.contains_key(&rtype::NS) {
        findings.fault(format!("{} has no NS record", content.origin()));
    }
    for node in content.shards().iter().flat_map(|table| table.nodes()) {
        let owner = || Name::from_wire(&[node.name, content.origin().wire()].concat());
        let mut types = Vec::new();
        for (rtype, set) in node.sets() {
            types.push(rtype);
            if set.answer.len() > SET_LIMIT {
                findings.fault(format!(
                    "the set {} {} does not fit into a message",
                    owner(),
                    text(rtype)
                ));
            }
            if rtype == rtype::SOA && !node.name.is_empty() {
                findings.fault(format!("{} has an SOA record within the zone", owner()));
            }
            if matches!(rtype, rtype::NS | rtype::MX | rtype::SRV) {
                hosts(content, &owner, rtype, &Rrset::decode(set), &mut findings);
            }
        }
        // RFC 1034 section 3.6.2; signatures may stand beside it.
        let others = |t: &&u16| !matches!(**t, rtype::CNAME | rtype::RRSIG | rtype::NSEC);
        if types.contains(&rtype::CNAME) {
            if types.iter().filter(others).count() > 0 {
                findings.fault(format!("{} has a CNAME record and others", owner()));
            }
            if let Found::Set(set) = node.find(rtype::CNAME)
                && set.count > 1
            {
                findings.fault(format!("{} has more than one CNAME record", owner()));
            }
        }
    }
    findings
}

/// Hosts that records lead to and that are in this zone must have an address.
fn hosts(
    content: &Content,
    owner: &dyn Fn() -> Name,
    rtype: u16,
    rrset: &Rrset,
    findings: &mut Findings,
) {
    let at = target_at(rtype).unwrap_or_default();
    for data in &rrset.data {
        let Some(target) = name_at(data, at).map(|wire| Name::from_wire(wire).lower()) else {
            findings.fault(format!(
                "{} has a {} record without a host",
                owner(),
                text(rtype)
            ));
            continue;
        };
        let Some(front) = target.below(content.origin()) else {
            continue;
        };
        let node = content.node(front);
        let has = |rtype| node.is_some_and(|node| matches!(node.find(rtype), Found::Set(_)));
        if has(rtype::CNAME) {
            // RFC 2181 section 10.3.
            findings.doubt(format!("{} {} {target} is an alias", owner(), text(rtype)));
        } else if !has(rtype::A) && !has(rtype::AAAA) && !elsewhere(content, front) {
            findings.doubt(format!(
                "{} {} {target} has no address",
                owner(),
                text(rtype)
            ));
        }
    }
}

/// Whether a name is below a cut, or may come from a wildcard.
fn elsewhere(content: &Content, front: &[u8]) -> bool {
    let mut name = Some(front);
    while let Some(current) = name {
        if content.cuts().contains(current) && current != front {
            return true;
        }
        name = above(current);
    }
    content.wild()
}
