//! What is published in the community, as the registry tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use guifi_bus::{RegistryProxy, instance, read_lines};
use guifi_core::Error;
use guifi_streams::Key;
use serde_json::{Value, json};
use zbus::Connection;

use crate::config::MAX_IMPORTS;

/// The records of interest, by owner, kind and name.
#[derive(Debug, Default)]
pub(crate) struct Community {
    epoch: String,
    sequence: u64,
    records: BTreeMap<(String, String, String), Value>,
}

/// A box of the community.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Boxed {
    pub(crate) key: Key,
    pub(crate) addresses: Vec<IpAddr>,
    /// Types, in small letters, that it shows on its links.
    pub(crate) imports: Vec<String>,
}

/// Addresses of a box that are looked at.
const MAX_ADDRESSES: usize = 32;

/// Kinds that are followed.
const KINDS: [&str; 2] = ["service", "box"];

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What has changed since, got from the registry.
pub(crate) struct News {
    epoch: String,
    sequence: u64,
    whole: bool,
    lines: Vec<Value>,
}

impl Community {
    /// Where this has got to.
    pub(crate) fn at(&self) -> (String, u64) {
        (self.epoch.clone(), self.sequence)
    }

    /// Services known.
    pub(crate) fn count(&self) -> usize {
        self.records
            .keys()
            .filter(|(_, kind, _)| kind == "service")
            .count()
    }

    /// The live boxes.
    pub(crate) fn boxes(&self) -> Vec<Boxed> {
        let live = self
            .records
            .iter()
            .filter(|((_, kind, _), r)| kind == "box" && r["state"] == "live");
        live.filter_map(|((owner, ..), record)| {
            let texts = |pointer: &str, most: usize| {
                let list = record.pointer(pointer).and_then(Value::as_array);
                let texts = list.into_iter().flatten().filter_map(Value::as_str);
                texts.take(most)
            };
            Some(Boxed {
                key: owner.parse().ok()?,
                addresses: texts("/body/spine/addresses", MAX_ADDRESSES)
                    .filter_map(|a| a.parse().ok())
                    .collect(),
                imports: texts("/body/discovery/import", MAX_IMPORTS)
                    .map(str::to_ascii_lowercase)
                    .collect(),
            })
        })
        .collect()
    }

    /// The types that this box has told others it imports.
    pub(crate) fn own_imports(&self) -> Vec<String> {
        let mut boxes = self.records.iter();
        let own = boxes.find(|((_, kind, _), r)| kind == "box" && r["own"] == true);
        let list = own.and_then(|(_, r)| r.pointer("/body/discovery/import")?.as_array());
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(ToOwned::to_owned).collect()
    }

    /// Takes news; says whether anything is different.
    pub(crate) fn take(&mut self, news: News) -> bool {
        (self.epoch, self.sequence) = (news.epoch, news.sequence);
        let mut changed = false;
        if news.whole {
            changed = !self.records.is_empty();
            self.records.clear();
        }
        for line in news.lines {
            let key = ["/owner", "/kind", "/name"]
                .map(|p| text(&line, p).to_owned())
                .into();
            changed = true;
            if line.get("removed").is_some() {
                self.records.remove(&key);
            } else {
                self.records.insert(key, line);
            }
        }
        changed
    }

    /// The services as `Browse` answers them, of one type and zone or of all.
    pub(crate) fn services(&self, kind: &str, zone: &str) -> Vec<Value> {
        let services = || {
            self.records
                .iter()
                .filter(|((_, k, _), _)| k == "service")
                .map(|(_, r)| r)
        };
        // Instance, type and zone to the owners that publish it.
        let mut owners: BTreeMap<[String; 3], BTreeSet<&str>> = BTreeMap::new();
        let name_of = |record: &Value| {
            ["/body/instance", "/body/type", "/owner_zone"]
                .map(|p| text(record, p).to_ascii_lowercase())
        };
        for record in services() {
            owners
                .entry(name_of(record))
                .or_default()
                .insert(text(record, "/owner"));
        }
        services()
            .filter(|r| kind.is_empty() || text(r, "/body/type").eq_ignore_ascii_case(kind))
            .filter(|r| zone.is_empty() || in_zone(text(r, "/owner_zone"), zone))
            .map(|record| {
                let shared = owners.get(&name_of(record)).is_some_and(|o| o.len() > 1);
                self.service(record, shared)
            })
            .collect()
    }

    fn service(&self, record: &Value, shared: bool) -> Value {
        let owner = text(record, "/owner");
        let boxed = self
            .records
            .get(&(owner.to_owned(), "box".to_owned(), "box".to_owned()));
        let addresses = record
            .pointer("/body/host/addresses")
            .or_else(|| boxed?.pointer("/body/spine/addresses"))
            .cloned()
            .unwrap_or_else(|| json!([]));
        let healthy = record
            .pointer("/body/healthy")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        let state = match (text(record, "/state"), healthy) {
            ("stale", _) => "stale",
            (_, false) => "unhealthy",
            (_, true) => "live",
        };
        json!({
            "name": instance::label(text(record, "/body/instance"), text(record, "/owner_name"), shared),
            "type": text(record, "/body/type"),
            "scope": "community",
            "box": text(record, "/owner_name"),
            "zone": text(record, "/owner_zone"),
            "owner": owner,
            "host": record.pointer("/body/host/name").cloned().unwrap_or(Value::Null),
            "addresses": addresses,
            "port": record.pointer("/body/port").cloned().unwrap_or(Value::Null),
            "txt": record.pointer("/body/txt").cloned().unwrap_or_else(|| json!([])),
            "state": state,
            "seen_at": record.get("seen_at").cloned().unwrap_or(Value::Null),
            "own": record.get("own").cloned().unwrap_or(Value::Bool(false)),
        })
    }
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
        lines: read_lines(lines)?,
    })
}

#[cfg(test)]
mod tests {
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
        News {
            epoch: "e".into(),
            sequence: 1,
            whole,
            lines,
        }
    }

    #[test]
    fn equal_names_carry_their_box_and_zones_nest() {
        let mut community = Community::default();
        assert!(community.take(news(
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
        )));
        let names = |zone: &str| -> Vec<String> {
            community
                .services("_HTTP._tcp", zone)
                .iter()
                .map(|s| text(s, "/name").to_owned())
                .collect()
        };
        assert_eq!(names("vic.osona"), ["Photos (box-a)", "photos (box-b)"]);
        assert_eq!(names("OSONA").len(), 3);
        assert_eq!(names("na").len(), 0);
        let all = community.services("", "");
        assert_eq!(all[0]["addresses"], json!(["10.0.0.1"]));
        assert_eq!(all[2]["state"], "unhealthy");
        let gone =
            json!({"owner": "b", "kind": "service", "name": "_http._tcp/photos", "removed": true});
        assert!(community.take(news(false, vec![gone])));
        assert_eq!(community.services("", "vic.osona")[0]["name"], "Photos");
        assert!(!community.take(news(false, vec![])));
    }
}
