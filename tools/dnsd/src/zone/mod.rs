//! From the registry's records to the zones that are answered: a function of the records, done
//! anew only for the zones that a change touches.
//!
//! A zone of the network is a browse domain below the community's domain; all of them together
//! are one zone in the sense of RFC 1034, with one serial.

mod build;
mod instance;
mod local;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

pub use build::{Built, LIMIT, UDP_LIMIT};
use build::{Input, Top};

use crate::encode::negative_soa;
use crate::name::Name;
use crate::query::Question;
use crate::record::{Owner, Store};
use crate::table::{Found, NameHash, Table};

/// The community, as the registry describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Community {
    /// Its name.
    pub name: Box<str>,
    /// Its domain, lower case.
    pub domain: Name,
    /// Zone of this box.
    pub own_zone: Box<str>,
}

/// One zone of authority: a cut with SOA and NS, and the tables below it.
#[derive(Clone, Debug)]
pub struct Apex {
    /// Its name, lower case.
    pub name: Name,
    /// Number of its labels.
    pub labels: usize,
    /// The SOA record for negative answers, from its type on.
    pub soa: Box<[u8]>,
    /// Serial.
    pub serial: u32,
    /// Hash of what the zone holds beside its serial; only for local zones.
    pub content: u64,
    /// Every name below it exists and answers as the apex: `localhost`.
    pub wild: bool,
    /// The table of the apex.
    pub top: Arc<Table>,
    /// Tables of the zones below, by the labels between apex and zone.
    pub below: HashMap<Box<[u8]>, Arc<Table>, NameHash>,
}

impl Apex {
    /// Looks a question up whose name is at or below this apex.
    pub fn find(&self, question: &Question) -> Found<'_> {
        let own = question.labels().saturating_sub(self.labels);
        if self.wild {
            return self.top.find(b"", question.rtype);
        }
        let mut table = &self.top;
        let mut first = own;
        // A zone's parents are zones: go down as long as there is one.
        while first > 0 && !self.below.is_empty() {
            let Some(next) = self.below.get(question.between(first - 1, own)) else {
                break;
            };
            table = next;
            first -= 1;
        }
        table.find(question.between(0, first), question.rtype)
    }
}

/// All that is answered from memory.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    /// The community's domain.
    pub community: Option<Arc<Apex>>,
    /// Names that never leave the box (RFC 6303, RFC 6761), and the reverse of its networks.
    pub local: HashMap<Box<[u8]>, Arc<Apex>, NameHash>,
    /// The community's zones by their text, for people.
    pub built: BTreeMap<Box<str>, Arc<Built>>,
    /// Number of labels that names in `local` have.
    pub depths: Box<[usize]>,
}

impl Zones {
    /// The zone of authority that a question falls into.
    pub fn apex(&self, question: &Question) -> Option<&Apex> {
        if let Some(apex) = &self.community
            && question.ends_with(apex.name.wire(), apex.labels)
        {
            return Some(apex);
        }
        let depths = self.depths.iter().filter(|&&d| d <= question.labels());
        depths
            .filter_map(|&depth| self.local.get(question.suffix(depth)))
            .map(|apex| &**apex)
            .next()
    }
}

/// Builds and keeps the zones.
#[derive(Debug, Default)]
pub struct Builder {
    community: Option<Community>,
    zones: Zones,
}

impl Builder {
    /// Zones without a community: only names that never leave the box.
    pub fn new(serial: u32) -> Self {
        let mut builder = Self::default();
        builder.local(serial);
        builder
    }

    /// The zones as built last.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// Builds anew what a change of `dirty` zones touches. `server` are the addresses under
    /// which this box's name server can be reached.
    pub fn update(
        &mut self,
        community: Option<&Community>,
        store: &Store,
        dirty: &BTreeSet<Box<str>>,
        server: &[IpAddr],
        serial: u32,
    ) {
        let whole = self.community.as_ref() != community;
        self.community = community.cloned();
        let Some(community) = community else {
            if whole {
                (self.zones.built, self.zones.community) = (BTreeMap::new(), None);
                self.local(serial);
            }
            return;
        };
        let before = std::mem::take(&mut self.zones.built);
        let present = present(store);
        let mut built = BTreeMap::new();
        for zone in present.iter().filter(|z| !z.is_empty()) {
            let old = before.get(zone).filter(|_| !whole);
            let new = match old {
                Some(old) if !touched(zone, store, dirty, &present, &before) => old.clone(),
                _ => match build_zone(community, zone, &present, store) {
                    Some(new) => Arc::new(new),
                    None => continue, // a name too long to exist
                },
            };
            built.insert(zone.clone(), new);
        }
        let authority = self.authority(&community.domain, serial);
        let top = build_top(
            community,
            &present,
            store,
            &built,
            server,
            authority.clone(),
        );
        built.insert("".into(), Arc::new(top));
        let reverse = whole || !same_addresses(&before, &built);
        self.zones.built = built;
        self.zones.community = Some(Arc::new(apex(community, &self.zones.built, &authority)));
        if reverse {
            self.local(serial);
        }
    }

    /// Name server, mailbox and serial of the community's domain.
    fn authority(&self, domain: &Name, serial: u32) -> (Name, Name, u32) {
        let name = |label: &[u8]| domain.child(label).unwrap_or_else(Name::root);
        (name(b"ns"), name(b"hostmaster"), serial)
    }

    fn local(&mut self, serial: u32) {
        let server = self.community.as_ref().and_then(|c| c.domain.child(b"ns"));
        let built = self.zones.built.values();
        let addresses = built.flat_map(|b| b.addresses.iter().cloned()).collect();
        let apexes = local::apexes(&addresses, server.as_ref(), serial, &self.zones.local);
        let depths: BTreeSet<usize> = apexes.iter().map(|apex| apex.labels).collect();
        self.zones.depths = depths.into_iter().rev().collect();
        let key = |apex: Arc<Apex>| (apex.name.wire().into(), apex);
        self.zones.local = apexes.into_iter().map(key).collect();
    }
}

/// Whether boxes have the same addresses and names in both; zones that were not built anew are
/// the same piece of memory.
fn same_addresses(
    before: &BTreeMap<Box<str>, Arc<Built>>,
    after: &BTreeMap<Box<str>, Arc<Built>>,
) -> bool {
    let same = |old: &Arc<Built>, new: &Arc<Built>| {
        Arc::ptr_eq(old, new) || old.addresses == new.addresses
    };
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|((zone, old), (other, new))| zone == other && same(old, new))
}

fn parent(zone: &str) -> &str {
    zone.split_once('.').map_or("", |(_, parent)| parent)
}

/// The zones with boxes, and all zones above them.
fn present(store: &Store) -> BTreeSet<Box<str>> {
    let mut present = BTreeSet::from([Box::from("")]);
    for zone in store.zones() {
        let mut zone = zone;
        while !zone.is_empty() && present.insert(zone.into()) {
            zone = parent(zone);
        }
    }
    present
}

/// The name of `zone` in `domain`.
pub fn zone_name(domain: &Name, zone: &str) -> Option<Name> {
    let labels = zone.rsplit('.').filter(|label| !label.is_empty());
    labels
        .into_iter()
        .try_fold(domain.clone(), |name, label| name.child(label.as_bytes()))
}

fn children<'a>(
    zone: &'a str,
    present: &'a BTreeSet<Box<str>>,
) -> impl Iterator<Item = &'a str> + 'a {
    let all = present.iter().map(|z| &**z);
    all.filter(move |z| !z.is_empty() && parent(z) == zone)
}

/// Boxes of the parent zone that have the name of `zone`.
fn namesakes<'a>(zone: &str, store: &'a Store) -> Vec<&'a Owner> {
    let label = zone.split('.').next().unwrap_or_default();
    let owners = store.owners(parent(zone)).map(|(_, owner)| owner);
    owners.filter(|owner| &*owner.name == label).collect()
}

/// Whether `zone` has to be built anew.
fn touched(
    zone: &str,
    store: &Store,
    dirty: &BTreeSet<Box<str>>,
    present: &BTreeSet<Box<str>>,
    before: &BTreeMap<Box<str>, Arc<Built>>,
) -> bool {
    if dirty.contains(zone) {
        return true;
    }
    if dirty.contains(parent(zone)) {
        let now = !namesakes(zone, store).is_empty();
        let had = before.get(zone).is_some_and(|b| b.namesakes);
        if now || had {
            return true;
        }
    }
    // Only the neighbourhood of a change can have gained or lost a child zone.
    let below = |z: &str| {
        z.strip_suffix(zone)
            .is_some_and(|front| front.ends_with('.'))
    };
    dirty.iter().any(|z| below(z)) && {
        let had = before.keys().filter(|z| !z.is_empty() && parent(z) == zone);
        !had.map(|z| &**z).eq(children(zone, present))
    }
}

fn build_zone(
    community: &Community,
    zone: &str,
    present: &BTreeSet<Box<str>>,
    store: &Store,
) -> Option<Built> {
    let domain = &community.domain;
    let input = Input {
        owners: store.owners(zone).collect(),
        children: children(zone, present)
            .filter_map(|z| zone_name(domain, z))
            .collect(),
        namesakes: namesakes(zone, store),
        top: None,
    };
    Some(build::build(&zone_name(domain, zone)?, &input))
}

/// The community's own domain: it also lists all zones, and all instances, while they fit.
fn build_top(
    community: &Community,
    present: &BTreeSet<Box<str>>,
    store: &Store,
    built: &BTreeMap<Box<str>, Arc<Built>>,
    server: &[IpAddr],
    authority: (Name, Name, u32),
) -> Built {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, count) in built.values().flat_map(|b| &b.counts) {
        *totals.entry(kind).or_default() += count;
    }
    let few = |kind: &str| totals.get(kind).is_some_and(|&n| n <= LIMIT);
    // Derived anew: keeping them would cost each instance's memory once more.
    let with_few = built
        .iter()
        .filter(|(_, b)| b.counts.keys().any(|kind| few(kind)));
    let listed = with_few.flat_map(|(zone, built)| {
        let owners: Vec<_> = store.owners(zone).collect();
        instance::instances(&built.apex, &owners, few)
    });
    let domain = &community.domain;
    let input = Input {
        owners: store.owners("").collect(),
        children: listed_zones(domain, present, built),
        namesakes: Vec::new(),
        top: Some(Top {
            default: zone_name(domain, &community.own_zone),
            listed: listed.map(Arc::new).collect(),
            authority: Some(authority),
            server: server.to_vec(),
        }),
    };
    build::build(domain, &input)
}

/// Zones that the domain points to: all with their parts, or all, or the first level only.
fn listed_zones(
    domain: &Name,
    present: &BTreeSet<Box<str>>,
    built: &BTreeMap<Box<str>, Arc<Built>>,
) -> Vec<Name> {
    let zones: Vec<Name> = built.values().map(|b| b.apex.clone()).collect();
    let mut whole = zones.clone();
    for zone in built.values().filter(|b| b.table.parts > 1) {
        let parts = 1..=zone.table.parts;
        whole.extend(parts.filter_map(|p| zone.apex.child(p.to_string().as_bytes())));
    }
    if whole.len() < LIMIT {
        whole
    } else if zones.len() < LIMIT {
        zones
    } else {
        children("", present)
            .filter_map(|z| zone_name(domain, z))
            .collect()
    }
}

fn apex(
    community: &Community,
    built: &BTreeMap<Box<str>, Arc<Built>>,
    authority: &(Name, Name, u32),
) -> Apex {
    let (server, mailbox, serial) = authority;
    let domain = &community.domain;
    let mut below = HashMap::with_hasher(NameHash);
    for zone in built.values() {
        if let Some(front) = zone.apex.below(domain).filter(|front| !front.is_empty()) {
            below.insert(front.into(), zone.table.clone());
        }
    }
    Apex {
        name: domain.clone(),
        labels: domain.labels().count(),
        soa: negative_soa(server, mailbox, *serial).into(),
        serial: *serial,
        content: 0,
        wild: false,
        top: built.get("").map(|b| b.table.clone()).unwrap_or_default(),
        below,
    }
}
