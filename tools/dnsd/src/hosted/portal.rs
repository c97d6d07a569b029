//! Zones as guifi.net's portal defines them for one DNS service: the document of `Domains` in
//! net.guifi.Portal1(5), made into records as `dnsservices` made its files.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::View;
use super::rrset::{Record, Soa};
use super::spec::Server;
use crate::encode::rtype;
use crate::name::Name;

/// Time to live of all records, and of negative answers: those of `dnsservices`.
const TTL: u32 = 7200;
const TIMES: [u32; 3] = [43_200, 7200, 1_209_600];

/// The document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Document {
    internal: Side,
    external: Side,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Side {
    masters: Vec<Master>,
    slaves: Vec<Slave>,
    forwards: Vec<Forward>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Master {
    zone: String,
    nameserver: String,
    default_addresses: Vec<IpAddr>,
    external_mx: Vec<String>,
    external_ns: Vec<String>,
    transfer: bool,
    contact: String,
    hosts: Vec<Host>,
    delegations: Vec<Delegation>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Host {
    name: String,
    addresses: Vec<IpAddr>,
    ns: bool,
    mx: Option<u16>,
    aliases: Vec<String>,
    canonical: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Delegation {
    name: String,
    ns: String,
    addresses: Vec<IpAddr>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Slave {
    zone: String,
    masters: Vec<IpAddr>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Forward {
    zone: String,
    forwarders: Vec<IpAddr>,
}

/// A zone that the portal defines; its serial is 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Defined {
    /// Its name, lower case.
    pub name: Name,
    /// Who sees it.
    pub view: View,
    /// Whether others may have all of it.
    pub transfer: bool,
    /// Its records.
    pub records: Vec<Record>,
}

/// A zone that the portal says is a copy of other servers'.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copied {
    /// Its name, lower case.
    pub name: Name,
    /// Who sees it.
    pub view: View,
    /// Where it comes from; there is at least one.
    pub primaries: Vec<Server>,
}

impl Document {
    /// The zones that this server is a secondary of.
    pub fn copies(&self) -> Vec<Copied> {
        let sides = [
            (&self.internal, View::Internal),
            (&self.external, View::External),
        ];
        let all = sides.into_iter().flat_map(|(side, view)| {
            side.slaves.iter().filter_map(move |slave| {
                let primary = |ip: &IpAddr| Server {
                    address: SocketAddr::new(*ip, 53),
                    key: None,
                };
                Some(Copied {
                    name: parse(&slave.zone)?,
                    view,
                    primaries: slave.masters.iter().map(primary).collect(),
                })
            })
        });
        all.filter(|copied| !copied.primaries.is_empty()).collect()
    }

    /// The zones that this server is the primary of.
    pub fn zones(&self) -> Vec<Defined> {
        let sides = [
            (&self.internal, View::Internal),
            (&self.external, View::External),
        ];
        let all = sides.into_iter().flat_map(|(side, view)| {
            side.masters
                .iter()
                .filter_map(move |master| master.zone(view))
        });
        all.collect()
    }

    /// The zones of others and where they are asked for: those to be forwarded, and those that
    /// others hold, as long as this server holds no copy.
    pub fn elsewhere(&self) -> BTreeMap<Name, Vec<SocketAddr>> {
        let slaves = self.internal.slaves.iter();
        let slaves = slaves.map(|slave| (&slave.zone, &slave.masters));
        let forwards = self.internal.forwards.iter();
        let forwards = forwards.map(|forward| (&forward.zone, &forward.forwarders));
        let mut zones = BTreeMap::new();
        for (zone, servers) in slaves.chain(forwards) {
            let servers: Vec<_> = servers.iter().map(|ip| SocketAddr::new(*ip, 53)).collect();
            if let Some(name) = parse(zone).filter(|_| !servers.is_empty()) {
                zones.insert(name, servers);
            }
        }
        zones
    }
}

fn parse(text: &str) -> Option<Name> {
    let name = Name::parse(text).filter(|_| text.is_ascii())?;
    (name.labels().count() > 0).then(|| name.lower())
}

/// Records in the making; an alias gives way to whatever else has its name.
struct Writer {
    zone: Name,
    records: Vec<Record>,
    aliases: Vec<(Name, Name)>,
}

impl Writer {
    /// The name `text` below the zone; `@` and nothing are the zone.
    fn name(&self, text: &str) -> Option<Name> {
        match text {
            "" | "@" => Some(self.zone.clone()),
            text => {
                let front = Name::parse(text)?;
                Name::from_labels(front.labels().chain(self.zone.labels()))
            }
        }
    }

    fn add(&mut self, owner: &Name, rtype: u16, data: &[u8]) {
        self.records.push(Record {
            owner: owner.clone(),
            rtype,
            ttl: TTL,
            data: data.into(),
        });
    }

    fn addresses(&mut self, owner: &Name, addresses: &[IpAddr]) {
        for address in addresses {
            match address {
                IpAddr::V4(a) => self.add(owner, rtype::A, &a.octets()),
                IpAddr::V6(a) => self.add(owner, rtype::AAAA, &a.octets()),
            }
        }
    }

    fn mail(&mut self, preference: u16, host: &Name) {
        let zone = self.zone.clone();
        let data = [&preference.to_be_bytes()[..], host.wire()].concat();
        self.add(&zone, rtype::MX, &data);
    }

    fn finish(mut self) -> Vec<Record> {
        let mut taken: BTreeSet<Name> = self.records.iter().map(|r| r.owner.lower()).collect();
        for (owner, target) in std::mem::take(&mut self.aliases) {
            if taken.insert(owner.lower()) {
                self.add(&owner, rtype::CNAME, target.wire());
            } else {
                log::warn!("{owner} is no alias of {target}: it stands for something already");
            }
        }
        self.records
    }
}

impl Master {
    fn zone(&self, view: View) -> Option<Defined> {
        let zone = parse(&self.zone)?;
        let mut to = Writer {
            zone: zone.clone(),
            records: Vec::new(),
            aliases: Vec::new(),
        };
        let server = to.name(&self.nameserver).unwrap_or_else(|| zone.clone());
        let soa = Soa {
            server: server.clone(),
            mailbox: mailbox(&self.contact, &zone),
            serial: 0,
            refresh: TIMES[0],
            retry: TIMES[1],
            expire: TIMES[2],
            minimum: TTL,
        };
        to.add(&zone, rtype::SOA, &soa.data());
        self.servers(&mut to, &server);
        self.mail(&mut to);
        if let Some(all) = to.name("*").filter(|_| !self.default_addresses.is_empty()) {
            to.addresses(&all, &self.default_addresses);
            to.addresses(&zone, &self.default_addresses);
        }
        for host in &self.hosts {
            let Some(name) = to.name(&host.name) else {
                continue;
            };
            to.addresses(&name, &host.addresses);
            for alias in host
                .aliases
                .iter()
                .filter_map(|alias| to.name(alias))
                .collect::<Vec<_>>()
            {
                to.aliases.push((alias, name.clone()));
            }
            if let Some(canonical) = host.canonical.as_deref().and_then(parse) {
                to.aliases.push((name, canonical));
            }
        }
        for delegation in &self.delegations {
            let (Some(name), Some(ns)) = (parse(&delegation.name), parse(&delegation.ns)) else {
                continue;
            };
            if name.below(&zone).is_none_or(<[u8]>::is_empty) {
                continue;
            }
            to.add(&name, rtype::NS, ns.wire());
            // Addresses of servers that are found through this zone only.
            if ns.below(&zone).is_some() {
                to.addresses(&ns, &delegation.addresses);
            }
        }
        Some(Defined {
            name: zone,
            view,
            transfer: self.transfer,
            records: to.finish(),
        })
    }

    fn servers(&self, to: &mut Writer, server: &Name) {
        let own = self.hosts.iter().filter(|host| host.ns);
        let own = own.filter_map(|host| to.name(&host.name));
        let external = self.external_ns.iter().filter_map(|name| parse(name));
        let mut servers: Vec<Name> = own.chain(external).collect();
        if servers.is_empty() {
            servers.push(server.clone()); // a zone has one, whatever the portal says
        }
        let zone = to.zone.clone();
        for server in servers {
            to.add(&zone, rtype::NS, server.wire());
        }
    }

    fn mail(&self, to: &mut Writer) {
        let mut last = 0u16;
        for host in &self.hosts {
            if let (Some(preference), Some(name)) = (host.mx, to.name(&host.name)) {
                to.mail(preference, &name);
                last = last.max(preference);
            }
        }
        for name in self.external_mx.iter().filter_map(|name| parse(name)) {
            last = last.saturating_add(10);
            to.mail(last, &name);
        }
    }
}

/// A mail address as a name (RFC 1035 section 8).
fn mailbox(contact: &str, zone: &Name) -> Name {
    let parts = contact.split_once('@');
    let name = parts.and_then(|(local, domain)| {
        let domain = parse(domain)?;
        Name::from_labels(std::iter::once(local.as_bytes()).chain(domain.labels()))
    });
    name.or_else(|| zone.child(b"hostmaster"))
        .unwrap_or_else(|| zone.clone())
}

#[cfg(test)]
mod tests;
