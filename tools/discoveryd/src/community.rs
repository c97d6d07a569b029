//! What is published in the community, as the registry tells it. There may be a hundred thousand
//! services, and each is on every box: so what is kept of one is what `Browse` answers, and the
//! registry's lines are taken one by one.

mod kept;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use guifi_bus::{RegistryProxy, each_line, instance};
use guifi_core::Error;
use guifi_streams::Key;
use serde_json::{Value, json};
use zbus::{Connection, OwnedFd};

use kept::{Owner, Service, text};

/// The records of interest, by owner.
#[derive(Debug, Default)]
pub(crate) struct Community {
    epoch: String,
    sequence: u64,
    owners: BTreeMap<Box<str>, Owner>,
    /// Types of services, each once.
    types: HashSet<Arc<str>>,
}

/// A box of the community.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Boxed {
    pub(crate) key: Key,
    pub(crate) addresses: Vec<IpAddr>,
    /// Types, in small letters, that it shows on its links.
    pub(crate) imports: Vec<String>,
}

/// Kinds that are followed.
const KINDS: [&str; 2] = ["service", "box"];

/// What has changed since, got from the registry.
pub(crate) struct News {
    epoch: String,
    sequence: u64,
    whole: bool,
    lines: OwnedFd,
}

impl Community {
    /// Where this has got to.
    pub(crate) fn at(&self) -> (String, u64) {
        (self.epoch.clone(), self.sequence)
    }

    /// Services known.
    pub(crate) fn count(&self) -> usize {
        self.owners.values().map(|o| o.services.len()).sum()
    }

    /// The live boxes.
    pub(crate) fn boxes(&self) -> Vec<Boxed> {
        let live = self.owners.iter().filter(|(_, o)| !o.stale);
        live.filter_map(|(key, owner)| {
            let record = owner.record.as_ref()?;
            Some(Boxed {
                key: key.parse().ok()?,
                addresses: record
                    .addresses
                    .iter()
                    .filter_map(|a| a.parse().ok())
                    .collect(),
                imports: record
                    .imports
                    .iter()
                    .map(|t| t.to_ascii_lowercase())
                    .collect(),
            })
        })
        .collect()
    }

    /// The types that this box has told others it imports.
    pub(crate) fn own_imports(&self) -> Vec<String> {
        let own = self.owners.values().find(|o| o.own && o.record.is_some());
        let imports = own.and_then(|o| o.record.as_ref()).map(|r| &r.imports);
        imports
            .into_iter()
            .flatten()
            .map(|t| t.to_string())
            .collect()
    }

    /// Takes news; says whether anything is different.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if they cannot be read; then all is asked for again.
    pub(crate) fn take(&mut self, news: News) -> Result<bool, Error> {
        let lines = each_line(news.lines)?;
        let known = if news.whole {
            std::mem::take(self).owners
        } else {
            self.epoch.clear();
            BTreeMap::new()
        };
        let mut changed = !known.is_empty();
        // What was known is dropped before the same comes again: not both at once.
        drop(known);
        for line in lines {
            self.line(&line?);
            changed = true;
        }
        (self.epoch, self.sequence) = (news.epoch, news.sequence);
        Ok(changed)
    }

    fn line(&mut self, line: &Value) {
        let [key, kind, name] = ["/owner", "/kind", "/name"].map(|p| text(line, p));
        if line.get("removed").is_some() {
            if let Some(owner) = self.owners.get_mut(key) {
                owner.forget(kind, name);
                if owner.is_empty() {
                    self.owners.remove(key);
                }
            }
            return;
        }
        if !self.owners.contains_key(key) {
            self.owners.insert(key.into(), Owner::default());
        }
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        owner.stand(line);
        if kind == "box" {
            owner.record = Some(kept::Record::read(line));
            return;
        }
        let r#type = text(line, "/body/type");
        let known = self.types.get(r#type).cloned();
        let r#type = known.unwrap_or_else(|| {
            let new: Arc<str> = r#type.into();
            self.types.insert(new.clone());
            new
        });
        owner.put(Service::read(name, r#type, line));
    }

    /// The services of one type and zone, or of all.
    fn wanted<'a>(
        &'a self,
        kind: &'a str,
        zone: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Owner, &'a Service)> {
        let inside = move |owner: &Owner| zone.is_empty() || in_zone(&owner.zone, zone);
        let owners = self.owners.iter().filter(move |(_, o)| inside(o));
        let services =
            owners.flat_map(|(key, owner)| owner.services.iter().map(move |s| (&**key, owner, s)));
        services.filter(move |(.., s)| kind.is_empty() || s.r#type.eq_ignore_ascii_case(kind))
    }

    /// Gives `each` the services as `Browse` answers them, of one type and zone or of all.
    pub(crate) fn services(&self, kind: &str, zone: &str, mut each: impl FnMut(Value)) {
        // Instance, type and zone to whoever publishes it, or that there are several.
        let state = RandomState::new();
        let name_of = |owner: &Owner, service: &Service| {
            state.hash_one(
                [&service.instance, &*service.r#type, &owner.zone].map(str::to_ascii_lowercase),
            )
        };
        let mut publishers: HashMap<u64, Option<&str>> = HashMap::new();
        for (key, owner, service) in self.wanted(kind, zone) {
            let known = publishers
                .entry(name_of(owner, service))
                .or_insert(Some(key));
            if *known != Some(key) {
                *known = None;
            }
        }
        for (key, owner, service) in self.wanted(kind, zone) {
            let shared = publishers
                .get(&name_of(owner, service))
                .is_some_and(Option::is_none);
            each(document(key, owner, service, shared));
        }
    }
}

fn document(key: &str, owner: &Owner, service: &Service, shared: bool) -> Value {
    let machine = service.host.as_deref();
    let of_box = owner.record.as_ref().map(|r| &r.addresses);
    let addresses = machine.and_then(|m| m.addresses.as_ref()).or(of_box);
    let state = match (owner.stale, service.healthy) {
        (true, _) => "stale",
        (_, false) => "unhealthy",
        (_, true) => "live",
    };
    json!({
        "name": instance::label(&service.instance, &owner.name, shared),
        "type": &*service.r#type,
        "scope": "community",
        "box": owner.name,
        "zone": owner.zone,
        "owner": key,
        "host": machine.and_then(|m| m.name.as_ref()),
        "addresses": addresses.map_or(&[][..], |a| a),
        "port": service.port,
        "txt": service.txt,
        "state": state,
        "seen_at": owner.seen_at,
        "own": owner.own,
    })
}

/// Whether `zone` is `wanted` or lies in it.
fn in_zone(zone: &str, wanted: &str) -> bool {
    let (zone, wanted) = (zone.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    zone == wanted
        || zone
            .strip_suffix(&wanted)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// Asks the registry what has changed since.
///
/// # Errors
/// [`guifi_core::Kind::Unavailable`] if it does not answer.
pub(crate) async fn ask(connection: &Connection, at: &(String, u64)) -> Result<News, Error> {
    let failed = |e| guifi_bus::error("cannot list the community's services", e);
    let registry = RegistryProxy::new(connection).await.map_err(failed)?;
    let (epoch, sequence, whole, lines) = registry
        .list(&KINDS, Default::default(), &at.0, at.1)
        .await
        .map_err(failed)?;
    Ok(News {
        epoch,
        sequence,
        whole,
        lines,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(owner: &str, kind: &str, name: &str, zone: &str, body: Value) -> Value {
        json!({"owner": owner, "owner_name": format!("box-{owner}"), "owner_zone": zone, "kind": kind,
            "name": name, "state": "live", "seen_at": "2026-11-24T00:00:00Z", "own": false, "body": body})
    }

    fn service(owner: &str, zone: &str, instance: &str) -> Value {
        let body = json!({"instance": instance, "type": "_http._tcp", "port": 80, "txt": [], "healthy": owner != "c"});
        record(
            owner,
            "service",
            &format!("_http._tcp/{instance}"),
            zone,
            body,
        )
    }

    fn news(whole: bool, lines: Vec<Value>) -> News {
        let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
        News {
            epoch: "e".into(),
            sequence: 1,
            whole,
            lines: guifi_bus::sealed_file(text.as_bytes()).unwrap(),
        }
    }

    fn services(community: &Community, kind: &str, zone: &str) -> Vec<Value> {
        let mut found = Vec::new();
        community.services(kind, zone, |service| found.push(service));
        found
    }

    #[test]
    fn equal_names_carry_their_box_and_zones_nest() {
        let mut community = Community::default();
        assert!(
            community
                .take(news(
                    true,
                    vec![
                        service("a", "vic.osona", "Photos"),
                        service("b", "vic.osona", "photos"),
                        service("c", "manlleu.osona", "Photos"),
                        record(
                            "a",
                            "box",
                            "box",
                            "vic.osona",
                            json!({"spine": {"addresses": ["10.0.0.1"]}})
                        ),
                    ]
                ))
                .unwrap()
        );
        let names = |zone: &str| -> Vec<String> {
            services(&community, "_HTTP._tcp", zone)
                .iter()
                .map(|s| text(s, "/name").to_owned())
                .collect()
        };
        assert_eq!(names("vic.osona"), ["Photos (box-a)", "photos (box-b)"]);
        assert_eq!(names("OSONA").len(), 3);
        assert_eq!(names("na").len(), 0);
        let all = services(&community, "", "");
        assert_eq!(all[0]["addresses"], json!(["10.0.0.1"]));
        assert_eq!(all[2]["state"], "unhealthy");
        let gone =
            json!({"owner": "b", "kind": "service", "name": "_http._tcp/photos", "removed": true});
        assert!(community.take(news(false, vec![gone])).unwrap());
        assert_eq!(services(&community, "", "vic.osona")[0]["name"], "Photos");
        assert!(!community.take(news(false, vec![])).unwrap());
    }
    #[test]
    fn what_strangers_write_costs_them_alone() {
        let mut community = Community::default();
        let odd = json!({"instance": 7, "type": "_odd._tcp", "port": "80", "txt": [1, "a=b"], "host": {"addresses": 3}});
        let lines = vec![
            record("a", "service", "_odd._tcp/x", "vic.osona", odd),
            record("a", "box", "box", "vic.osona", json!({"spine": []})),
            record("b", "service", "_http._tcp/y", "vic.osona", Value::Null),
            service("c", "vic.osona", "Photos"),
            json!({"owner": "nobody", "kind": "service", "name": "z", "removed": true}),
        ];
        assert!(community.take(news(true, lines)).unwrap());
        let found = services(&community, "_odd._tcp", "");
        assert_eq!(found[0]["port"], Value::Null);
        assert_eq!(found[0]["txt"], json!(["a=b"]));
        assert_eq!(found[0]["addresses"], json!([]));
        assert_eq!(services(&community, "_http._tcp", "").len(), 1);
        assert_eq!(community.boxes(), []);
    }

    #[test]
    fn a_record_written_anew_replaces_itself() {
        let mut community = Community::default();
        let names = ["Photos", "Maps", "Radio"];
        let first = names.map(|n| service("a", "vic.osona", n)).to_vec();
        assert!(community.take(news(true, first)).unwrap());
        let mut anew = service("a", "manlleu.osona", "Maps");
        anew["body"]["port"] = 8080.into();
        anew["state"] = "stale".into();
        assert!(community.take(news(false, vec![anew])).unwrap());
        assert_eq!(community.count(), 3);
        let found = services(&community, "", "manlleu.osona");
        assert_eq!(found.len(), 3, "all of one box are where it is");
        assert_eq!(
            (&found[0]["name"], &found[0]["port"]),
            (&json!("Maps"), &json!(8080))
        );
        assert!(found.iter().all(|s| s["state"] == "stale"));
        let epoch = community.at().0;
        let cut = News {
            lines: guifi_bus::sealed_file(b"{\"owner\":").unwrap(),
            ..news(false, vec![])
        };
        assert!(community.take(cut).is_err());
        assert_ne!(community.at().0, epoch, "all is asked for again");
    }
}
