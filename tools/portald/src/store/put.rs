//! One thing after the other into the tables of a generation.

use std::net::Ipv4Addr;

use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::number;
use crate::cnml::{
    Common, Device, GraphServer, Interface, Item, LinkEnd, Node, Radio, Service, Zone,
};

/// Puts an item in; `false` if there is one of its number already.
pub(super) fn item(
    connection: &Connection,
    generation: i64,
    item: &Item,
) -> rusqlite::Result<bool> {
    let put = Put {
        connection,
        generation,
    };
    let changed = match item {
        Item::Zone(zone) => put.zone(zone)?,
        Item::Node(node) => put.node(node)?,
        Item::Device(device) => put.device(device)?,
        Item::Radio(radio) => put.radio(radio)?,
        Item::Interface(interface) => put.interface(interface)?,
        Item::Link(link) => put.link(link)?,
        Item::Service(service) => put.service(service)?,
    };
    // A link may be told once under the radio and once under the device.
    Ok(changed > 0 || matches!(item, Item::Link(_)))
}

struct Put<'a> {
    connection: &'a Connection,
    generation: i64,
}

pub(super) fn quad(address: Option<Ipv4Addr>) -> Option<i64> {
    address.map(|a| u32::from(a).into())
}

fn day(day: Option<Date>) -> Option<String> {
    day.map(|day| day.to_string())
}

fn optional(value: Option<u64>) -> Option<i64> {
    value.map(number)
}

fn graph(common: &Common) -> Option<i64> {
    match common.graph_server {
        GraphServer::Inherited => None,
        GraphServer::Nobody => Some(-1),
        GraphServer::Service(id) => Some(number(id)),
    }
}

fn list(addresses: &[Ipv4Addr]) -> String {
    let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    words.join(",")
}

impl Put<'_> {
    fn run(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(values)
    }

    fn zone(&self, z: &Zone) -> rusqlite::Result<usize> {
        let c = &z.common;
        self.run(
            "INSERT OR IGNORE INTO zone VALUES (?,?,?,?,?,?,?,?,?,?)",
            params![
                self.generation,
                number(c.id),
                optional(z.parent),
                c.title,
                z.time_zone,
                list(&z.ntp_servers),
                list(&z.dns_servers),
                graph(c),
                day(c.created),
                day(c.updated)
            ],
        )
    }

    fn node(&self, n: &Node) -> rusqlite::Result<usize> {
        let c = &n.common;
        self.run(
            "INSERT OR IGNORE INTO node VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            params![
                self.generation,
                number(c.id),
                optional(n.zone).unwrap_or(0),
                c.title,
                n.latitude,
                n.longitude,
                n.elevation,
                c.status,
                graph(c),
                day(c.created),
                day(c.updated)
            ],
        )
    }

    fn device(&self, d: &Device) -> rusqlite::Result<usize> {
        let c = &d.common;
        self.run(
            "INSERT OR IGNORE INTO device VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            params![
                self.generation,
                number(c.id),
                number(d.node),
                c.title,
                d.kind,
                c.status,
                quad(d.address),
                d.firmware,
                d.model,
                optional(d.snmp_index),
                graph(c),
                day(c.created),
                day(c.updated)
            ],
        )
    }

    fn radio(&self, r: &Radio) -> rusqlite::Result<usize> {
        self.run(
            "INSERT OR IGNORE INTO radio VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            params![
                self.generation,
                number(r.device),
                number(r.id),
                r.ssid,
                r.mode,
                r.protocol,
                optional(r.channel),
                optional(r.antenna_angle),
                r.antenna_gain,
                optional(r.antenna_azimuth),
                r.clients_accepted,
                r.snmp_name,
                optional(r.snmp_index)
            ],
        )
    }

    /// One that comes twice, under its radio and under the device, is one.
    fn interface(&self, i: &Interface) -> rusqlite::Result<usize> {
        self.run(
            "INSERT INTO interface VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (id, gen) DO UPDATE SET
             radio = coalesce(radio, excluded.radio), mac = coalesce(mac, excluded.mac),
             address = coalesce(address, excluded.address), mask = coalesce(mask, excluded.mask)
             WHERE device = excluded.device",
            params![
                self.generation,
                number(i.id),
                number(i.device),
                optional(i.radio),
                i.kind,
                i.mac,
                quad(i.address),
                quad(i.mask)
            ],
        )
    }

    fn link(&self, l: &LinkEnd) -> rusqlite::Result<usize> {
        self.run(
            "INSERT OR IGNORE INTO link VALUES (?,?,?,?,?,?,?,?,?,?)",
            params![
                self.generation,
                number(l.id),
                number(l.here.interface),
                number(l.here.device),
                number(l.here.node),
                number(l.there.interface),
                number(l.there.device),
                number(l.there.node),
                l.kind,
                l.status
            ],
        )
    }

    fn service(&self, s: &Service) -> rusqlite::Result<usize> {
        let c = &s.common;
        self.run(
            "INSERT OR IGNORE INTO service VALUES (?,?,?,?,?,?,?,?)",
            params![
                self.generation,
                number(c.id),
                number(s.device),
                c.title,
                s.kind,
                c.status,
                day(c.created),
                day(c.updated)
            ],
        )
    }
}
