//! The mirrors of a community as the registry tells of them, the nearest first.

use std::cmp::Reverse;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::path::is_plain;

/// Addresses of a box that are tried.
const MAX_ADDRESSES: usize = 4;

/// A mirror of another box, or of this one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mirror {
    /// Key of its box.
    pub(crate) owner: String,
    /// What the box is called.
    pub(crate) name: String,
    /// Where it lives.
    pub(crate) zone: String,
    pub(crate) port: u16,
    /// Begins and ends with a slash.
    pub(crate) path: String,
    /// Date of its index, as it says.
    pub(crate) date: Option<Timestamp>,
    /// Whether the box is there.
    pub(crate) live: bool,
    /// Whether it is this box.
    pub(crate) own: bool,
}

#[derive(Deserialize)]
struct Record {
    owner: String,
    #[serde(default)]
    owner_name: String,
    #[serde(default)]
    owner_zone: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    own: bool,
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    port: u16,
    #[serde(default)]
    path: String,
    #[serde(default)]
    suite: String,
    #[serde(default)]
    date: String,
}

impl Mirror {
    /// Reads a `mirror` record, if it is one of use for `suite`.
    pub(crate) fn read(record: &Value, suite: &str) -> Option<Self> {
        let record = Record::deserialize(record).ok()?;
        let below = record.body.path.trim_matches('/');
        if record.body.suite != suite
            || record.body.port == 0
            || !(below.is_empty() || is_plain(below))
        {
            return None;
        }
        let slash = if below.is_empty() { "" } else { "/" };
        Some(Self {
            path: format!("/{below}{slash}"),
            owner: record.owner,
            name: record.owner_name,
            zone: record.owner_zone,
            port: record.body.port,
            date: record.body.date.parse().ok(),
            live: record.state == "live",
            own: record.own,
        })
    }

    /// Its URLs, from the `box` record of its owner.
    pub(crate) fn urls(&self, boxed: &Value) -> Vec<String> {
        if self.own {
            return vec![format!("http://127.0.0.1:{}{}", self.port, self.path)];
        }
        let addresses = boxed
            .pointer("/body/spine/addresses")
            .and_then(Value::as_array);
        let addresses = addresses
            .into_iter()
            .flatten()
            .filter_map(|a| a.as_str()?.parse().ok());
        let url = |address: IpAddr| match address {
            IpAddr::V4(v4) => format!("http://{v4}:{}{}", self.port, self.path),
            IpAddr::V6(v6) => format!("http://[{v6}]:{}{}", self.port, self.path),
        };
        addresses
            .filter(guifi_core::is_routed)
            .take(MAX_ADDRESSES)
            .map(url)
            .collect()
    }
}

/// How far apart two zones are: the labels of both below the innermost zone that holds both.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let labels = |zone: &str| -> Vec<String> {
        zone.split('.')
            .filter(|l| !l.is_empty())
            .rev()
            .map(str::to_ascii_lowercase)
            .collect()
    };
    let (one, other) = (labels(one), labels(other));
    let shared = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    one.len() + other.len() - 2 * shared
}

/// Sorts: this box itself, then present ones before absent ones, near zones before far ones;
/// among equals each box has an order of its own, so that not all go to the same one.
pub(crate) fn sort(mirrors: &mut [Mirror], own_key: &str, own_zone: &str) {
    mirrors.sort_by_cached_key(|mirror| {
        let lot: [u8; 32] = Sha256::digest(format!("{own_key} {}", mirror.owner)).into();
        (
            Reverse(mirror.own),
            Reverse(mirror.live),
            distance(own_zone, &mirror.zone),
            lot,
        )
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn record(owner: &str, zone: &str, more: Value) -> Value {
        let mut record = json!({"owner": owner, "owner_name": owner, "owner_zone": zone, "state": "live",
            "own": false, "body": {"port": 7659, "path": "/", "suite": "guifi", "date": "2026-11-24T00:00:00Z"}});
        for (key, value) in more.as_object().unwrap() {
            record[key] = value.clone();
        }
        record
    }

    fn read(record: &Value) -> Option<Mirror> {
        Mirror::read(record, "guifi")
    }

    #[test]
    fn records_of_no_use_are_left_out() {
        assert_eq!(read(&record("a", "vic", json!({}))).unwrap().path, "/");
        for body in [
            json!({"port": 0, "suite": "guifi"}),
            json!({"port": 70000, "suite": "guifi"}),
            json!({"port": 1, "suite": "other"}),
            json!({"port": 1, "suite": "guifi", "path": "/../x"}),
            json!({"port": 1, "suite": "guifi", "path": "/a b\r\nX: y"}),
            json!(null),
        ] {
            assert_eq!(
                read(&record("a", "vic", json!({"body": body}))),
                None,
                "{body}"
            );
        }
        let below = json!({"body": {"port": 1, "suite": "guifi", "path": "guifi"}});
        assert_eq!(read(&record("a", "", below)).unwrap().path, "/guifi/");
    }

    #[test]
    fn near_zones_come_first_and_absent_boxes_last() {
        assert_eq!(distance("vic.osona", "vic.osona"), 0);
        assert_eq!(distance("vic.osona", "OSONA"), 1);
        assert_eq!(distance("vic.osona", "tona.osona"), 2);
        assert_eq!(distance("", "vic"), 1);
        let mut mirrors: Vec<Mirror> = [
            record("far", "lluçà", json!({})),
            record("gone", "vic.osona", json!({"state": "stale"})),
            record("near", "tona.osona", json!({})),
            record("here", "vic.osona", json!({})),
            record("self", "vic.osona", json!({"own": true})),
        ]
        .iter()
        .filter_map(read)
        .collect();
        sort(&mut mirrors, "key", "vic.osona");
        let order: Vec<&str> = mirrors.iter().map(|m| m.owner.as_str()).collect();
        assert_eq!(order, ["self", "here", "near", "far", "gone"]);
    }

    #[test]
    fn nobody_is_sent_to_this_machine() {
        let mirror = read(&record("a", "vic", json!({}))).unwrap();
        let boxed = json!({"body": {"spine": {"addresses":
            ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:127.0.0.1", "x", 5, "10.0.0.2", "fd00::2"]}}});
        assert_eq!(
            mirror.urls(&boxed),
            ["http://10.0.0.2:7659/", "http://[fd00::2]:7659/"]
        );
        assert!(mirror.urls(&Value::Null).is_empty());
    }

    proptest! {
        #[test]
        fn no_record_makes_it_panic(zone in "[a-z.\\PC]{0,20}", path in "[/a-z.%\\PC]{0,20}", port in any::<i64>()) {
            let body = json!({"port": port, "suite": "guifi", "path": path});
            if let Some(mirror) = read(&record("a", &zone, json!({"body": body}))) {
                prop_assert!(mirror.path.starts_with('/') && mirror.path.ends_with('/'));
                let _ = distance(&zone, &mirror.zone);
            }
        }
    }
}
