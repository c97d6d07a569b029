//! Zones as a client sees them.
#![allow(clippy::unwrap_used)]

mod shapes;
mod special;

use std::collections::BTreeSet;
use std::sync::Arc;

use hickory_proto::rr::RecordType::{A, AAAA, ANY, NS, PTR, SOA, SRV, TXT};
use serde_json::json;

use super::*;
use crate::ask::{ask, data};
use crate::board::Snapshot;
use crate::record::Line;
use crate::respond::Outcome;

const D: &str = "osona.internal";

/// A world of records that grows line by line.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) builder: Builder,
    pub(super) serial: u32,
    pub(super) dirty: BTreeSet<Box<str>>,
    /// What the registry says of the next line.
    pub(super) witnessed: Vec<IpAddr>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            store: Store::default(),
            builder: Builder::new(1),
            serial: 1,
            dirty: BTreeSet::new(),
            witnessed: Vec::new(),
        }
    }

    pub(super) fn line(
        &mut self,
        owner: &str,
        zone: &str,
        kind: &str,
        name: &str,
        body: serde_json::Value,
    ) {
        self.line_in_state(owner, zone, kind, name, "live", body);
    }

    pub(super) fn line_in_state(
        &mut self,
        owner: &str,
        zone: &str,
        kind: &str,
        name: &str,
        state: &str,
        body: serde_json::Value,
    ) {
        let line: Line = serde_json::from_value(json!({
            "owner": format!("key-of-{owner}"), "owner_name": owner, "owner_zone": zone,
            "kind": kind, "name": name, "state": state, "body": body,
            "witnessed": self.witnessed, "expires_at": "2030-01-01T00:00:00Z",
        }))
        .unwrap();
        self.store.apply(&line, &mut self.dirty);
    }

    pub(super) fn boxed(&mut self, owner: &str, zone: &str, address: &str) {
        self.witnessed = vec![address.parse().unwrap()];
        self.line(
            owner,
            zone,
            "box",
            "box",
            json!({"spine": {"addresses": [address]}}),
        );
        self.witnessed.clear();
    }

    pub(super) fn service(&mut self, owner: &str, zone: &str, kind: &str, instance: &str) {
        let body = json!({"instance": instance, "type": kind, "port": 80, "txt": ["path=/"]});
        self.line(owner, zone, "service", &format!("{kind}/{instance}"), body);
    }

    pub(super) fn build(&mut self) -> Snapshot {
        self.serial += 1;
        let community = Community {
            name: "osona".into(),
            domain: Name::parse(D).unwrap(),
            own_zone: "vic".into(),
        };
        let dirty = std::mem::take(&mut self.dirty);
        let server = ["10.1.0.2".parse().unwrap()];
        self.builder
            .update(Some(&community), &self.store, &dirty, &server, self.serial);
        Snapshot {
            zones: Arc::new(self.builder.zones().clone()),
            ..Snapshot::default()
        }
    }
}

pub(super) fn small() -> World {
    let mut world = World::new();
    world.boxed("vic-01", "vic", "10.1.0.2");
    world.boxed("vic-01", "vic", "10.1.0.2");
    world.boxed("gate", "", "10.9.0.1");
    world.service("vic-01", "vic", "_http._tcp", "Photos");
    world
}

pub(super) fn outcome(
    snapshot: &Snapshot,
    name: &str,
    rtype: hickory_proto::rr::RecordType,
) -> Outcome {
    ask(snapshot, name, rtype).0
}
