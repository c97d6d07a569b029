//! Names that are answered here and never asked outside: the reverse of private networks
//! (RFC 6303, RFC 7793) with the boxes in them, and special names (RFC 6761, RFC 7686).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::Apex;
use crate::encode::{Data, NEGATIVE_TTL, TTL, encode, negative_soa, rtype};
use crate::name::Name;
use crate::table::{NameHash, Nodes, Table};

/// Reverse zones of networks that are nobody's, beside the numbered rows below.
const REVERSE: [&str; 18] = [
    "0.in-addr.arpa",
    "10.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "168.192.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
    "c.f.ip6.arpa",
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
];

/// Special names that no public server may be asked.
const SPECIAL: [&str; 5] = ["internal", "local", "localhost", "invalid", "onion"];

fn names() -> Vec<String> {
    let fixed = REVERSE.iter().chain(&SPECIAL).map(|&s| s.to_owned());
    let private = (16..32).map(|n| format!("{n}.172.in-addr.arpa"));
    let shared = (64..128).map(|n| format!("{n}.100.in-addr.arpa"));
    fixed.chain(private).chain(shared).collect()
}

/// All local zones; one whose content did not change is taken over from `before`.
pub(super) fn apexes(
    addresses: &BTreeSet<(IpAddr, Name)>,
    server: Option<&Name>,
    serial: u32,
    before: &HashMap<Box<[u8]>, Arc<Apex>, NameHash>,
) -> Vec<Arc<Apex>> {
    let mut pointers: BTreeMap<Name, Vec<Data>> = BTreeMap::new();
    for (address, name) in addresses {
        if let Some(owner) = reverse_name(*address) {
            let data = pointers.entry(owner).or_default();
            // More than a few boxes at one address is a mistake of theirs.
            if data.len() < 8 {
                data.push(Data::Ptr(name.clone()));
            }
        }
    }
    let localhost = Name::parse("localhost").unwrap_or_else(Name::root);
    for address in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ] {
        if let Some(owner) = reverse_name(address) {
            pointers.insert(owner, vec![Data::Ptr(localhost.clone())]);
        }
    }
    let names = names();
    let zones: BTreeSet<Name> = names.iter().filter_map(|text| Name::parse(text)).collect();
    let mut inside: BTreeMap<&Name, Vec<(Name, Vec<Data>)>> = BTreeMap::new();
    for (owner, data) in pointers {
        let mut suffix = owner.wire();
        while let Some((&length, rest)) = suffix.split_first() {
            if let Some(zone) = zones.get(&Name::from_wire(suffix)) {
                inside.entry(zone).or_default().push((owner, data));
                break;
            }
            suffix = rest.get(usize::from(length)..).unwrap_or_default();
        }
    }
    let zones = zones.iter();
    zones
        .map(|zone| {
            let sets = inside.remove(zone).unwrap_or_default();
            apex(zone.clone(), sets, server, serial, before)
        })
        .collect()
}

fn apex(
    zone: Name,
    mut sets: Vec<(Name, Vec<Data>)>,
    server: Option<&Name>,
    serial: u32,
    before: &HashMap<Box<[u8]>, Arc<Apex>, NameHash>,
) -> Arc<Apex> {
    let wild = zone.wire() == b"\x09localhost\x00";
    if wild {
        sets.push((zone.clone(), vec![Data::A(Ipv4Addr::LOCALHOST)]));
        sets.push((zone.clone(), vec![Data::Aaaa(Ipv6Addr::LOCALHOST)]));
    }
    let server = server.unwrap_or(&zone);
    sets.push((zone.clone(), vec![Data::Ns(server.clone())]));
    let mut hasher = DefaultHasher::new();
    sets.hash(&mut hasher);
    let content = hasher.finish();
    if let Some(old) = before.get(zone.wire()).filter(|old| old.content == content) {
        return old.clone(); // and so keeps its serial
    }
    let mailbox = zone.child(b"hostmaster").unwrap_or_else(Name::root);
    sets.push((
        zone.clone(),
        vec![Data::Soa(server.clone(), mailbox.clone(), serial)],
    ));
    let mut nodes = Nodes::new();
    for (owner, data) in &sets {
        let front = owner.below(&zone).unwrap_or_default();
        let rtype = data.first().map_or(0, Data::rtype);
        let ttl = if rtype == rtype::SOA {
            NEGATIVE_TTL
        } else {
            TTL
        };
        let node = nodes.entry(front.into());
        let node = node.or_insert_with(|| (front.into(), Vec::new()));
        node.1.push((rtype, encode(owner, ttl, data, &[], 0)));
    }
    Arc::new(Apex {
        labels: zone.labels().count(),
        soa: negative_soa(server, &mailbox, serial).into(),
        serial,
        content,
        wild,
        top: Arc::new(Table::pack(nodes, 1)),
        below: HashMap::with_hasher(NameHash),
        name: zone,
    })
}

/// The name that a reverse lookup of `address` asks for.
pub(super) fn reverse_name(address: IpAddr) -> Option<Name> {
    let text = match address {
        IpAddr::V4(a) => {
            let [a, b, c, d] = a.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(a) => {
            let octets = a.octets();
            let nibbles = octets
                .iter()
                .rev()
                .map(|o| format!("{:x}.{:x}.", o & 15, o >> 4));
            nibbles.collect::<String>() + "ip6.arpa"
        }
    };
    Name::parse(&text)
}
