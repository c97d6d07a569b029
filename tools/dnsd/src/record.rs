//! The registry's records as far as names need them: read from its lines, kept by owner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::name::is_host_label;

/// The kinds of records that names are made of, as the registry spells them.
pub const KINDS: [&str; 3] = ["box", "host", "service"];

/// One line of the registry's list (net.guifi.Registry1(5)), and of the file that keeps the
/// last good data.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Line {
    /// Key of the owner.
    pub owner: Box<str>,
    /// Host label of the owner.
    #[serde(default)]
    pub owner_name: Box<str>,
    /// Zone of the owner's box: labels, the most specific first; may be empty.
    #[serde(default)]
    pub owner_zone: Box<str>,
    /// Kind of the record.
    pub kind: Box<str>,
    /// Name of the record.
    pub name: Box<str>,
    /// End of its life, RFC 3339.
    #[serde(default)]
    pub expires_at: Option<Box<str>>,
    /// `live` or `stale`.
    #[serde(default)]
    pub state: Box<str>,
    /// This box's own.
    #[serde(default)]
    pub own: bool,
    /// Of a box: its addresses at which another member met it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnessed: Vec<IpAddr>,
    /// The record has vanished; only owner, kind and name are given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// The body.
    #[serde(default)]
    pub body: Value,
}

/// What a record says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body {
    /// The box itself.
    Box(Box<Addresses>),
    /// A further host of the box.
    Host(Box<[IpAddr]>),
    /// A service.
    Service(Packed),
}

/// Addresses of a box, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Addresses {
    /// All that it lists.
    pub all: Vec<IpAddr>,
    /// Those at which another member met it.
    pub witnessed: Vec<IpAddr>,
}

/// A service as it is kept, in one piece of memory: there may be a hundred thousand, and they are
/// read only when their zone is built.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packed(Box<str>);

/// The members of a [`Service`], in order.
type Members = (
    Box<str>,
    Box<str>,
    u16,
    Vec<Box<str>>,
    Option<Host>,
    Vec<Box<str>>,
);

impl Packed {
    fn new(service: Service) -> Option<Self> {
        let Service {
            instance,
            r#type,
            port,
            txt,
            host,
            subtypes,
        } = service;
        let members: Members = (instance, r#type, port, txt, host, subtypes);
        let text = serde_json::to_string(&members).ok()?;
        Some(Self(text.into()))
    }

    /// What it says.
    pub fn open(&self) -> Service {
        // As written by `new`.
        let members: Members = serde_json::from_str(&self.0).unwrap_or_default();
        let (instance, r#type, port, txt, host, subtypes) = members;
        Service {
            instance,
            r#type,
            port,
            txt,
            host,
            subtypes,
        }
    }
}

/// A published service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Service {
    /// Name for people.
    pub instance: Box<str>,
    /// `_http._tcp`.
    pub r#type: Box<str>,
    /// Port number.
    pub port: u16,
    /// Character strings, `key=value`.
    #[serde(default)]
    pub txt: Vec<Box<str>>,
    /// The host, if it is not the box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Subtypes, `_admin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subtypes: Vec<Box<str>>,
}

/// The host of a service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Host {
    /// Its label.
    #[serde(default)]
    pub name: Box<str>,
    /// Its addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// A record with the end of its life, in seconds since 1970 (the largest number: none).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Name of the record.
    pub name: Box<str>,
    /// The round of the store in which it was seen last.
    round: u32,
    /// When it expires.
    pub expires: u64,
    /// What it says.
    pub body: Body,
}

/// What is known of one owner.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Owner {
    /// Host label.
    pub name: Box<str>,
    /// Zone, lower case.
    pub zone: Box<str>,
    /// The box is absent.
    pub stale: bool,
    /// It is this box.
    pub own: bool,
    /// Records, ordered by kind and name.
    records: Vec<Record>,
}

impl Owner {
    /// Addresses of the box.
    pub fn addresses(&self) -> &[IpAddr] {
        self.of_box().map_or(&[], |addresses| &addresses.all)
    }

    /// Addresses of the box at which another member met it.
    pub fn witnessed(&self) -> &[IpAddr] {
        self.of_box().map_or(&[], |addresses| &addresses.witnessed)
    }

    fn of_box(&self) -> Option<&Addresses> {
        match &self.records.first()?.body {
            Body::Box(addresses) => Some(addresses),
            _ => None,
        }
    }

    /// The records, in the order of kind and name.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    fn find(&self, kind: &str, name: &str) -> Result<usize, usize> {
        self.records
            .binary_search_by(|record| (record.body.kind(), &*record.name).cmp(&(kind, name)))
    }

    /// Puts a record in its place and gives the one that was there.
    fn put(&mut self, record: Record) -> Option<Record> {
        match self.find(record.body.kind(), &record.name) {
            Ok(at) => Some(std::mem::replace(&mut self.records[at], record)),
            Err(at) => {
                // Most owners have few records, and there are many owners.
                self.records.reserve_exact(1);
                self.records.insert(at, record);
                None
            }
        }
    }
}

/// All records, by owner.
#[derive(Debug, Default)]
pub struct Store {
    /// Counts how often all records were replaced.
    round: u32,
    owners: BTreeMap<Arc<str>, Owner>,
    zones: BTreeMap<Box<str>, BTreeSet<Arc<str>>>,
}

impl Store {
    /// Takes one line; the zones whose names may differ now are added to `dirty`.
    pub fn apply(&mut self, line: &Line, dirty: &mut BTreeSet<Box<str>>) {
        let zone = zone_name(&line.owner_zone).filter(|_| is_host_label(&line.owner_name));
        let record = read(line, self.round).filter(|_| !line.removed);
        let (Some(zone), Some(record)) = (zone, record) else {
            self.remove(line, dirty);
            return;
        };
        let key: Arc<str> = match self.owners.get_key_value(&*line.owner) {
            Some((key, _)) => key.clone(),
            None => Arc::from(&*line.owner),
        };
        let owner = self.owners.entry(key.clone()).or_default();
        let place = (
            Box::from(line.owner_name.to_ascii_lowercase()),
            zone,
            &*line.state == "stale",
            line.own,
        );
        let fresh = owner.records.is_empty();
        let body = record.body.clone();
        let old = owner.put(record);
        let moved = (&owner.name, &owner.zone, owner.stale, owner.own)
            != (&place.0, &place.1, place.2, place.3);
        if !moved && !fresh && old.is_some_and(|old| old.body == body) {
            return; // written anew, says the same
        }
        let before = std::mem::replace(&mut owner.zone, place.1.clone());
        (owner.name, owner.stale, owner.own) = (place.0, place.2, place.3);
        if before != place.1 && !fresh {
            self.leave(&before, &key);
            dirty.insert(before);
        }
        dirty.insert(place.1.clone());
        self.zones.entry(place.1).or_default().insert(key);
    }

    fn remove(&mut self, line: &Line, dirty: &mut BTreeSet<Box<str>>) {
        let Some(owner) = self.owners.get_mut(&*line.owner) else {
            return;
        };
        if let Ok(at) = owner.find(&line.kind, &line.name) {
            owner.records.remove(at);
            dirty.insert(owner.zone.clone());
            if owner.records.is_empty() {
                self.forget(&line.owner);
            }
        }
    }

    /// Takes an owner out of a zone.
    fn leave(&mut self, zone: &str, key: &str) {
        if let Some(there) = self.zones.get_mut(zone) {
            there.remove(key);
            if there.is_empty() {
                self.zones.remove(zone);
            }
        }
    }

    /// Makes `lines` all that there is, so that what stays the same counts as unchanged.
    pub fn replace(&mut self, lines: impl Iterator<Item = Line>, dirty: &mut BTreeSet<Box<str>>) {
        self.round = self.round.wrapping_add(1);
        for line in lines {
            self.apply(&line, dirty);
        }
        let round = self.round;
        self.retain(|record| record.round == round, dirty);
    }

    /// Removes what has expired at `now` (seconds since 1970).
    pub fn expire(&mut self, now: u64, dirty: &mut BTreeSet<Box<str>>) {
        self.retain(|record| record.expires > now, dirty);
    }

    fn retain(&mut self, keep: impl Fn(&Record) -> bool, dirty: &mut BTreeSet<Box<str>>) {
        let mut empty = Vec::new();
        for (key, owner) in &mut self.owners {
            let before = owner.records.len();
            owner.records.retain(&keep);
            if owner.records.len() != before {
                dirty.insert(owner.zone.clone());
            }
            if owner.records.is_empty() {
                empty.push(key.clone());
            }
        }
        for key in empty {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &str) {
        if let Some(owner) = self.owners.remove(key) {
            self.leave(&owner.zone, key);
        }
    }

    /// The zones that have owners, in order.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        self.zones.keys().map(|zone| &**zone)
    }

    /// The owners in `zone` with their keys, in the order of the keys.
    pub fn owners<'a>(&'a self, zone: &str) -> impl Iterator<Item = (&'a str, &'a Owner)> {
        let keys = self.zones.get(zone).into_iter().flatten();
        keys.filter_map(|key| self.owners.get(&**key).map(|owner| (&**key, owner)))
    }

    /// This box among the owners.
    pub fn own(&self) -> Option<&Owner> {
        self.owners.values().find(|owner| owner.own)
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.owners.values().map(|owner| owner.records.len()).sum()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// All records as lines that [`Store::apply`] takes.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        self.owners.iter().flat_map(|(key, owner)| {
            owner.records.iter().map(move |record| Line {
                owner: (&**key).into(),
                owner_name: owner.name.clone(),
                owner_zone: owner.zone.clone(),
                kind: record.body.kind().into(),
                name: record.name.clone(),
                expires_at: written(record.expires),
                state: if owner.stale { "stale" } else { "live" }.into(),
                own: owner.own,
                witnessed: record.body.witnessed().to_vec(),
                removed: false,
                body: record.body.written(),
            })
        })
    }
}

impl Body {
    /// The kind, as the registry spells it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Box(_) => "box",
            Self::Host(_) => "host",
            Self::Service(_) => "service",
        }
    }

    fn witnessed(&self) -> &[IpAddr] {
        match self {
            Self::Box(addresses) => &addresses.witnessed,
            Self::Host(_) | Self::Service(_) => &[],
        }
    }

    /// The body as the registry has it, without what names do not need.
    fn written(&self) -> Value {
        match self {
            Self::Box(addresses) => serde_json::json!({"spine": {"addresses": addresses.all}}),
            Self::Host(addresses) => serde_json::json!({"addresses": addresses}),
            Self::Service(packed) => serde_json::to_value(packed.open()).unwrap_or_default(),
        }
    }
}

/// The record of a line; `None` if it is of another kind or says nothing that can be used.
fn read(line: &Line, round: u32) -> Option<Record> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        addresses: Vec<Value>,
    }
    let addresses = |body: &Value| {
        let read = Listed::deserialize(body).ok()?;
        let texts = read.addresses.iter().filter_map(Value::as_str);
        Some(usable(texts.filter_map(|text| text.parse().ok())))
    };
    let body = match &*line.kind {
        "box" => {
            let all = addresses(line.body.get("spine")?)?;
            let listed = |address: &IpAddr| all.contains(address);
            let witnessed = usable(line.witnessed.iter().copied().filter(listed));
            Body::Box(Box::new(Addresses { all, witnessed }))
        }
        "host" => Body::Host(addresses(&line.body)?.into()),
        "service" => {
            let mut service = Service::deserialize(&line.body).ok()?;
            if let Some(host) = &mut service.host {
                host.addresses = usable(std::mem::take(&mut host.addresses).into_iter());
            }
            Body::Service(Packed::new(service)?)
        }
        _ => return None,
    };
    let expires = line
        .expires_at
        .as_deref()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let expires = expires.map_or(u64::MAX, |t| u64::try_from(t.as_second()).unwrap_or(0));
    Some(Record {
        name: line.name.clone(),
        round,
        expires,
        body,
    })
}

fn written(expires: u64) -> Option<Box<str>> {
    let seconds = i64::try_from(expires).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.to_string().into())
}

/// The addresses that other links can reach, each once, in order.
fn usable(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let set: BTreeSet<IpAddr> = addresses.filter(guifi_core::is_routed).collect();
    set.into_iter().collect()
}

/// A zone in lower case; `None` if a label of it is no host label, or all digits (such names
/// are those of the parts of a zone).
fn zone_name(zone: &str) -> Option<Box<str>> {
    let good = |label: &str| is_host_label(label) && label.bytes().any(|b| !b.is_ascii_digit());
    (zone.is_empty() || (zone.len() <= 100 && zone.split('.').all(good)))
        .then(|| zone.to_ascii_lowercase().into())
}
