//! One zone: its browse pointers, hosts and instances, divided into parts where a set would
//! grow over [`LIMIT`] records.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::instance::{Instance, address_data, host_label, instances, stable_hash};
use crate::encode::{Data, Encoded, Extra, HEADER, NEGATIVE_TTL, TTL, encode};
use crate::name::{Name, is_host_label};
use crate::record::{Body, Owner};
use crate::table::{Nodes, Table};

/// The most records in one set of pointers: stock BIND refuses more than 100.
pub const LIMIT: usize = 80;
/// The most parts of one zone.
const MAX_PARTS: u16 = 1024;
/// What an answer on UDP holds (RFC 9715).
pub const UDP_LIMIT: usize = 1232;

/// What a zone is built from.
#[derive(Debug, Default)]
pub(super) struct Input<'a> {
    /// Owners whose boxes are in the zone, with their keys, in order.
    pub(super) owners: Vec<(&'a str, &'a Owner)>,
    /// Zones directly below, or for the community's own domain all that it lists.
    pub(super) children: Vec<Name>,
    /// Boxes of the parent zone whose name is the first label of this zone.
    pub(super) namesakes: Vec<&'a Owner>,
    /// What only the community's own domain has.
    pub(super) top: Option<Top>,
}

/// What only the community's own domain has.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// The zone of this box: the default to browse.
    pub(super) default: Option<Name>,
    /// Instances of other zones, of the types that fit [`LIMIT`] in these zones together.
    pub(super) listed: Vec<Arc<Instance>>,
    /// Name server and mailbox, serial.
    pub(super) authority: Option<(Name, Name, u32)>,
    /// Addresses of the name server.
    pub(super) server: Vec<IpAddr>,
}

/// A zone as built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its answers.
    pub table: Arc<Table>,
    /// Its name.
    pub apex: Name,
    /// Number of instances by type, the stale ones counted.
    pub counts: BTreeMap<Box<str>, usize>,
    /// A box of the parent zone has the name of this zone.
    pub namesakes: bool,
    /// Addresses of boxes that have a witness, and the boxes' names.
    pub addresses: Box<[(IpAddr, Name)]>,
    /// Number of boxes and of instances that are answered.
    pub boxes: usize,
    /// Number of instances that are answered.
    pub instances: usize,
}

/// One record of a set, and what is worth adding to an answer with it.
type Entry = (Data, Vec<Extra>);

/// Names being collected.
struct Collector {
    apex: Name,
    data: BTreeMap<Name, Vec<(u16, Vec<Entry>)>>,
}

impl Collector {
    fn add(&mut self, owner: Option<&Name>, data: Data, extra: Vec<Extra>) {
        let Some(owner) = owner else { return };
        let sets = self.data.entry(owner.clone()).or_default();
        let rtype = data.rtype();
        let Some((_, set)) = sets.iter_mut().find(|(other, _)| *other == rtype) else {
            sets.push((rtype, vec![(data, extra)]));
            return;
        };
        if !set.iter().any(|(old, _)| *old == data) {
            set.push((data, extra));
        }
    }

    fn has_address(&self, owner: &Name) -> bool {
        self.data.contains_key(owner)
    }

    /// A name below the apex, from its front labels.
    fn name(&self, front: &[&str]) -> Option<Name> {
        front
            .iter()
            .rev()
            .try_fold(self.apex.clone(), |name, l| name.child(l.as_bytes()))
    }

    fn pack(self, parts: u16) -> Table {
        let mut nodes = Nodes::new();
        for (owner, sets) in &self.data {
            let Some(front) = owner.below(&self.apex) else {
                continue;
            };
            let sets = sets
                .iter()
                .map(|(rtype, set)| (*rtype, encode_set(owner, set)));
            let node = nodes.entry(front.to_ascii_lowercase().into());
            node.or_insert_with(|| (front.into(), Vec::new()))
                .1
                .extend(sets);
        }
        Table::pack(nodes, parts)
    }
}

fn encode_set(owner: &Name, set: &[Entry]) -> Encoded {
    let room = UDP_LIMIT - HEADER - 4 - 11 - owner.wire().len();
    let data: Vec<Data> = set.iter().map(|(data, _)| data.clone()).collect();
    // More pointers than this leave no room on UDP anyway.
    let few = set.len() <= 40;
    let mut said = BTreeSet::new();
    let groups = set.iter().filter(|_| few).map(|(_, extra)| {
        let new = extra.iter().filter(|e| said.insert(*e));
        new.cloned().collect::<Vec<_>>()
    });
    let groups: Vec<_> = groups.filter(|group| !group.is_empty()).collect();
    let ttl = match data.first() {
        Some(Data::Soa(..)) => NEGATIVE_TTL,
        Some(Data::Ns(_)) => 3600,
        _ => TTL,
    };
    encode(owner, ttl, &data, &groups, room)
}

/// Builds the zone `apex`.
pub(super) fn build(apex: &Name, input: &Input<'_>) -> Built {
    let instances: Vec<Arc<Instance>> = instances(apex, &input.owners, |_| true)
        .into_iter()
        .map(Arc::new)
        .collect();
    let parts = level(&instances, &input.children);
    let mut collector = Collector {
        apex: apex.clone(),
        data: BTreeMap::new(),
    };
    let addresses = hosts(&mut collector, input);
    browse(&mut collector, input, parts);
    for instance in instances.iter().filter(|i| !i.stale) {
        let name = Some(&instance.name);
        collector.add(name, instance.srv(), instance.hosts());
        collector.add(name, Data::Txt(instance.txt.clone()), Vec::new());
    }
    let counts = counts(&instances);
    let direct =
        |i: &&Arc<Instance>| parts == 1 || counts.get(&i.kind).is_some_and(|&n| n <= LIMIT);
    // With those of other zones the type has to fit as well.
    let mut whole = counts.clone();
    for other in input.top.iter().flat_map(|top| &top.listed) {
        *whole.entry(other.kind.clone()).or_default() += 1;
    }
    let fits = |i: &&Arc<Instance>| whole.get(&i.kind).is_some_and(|&n| n <= LIMIT);
    let listed = input.top.iter().flat_map(|top| &top.listed).filter(fits);
    let shown: Vec<&Arc<Instance>> = instances.iter().filter(direct).chain(listed).collect();
    pointers(&mut collector, &apex.clone(), &shown);
    if parts > 1 {
        let types: BTreeSet<&Name> = instances.iter().map(|i| &i.service).collect();
        for part in 1..=parts {
            let Some(name) = apex.child(part.to_string().as_bytes()) else {
                continue;
            };
            let own = |i: &&Arc<Instance>| part_of(i.hash, parts) == part;
            let own: Vec<_> = instances.iter().filter(own).collect();
            pointers(&mut collector, &name, &own);
            for service in &types {
                // Instances of other parts answer here too: the names above them exist.
                if let Some(name) = below_part(service, apex, &name) {
                    collector.data.entry(name).or_default();
                }
            }
        }
    }
    if let Some(top) = &input.top {
        authority(&mut collector, top);
    }
    Built {
        apex: apex.clone(),
        boxes: input
            .owners
            .iter()
            .filter(|(_, o)| !o.addresses().is_empty())
            .count(),
        instances: instances.iter().filter(|i| !i.stale).count(),
        counts,
        namesakes: !input.namesakes.is_empty(),
        addresses: addresses.into(),
        table: Arc::new(collector.pack(parts)),
    }
}

fn counts(instances: &[Arc<Instance>]) -> BTreeMap<Box<str>, usize> {
    let mut counts = BTreeMap::new();
    for instance in instances {
        *counts.entry(instance.kind.clone()).or_default() += 1;
    }
    counts
}

/// The part (1 …) of a hash.
fn part_of(hash: u64, parts: u16) -> u16 {
    (hash % u64::from(parts)) as u16 + 1 // below `parts`
}

/// Hash of a child zone, which decides on its part.
fn child_hash(child: &Name) -> u64 {
    stable_hash(child.lower().wire())
}

/// The smallest number of parts (1, 2, 4, …) at which none holds more than [`LIMIT`] instances
/// of one type, nor as many child zones. What is stale counts, so that it does not flap.
fn level(instances: &[Arc<Instance>], children: &[Name]) -> u16 {
    let fits = |parts: u16| {
        let mut counts: BTreeMap<(&str, u16), usize> = BTreeMap::new();
        let kinds = instances.iter().map(|i| (&*i.kind, i.hash));
        let children = children.iter().map(|child| ("", child_hash(child)));
        kinds.chain(children).all(|(kind, hash)| {
            let count = counts.entry((kind, part_of(hash, parts))).or_default();
            *count += 1;
            *count <= LIMIT
        })
    };
    let mut parts = 1;
    while parts < MAX_PARTS && !fits(parts) {
        parts *= 2;
    }
    parts
}

/// `_http._tcp.APEX` → `_http._tcp.PART`.
fn below_part(service: &Name, apex: &Name, part: &Name) -> Option<Name> {
    let front = Name::from_wire(&[service.below(apex)?, &[0]].concat());
    let mut labels: Vec<&[u8]> = front.labels().collect();
    labels.reverse();
    labels
        .into_iter()
        .try_fold(part.clone(), |name, label| name.child(label))
}

/// Host names of the zone with their addresses; gives the addresses of its boxes at which
/// another member met them: nobody else can say that a name belongs to an address.
fn hosts(collector: &mut Collector, input: &Input<'_>) -> Vec<(IpAddr, Name)> {
    let mut boxes = Vec::new();
    let own = input.owners.iter().map(|(_, owner)| (*owner, false));
    let namesakes = input.namesakes.iter().map(|owner| (*owner, true));
    for (owner, namesake) in own.chain(namesakes) {
        // The box that has the name of this zone is its apex; boxes of the zone go first.
        let name = if namesake {
            Some(collector.apex.clone())
        } else {
            collector.name(&[&owner.name])
        };
        let Some(name) = name else { continue };
        for &address in owner.addresses() {
            collector.add(Some(&name), address_data(address), Vec::new());
        }
        if !namesake {
            let witnessed = owner.witnessed().iter();
            boxes.extend(witnessed.map(|address| (*address, name.clone())));
        }
        let mut further: BTreeSet<(String, IpAddr)> = BTreeSet::new();
        for record in owner.records() {
            let label = &*record.name;
            match &record.body {
                Body::Host(addresses) if is_host_label(label) => {
                    further.extend(addresses.iter().map(|a| (label.to_ascii_lowercase(), *a)));
                }
                Body::Service(packed) => {
                    if let Some(host) = &packed.open().host
                        && let Some(label) = host_label(host)
                    {
                        further.extend(host.addresses.iter().map(|a| (label.clone(), *a)));
                    }
                }
                _ => {}
            }
        }
        let taken = |l: &str| {
            namesake
                && (l.bytes().all(|b| b.is_ascii_digit())
                    || name
                        .child(l.as_bytes())
                        .is_some_and(|n| collector.has_address(&n)))
        };
        let further: Vec<_> = further
            .into_iter()
            .filter(|(label, _)| !taken(label))
            .collect();
        for (label, address) in further {
            let name = name.child(label.as_bytes());
            collector.add(name.as_ref(), address_data(address), Vec::new());
        }
    }
    boxes
}

/// The pointers to what can be browsed (RFC 6763 section 11): the zone itself, its parts, its
/// children.
fn browse(collector: &mut Collector, input: &Input<'_>, parts: u16) {
    let apex = collector.apex.clone();
    let part_name = |part: u16| apex.child(part.to_string().as_bytes());
    let mut point = |at: &Name, to: &Name, rows: &[&str]| {
        for row in rows {
            let owner = at
                .child(b"_udp")
                .and_then(|n| n.child(b"_dns-sd"))
                .and_then(|n| n.child(row.as_bytes()));
            collector.add(owner.as_ref(), Data::Ptr(to.clone()), Vec::new());
        }
    };
    point(&apex, &apex, &["b", "lb"]);
    if parts == 1 {
        for child in &input.children {
            point(&apex, child, &["b", "lb"]);
        }
    } else {
        for name in (1..=parts).filter_map(part_name) {
            point(&apex, &name, &["b", "lb"]);
            point(&name, &name, &["b", "lb"]);
        }
        for child in &input.children {
            if let Some(name) = part_name(part_of(child_hash(child), parts)) {
                point(&name, child, &["b", "lb"]);
            }
        }
    }
    if let Some(default) = input.top.as_ref().and_then(|top| top.default.as_ref()) {
        point(&apex, default, &["db"]);
    }
}

/// Pointers from types and subtypes below `at` to instances, and the list of types.
fn pointers(collector: &mut Collector, at: &Name, instances: &[&Arc<Instance>]) {
    let below = |labels: &[&str]| {
        labels
            .iter()
            .rev()
            .try_fold(at.clone(), |name, label| name.child(label.as_bytes()))
    };
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in instances.iter().filter(|i| !i.stale) {
        let Some((first, second)) = instance.kind.split_once('.') else {
            continue;
        };
        let txt = Data::Txt(instance.txt.clone());
        let mut extra = vec![
            (instance.name.clone(), instance.srv()),
            (instance.name.clone(), txt),
        ];
        extra.extend(instance.hosts());
        let pointer = Data::Ptr(instance.name.clone());
        collector.add(
            below(&[first, second]).as_ref(),
            pointer.clone(),
            extra.clone(),
        );
        for subtype in &instance.subtypes {
            let name = below(&[subtype, "_sub", first, second]);
            collector.add(name.as_ref(), pointer.clone(), extra.clone());
        }
        *types.entry(&instance.kind).or_default() += 1;
    }
    // A zone with more types than a set may hold lists those that are most used.
    let mut types: Vec<_> = types.into_iter().collect();
    types.sort_by_key(|&(kind, count)| (std::cmp::Reverse(count), kind));
    for (kind, _) in types.into_iter().take(LIMIT) {
        if let Some((first, second)) = kind.split_once('.')
            && let Some(name) = below(&[first, second])
        {
            let list = below(&["_services", "_dns-sd", "_udp"]);
            collector.add(list.as_ref(), Data::Ptr(name), Vec::new());
        }
    }
}

fn authority(collector: &mut Collector, top: &Top) {
    let apex = collector.apex.clone();
    if let Some((server, mailbox, serial)) = &top.authority {
        let hosts = |a: &IpAddr| (server.clone(), address_data(*a));
        let extra: Vec<Extra> = top.server.iter().map(hosts).collect();
        for (name, data) in &extra {
            collector.add(Some(name), data.clone(), Vec::new());
        }
        collector.add(Some(&apex), Data::Ns(server.clone()), extra);
        let soa = Data::Soa(server.clone(), mailbox.clone(), *serial);
        collector.add(Some(&apex), soa, Vec::new());
    }
}
