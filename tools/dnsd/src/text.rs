//! Zones as text: master files (RFC 1035 section 5) made from what is answered.

use std::fmt::Write as _;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name as WireName, RData, Record, RecordType};

use crate::board::Snapshot;
use crate::encode::rtype;
use crate::name::Name;
use crate::table::{Set, Table};
use crate::zone::{Apex, Zones, zone_name};

/// The zone that people call `zone`: a zone of the network (`vic`), a domain, or the
/// community's own domain, which has all zones below it. `None` if there is no such zone.
pub fn show(snapshot: &Snapshot, zone: &str) -> Option<String> {
    let zones = &*snapshot.zones;
    let name = Name::parse(zone.trim_end_matches('.'))?.lower();
    if let Some(apex) = &zones.community {
        if zone.is_empty() || name == apex.name {
            return Some(whole(zones, apex));
        }
        let named = zones.built.get(zone).or_else(|| {
            let below = zones
                .built
                .keys()
                .find(|text| zone_name(&apex.name, text).is_some_and(|full| full == name))?;
            zones.built.get(below)
        });
        if let Some(built) = named {
            let mut text = String::new();
            table(&mut text, &built.apex, &built.table);
            return Some(text);
        }
    }
    let hosted = [&snapshot.internal, &snapshot.external];
    if let Some(hosted) = hosted.iter().find_map(|view| view.get(&name)) {
        let mut text = String::new();
        let mut tables: Vec<_> = hosted.tables().iter().collect();
        tables.sort_by_key(|table| table.node(b"").is_none()); // SOA comes first
        for one in tables {
            table(&mut text, &hosted.name, one);
        }
        return Some(text);
    }
    let apex = zones.local.get(name.wire())?;
    let mut text = String::new();
    table(&mut text, &apex.name, &apex.top);
    Some(text)
}

/// The community's domain: its apex first, as a master file has to begin with SOA.
fn whole(zones: &Zones, apex: &Apex) -> String {
    let mut text = String::new();
    table(&mut text, &apex.name, &apex.top);
    for (_, built) in zones.built.iter().filter(|(zone, _)| !zone.is_empty()) {
        table(&mut text, &built.apex, &built.table);
    }
    text
}

fn table(text: &mut String, apex: &Name, table: &Table) {
    for node in table.nodes() {
        let owner = Name::from_wire(&[node.name, apex.wire()].concat());
        let mut sets: Vec<_> = node.sets().collect();
        sets.sort_by_key(|&(t, _)| (t != rtype::SOA, t));
        for (_, set) in sets {
            for record in records(&owner, set) {
                let (ttl, kind) = (record.ttl, record.record_type());
                let _ = writeln!(text, "{owner} {ttl} IN {kind} {}", data(&record)); // into memory
            }
        }
    }
}

/// Decodes a set as the answer that it is.
pub(crate) fn records(owner: &Name, set: Set<'_>) -> Vec<Record> {
    let [high, low] = set.count.to_be_bytes();
    let mut message = vec![0, 0, 0x80, 0, 0, 1, high, low, 0, 0, 0, 0];
    message.extend_from_slice(owner.wire());
    message.extend_from_slice(&[0, 255, 0, 1]);
    message.extend_from_slice(set.answer);
    Message::from_vec(&message)
        .map(|m| m.answers)
        .unwrap_or_default()
}

/// A type of record as people write it (RFC 3597 section 5 for those without a name).
pub fn type_name(number: u16) -> String {
    match RecordType::from(number) {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

/// The owner of a record in text form.
pub fn owner(record: &Record) -> String {
    text_of(&record.name)
}

fn text_of(name: &WireName) -> String {
    Name::from_labels(name.iter())
        .unwrap_or_else(Name::root)
        .to_string()
}

/// The data of a record as a master file has it.
pub fn data(record: &Record) -> String {
    match &record.data {
        RData::PTR(to) => text_of(&to.0),
        RData::NS(to) => text_of(&to.0),
        RData::CNAME(to) => text_of(&to.0),
        RData::SRV(srv) => {
            let target = text_of(&srv.target);
            format!("{} {} {} {target}", srv.priority, srv.weight, srv.port)
        }
        RData::TXT(txt) => {
            let strings: Vec<String> = txt.txt_data.iter().map(|s| quoted(s)).collect();
            strings.join(" ")
        }
        RData::SOA(soa) => {
            let (server, mailbox) = (text_of(&soa.mname), text_of(&soa.rname));
            let (serial, refresh, retry) = (soa.serial, soa.refresh, soa.retry);
            let (expire, minimum) = (soa.expire, soa.minimum);
            format!("{server} {mailbox} {serial} {refresh} {retry} {expire} {minimum}")
        }
        data => data.to_string(),
    }
}

fn quoted(string: &[u8]) -> String {
    let mut text = String::from("\"");
    for &octet in string {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(octet)]),
            0x20..=0x7e => text.push(char::from(octet)),
            _ => drop(write!(text, "\\{octet:03}")), // into memory
        }
    }
    text.push('"');
    text
}
