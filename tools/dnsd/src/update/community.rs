//! Updates of the community's domain as records of this box in the registry: its further hosts,
//! and services in its zone (net.guifi.Registry1(5), RFC 6763). What else the domain holds is
//! made of the records of others, and of what this box says about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use crate::encode::rtype;
use crate::hosted::content::Content;
use crate::hosted::draft::Changes;
use crate::hosted::rdata::text;
use crate::hosted::rrset::{Rrset, Sets, name_at};
use crate::name::{Name, is_host_label, service_type};

/// What a record has that was made by an update: others of this box are left alone.
const BY: &str = "update";

/// This box in its community.
#[derive(Clone, Debug)]
pub struct Own {
    /// The community's domain, lower case.
    pub domain: Name,
    /// Labels of its zone, the most specific first, as one text; may be empty.
    pub zone: String,
    /// Its host label.
    pub name: String,
}

/// Records of this box, by kind and name.
pub type Records = BTreeMap<(String, String), Value>;

/// Something to be done at the registry.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write a record of this kind and name.
    Put(&'static str, String, Value),
    /// Remove one.
    Remove(&'static str, String),
}

/// What a name of the domain is for.
enum Place {
    /// A further host of this box.
    Host(String),
    /// An instance, and its type.
    Instance(String, String),
    /// The instances of a type; with a subtype, of that.
    Pointers(String, Option<String>),
    /// The types of the zone.
    Types,
}

impl Own {
    fn zone_name(&self) -> Option<Name> {
        let name = format!("{}.{}", self.zone, self.domain);
        Name::parse(name.trim_start_matches('.'))
    }

    /// What `name` is for, if this box may say anything there.
    fn place(&self, name: &Name) -> Option<Place> {
        let zone = self.zone_name()?.lower();
        let lower = name.lower();
        let length = lower.below(&zone)?.len();
        // As it is written, for people.
        let front = Name::from_wire(&[name.wire().get(..length)?, &[0]].concat());
        let labels: Option<Vec<&str>> = front.labels().map(|l| str::from_utf8(l).ok()).collect();
        let labels = labels?;
        let kind = |service: &str, protocol: &str| {
            let kind = format!("{service}.{protocol}").to_ascii_lowercase();
            service_type(&kind).is_some().then_some(kind)
        };
        match labels[..] {
            ["_services", "_dns-sd", "_udp"] => Some(Place::Types),
            [host, own] if own.eq_ignore_ascii_case(&self.name) && is_host_label(host) => {
                Some(Place::Host(host.to_ascii_lowercase()))
            }
            [service, protocol] => Some(Place::Pointers(kind(service, protocol)?, None)),
            [subtype, sub, service, protocol] if sub.eq_ignore_ascii_case("_sub") => {
                let subtype = subtype.to_owned();
                Some(Place::Pointers(kind(service, protocol)?, Some(subtype)))
            }
            [instance, service, protocol] => Some(Place::Instance(
                instance.to_owned(),
                kind(service, protocol)?,
            )),
            _ => None,
        }
    }
}

/// Records of this box as they are to be.
struct Plan<'a> {
    own: &'a Own,
    hosts: BTreeMap<String, BTreeSet<IpAddr>>,
    services: BTreeMap<(String, String), Value>,
}

/// What `changes` of the domain, whose names were as in `seen`, mean for the `records` of this
/// box.
///
/// # Errors
/// What cannot be said by records.
pub fn plan(
    own: &Own,
    seen: &Content,
    changes: &Changes,
    records: &Records,
) -> Result<Vec<Step>, String> {
    let mut plan = Plan::new(own, records);
    let (mut services, mut pointers) = (Vec::new(), Vec::new());
    for (front, (written, sets)) in changes {
        let before = seen.get(front);
        let data = |sets: &Sets| -> Vec<(u16, Vec<Box<[u8]>>)> {
            sets.iter().map(|(t, set)| (*t, set.data.clone())).collect()
        };
        if data(&before) == data(sets) {
            continue; // times to live are those of the community
        }
        let name = Name::from_wire(&[written, own.domain.wire()].concat());
        let wrong = |why: &str| format!("{name} {why}");
        match own.place(&name) {
            None => {
                return Err(wrong(
                    "is neither a host of this box nor a service in its zone",
                ));
            }
            Some(Place::Host(label)) => plan.host(&label, &before, sets).map_err(|e| wrong(&e))?,
            Some(Place::Instance(instance, kind)) => {
                services.push((name, instance, kind, !before.is_empty(), sets));
            }
            Some(Place::Pointers(kind, subtype)) => {
                pointers.push((name, kind, subtype, before, sets));
            }
            // It follows from the services.
            Some(Place::Types) => only(sets, &[rtype::PTR]).map_err(|e| wrong(&e))?,
        }
    }
    // Services lead to hosts, and pointers to services.
    for (name, instance, kind, taken, sets) in services {
        let served = plan.service(&instance, &kind, sets, taken);
        served.map_err(|e| format!("{name} {e}"))?;
    }
    for (name, kind, subtype, before, sets) in pointers {
        let pointed = plan.pointers(&kind, subtype.as_deref(), &before, sets);
        pointed.map_err(|e| format!("{name} {e}"))?;
    }
    Ok(plan.steps(records))
}

/// Nothing but these types may stand there.
fn only(sets: &Sets, kinds: &[u16]) -> Result<(), String> {
    match sets.keys().find(|kind| !kinds.contains(kind)) {
        None => Ok(()),
        Some(kind) => Err(format!("cannot have a record of type {}", text(*kind))),
    }
}

fn addresses(sets: &Sets) -> BTreeSet<IpAddr> {
    let set = |kind| sets.get(&kind).map_or(&[][..], |set: &Rrset| &set.data[..]);
    let four = set(rtype::A).iter().filter_map(|data| {
        let octets: [u8; 4] = data[..].try_into().ok()?;
        Some(IpAddr::from(Ipv4Addr::from(octets)))
    });
    let six = set(rtype::AAAA).iter().filter_map(|data| {
        let octets: [u8; 16] = data[..].try_into().ok()?;
        Some(IpAddr::from(Ipv6Addr::from(octets)))
    });
    four.chain(six).collect()
}

/// The strings of a TXT record.
fn strings(mut data: &[u8]) -> Result<Vec<&str>, String> {
    let mut strings = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        let (string, rest) = rest
            .split_at_checked(usize::from(length))
            .ok_or("has a TXT record that ends too early")?;
        strings.push(str::from_utf8(string).map_err(|_| "has a TXT record that is no text")?);
        data = rest;
    }
    strings.retain(|string| !string.is_empty());
    Ok(strings)
}

impl<'a> Plan<'a> {
    fn new(own: &'a Own, records: &Records) -> Self {
        let mut plan = Self {
            own,
            hosts: BTreeMap::new(),
            services: BTreeMap::new(),
        };
        for ((kind, name), body) in records {
            match kind.as_str() {
                "host" => {
                    let listed = body["addresses"].as_array().into_iter().flatten();
                    let listed = listed.filter_map(|a| a.as_str()?.parse().ok());
                    plan.hosts.insert(name.clone(), listed.collect());
                }
                "service" if body["by"] == BY => {
                    let text = |word: &str| body[word].as_str().unwrap_or_default();
                    let key = (
                        text("type").to_owned(),
                        text("instance").to_ascii_lowercase(),
                    );
                    plan.services.insert(key, body.clone());
                }
                _ => {}
            }
        }
        plan
    }

    fn host(&mut self, label: &str, before: &Sets, sets: &Sets) -> Result<(), String> {
        only(sets, &[rtype::A, rtype::AAAA])?;
        let own = self.hosts.entry(label.to_owned()).or_default();
        // A service may have brought others.
        let others: BTreeSet<IpAddr> = addresses(before).difference(own).copied().collect();
        let new = addresses(sets);
        if !others.is_subset(&new) {
            return Err("has an address that comes from a service".into());
        }
        *own = new.difference(&others).copied().collect();
        Ok(())
    }

    fn service(
        &mut self,
        instance: &str,
        kind: &str,
        sets: &Sets,
        taken: bool,
    ) -> Result<(), String> {
        only(sets, &[rtype::SRV, rtype::TXT])?;
        let key = (kind.to_owned(), instance.to_ascii_lowercase());
        let old = self.services.get(&key);
        if taken && old.is_none() {
            return Err("is published otherwise".into());
        }
        if sets.is_empty() {
            self.services.remove(&key);
            return Ok(());
        }
        let one = |kind| match sets.get(&kind).map(|set| &set.data[..]) {
            None => Ok(None),
            Some([one]) => Ok(Some(&one[..])),
            Some(_) => Err(format!("can have one record of type {}", text(kind))),
        };
        let srv = one(rtype::SRV)?.ok_or("is a service without an SRV record")?;
        let txt = one(rtype::TXT)?.map(strings).transpose()?;
        let (fixed, _) = srv.split_first_chunk::<6>().ok_or("has no port")?;
        if fixed[..4] != [0; 4] {
            return Err("has a priority or weight, which the community does not have".into());
        }
        let target = name_at(srv, 6).ok_or("has no target")?;
        let mut body = json!({
            "instance": instance,
            "type": kind,
            "port": u16::from_be_bytes([fixed[4], fixed[5]]),
            "txt": txt.unwrap_or_default(),
            "check": "none",
            "healthy": true,
            "by": BY,
        });
        if let Some(host) = self.target(&Name::from_wire(target))? {
            body["host"] = host;
        }
        if let Some(subtypes) = old.and_then(|old| old.get("subtypes")) {
            body["subtypes"] = subtypes.clone();
        }
        self.services.insert(key, body);
        Ok(())
    }

    /// The host that a service is on; none if it is this box.
    fn target(&self, target: &Name) -> Result<Option<Value>, String> {
        let zone = self.own.zone_name().ok_or("has no zone")?.lower();
        let lower = target.lower();
        let front = lower.below(&zone).map(|front| [front, &[0]].concat());
        let front = front
            .map(|front| Name::from_wire(&front))
            .unwrap_or_else(Name::root);
        let labels: Vec<&[u8]> = front.labels().collect();
        let own = self.own.name.to_ascii_lowercase();
        match labels[..] {
            [name] if name == own.as_bytes() => Ok(None),
            [host, name] if name == own.as_bytes() => {
                let label = str::from_utf8(host).unwrap_or_default();
                let addresses = self.hosts.get(label).filter(|a| !a.is_empty());
                let addresses = addresses.ok_or("leads to a host without addresses")?;
                Ok(Some(json!({"name": label, "addresses": addresses})))
            }
            _ => Err("leads to a host that is not of this box".into()),
        }
    }

    fn pointers(
        &mut self,
        kind: &str,
        subtype: Option<&str>,
        before: &Sets,
        sets: &Sets,
    ) -> Result<(), String> {
        only(sets, &[rtype::PTR])?;
        let targets = |sets: &Sets| -> BTreeSet<Name> {
            let set = sets.get(&rtype::PTR).map_or(&[][..], |set| &set.data[..]);
            set.iter()
                .map(|data| Name::from_wire(data).lower())
                .collect()
        };
        let (before, after) = (targets(before), targets(sets));
        for target in before.symmetric_difference(&after) {
            let comes = after.contains(target);
            let key = match self.own.place(target) {
                Some(Place::Instance(instance, of)) if of == kind => (of, instance),
                _ => return Err(format!("cannot lead to {target}")),
            };
            match (self.services.get_mut(&key), subtype) {
                (Some(body), Some(subtype)) => {
                    let list = body["subtypes"].as_array().cloned().unwrap_or_default();
                    let mut list: BTreeSet<String> = list
                        .iter()
                        .filter_map(|one| one.as_str().map(str::to_owned))
                        .collect();
                    if comes {
                        list.insert(subtype.to_owned());
                    } else {
                        list.remove(subtype);
                    }
                    body["subtypes"] = json!(list);
                }
                // It goes with its instance, and comes with it.
                (Some(_), None) if comes => {}
                (None, _) if !comes => {}
                (Some(_), None) => return Err(format!("cannot lose {target}, which is there")),
                (None, _) => return Err(format!("cannot lead to {target}, which is not there")),
            }
        }
        Ok(())
    }

    /// The way from the records to these.
    fn steps(self, records: &Records) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut wanted: BTreeMap<(&'static str, String), Value> = BTreeMap::new();
        for (name, addresses) in self.hosts.iter().filter(|(_, a)| !a.is_empty()) {
            let body = json!({"addresses": addresses, "by": BY});
            wanted.insert(("host", name.clone()), body);
        }
        for body in self.services.values() {
            let text = |word: &str| body[word].as_str().unwrap_or_default();
            let name = format!("{}/{}", text("type"), text("instance"));
            wanted.insert(("service", name), body.clone());
        }
        for ((kind, name), body) in records {
            let gone = body["by"] == BY && !wanted.contains_key(&(kind, name.clone()));
            match kind.as_str() {
                "host" if gone => steps.push(Step::Remove("host", name.clone())),
                "service" if gone => steps.push(Step::Remove("service", name.clone())),
                _ => {}
            }
        }
        for ((kind, name), body) in wanted {
            let old = records.get(&(kind.to_owned(), name.clone()));
            let same = |old: &Value| {
                // A host that something else wrote says as much.
                old == &body || (kind == "host" && old["addresses"] == body["addresses"])
            };
            if !old.is_some_and(same) {
                steps.push(Step::Put(kind, name, body));
            }
        }
        steps
    }
}
