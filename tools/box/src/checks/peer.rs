//! The transport: its ports, and whether others reach them.

use serde_json::Value;

use super::{Part, State, flag, number};
use crate::firewall::{self, Firewall, Protocol};

/// With what other boxes do not reach this one.
pub(crate) fn closed(document: &Value) -> Vec<Protocol> {
    let outside = &document["reached_from_outside"];
    [Protocol::Udp, Protocol::Tcp]
        .into_iter()
        .filter(|protocol| outside[protocol.word()] == false)
        .collect()
}

pub(super) fn peer(document: &Value, firewall: &Firewall) -> Part {
    let port = number(document, "port");
    if !flag(document, "online") {
        return Part::new(
            "peerd",
            State::Ok,
            "not joined: no port is open, no traffic",
        );
    }
    let relay = document["relay"]["tcp"].as_u64();
    let ports = match relay {
        Some(relay) => format!("UDP and TCP {port}, TCP {relay} (relay)"),
        None => format!("UDP and TCP {port}"),
    };
    let connected = document["peers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|p| p["path"].as_str().is_some_and(|p| p != "none"))
        .count();
    let reason = format!("{connected} peers connected; ports {ports}");
    if document["reached_from_outside"].is_null() {
        let reason = format!("{reason}; not known yet whether others reach it");
        return Part::new("peerd", State::Ok, reason);
    }
    let closed = closed(document);
    if closed.is_empty() {
        let reason = format!("{reason}; reached from outside");
        return Part::new("peerd", State::Ok, reason);
    }
    let names: Vec<_> = closed.iter().map(|p| p.word().to_uppercase()).collect();
    let relayed = document["home_relays"]
        .as_array()
        .is_some_and(|relays| relays.iter().any(|r| r["connected"] == true));
    let (state, help) = if relayed {
        (State::Ok, ", but over a relay")
    } else {
        (State::Degraded, "")
    };
    let closed_port = format!("{} port {port}", names.join(" and "));
    Part::new(
        "peerd",
        state,
        format!("other boxes do not reach {closed_port} of this one{help}; {reason}"),
    )
    .hint(firewall::hint(
        firewall,
        &closed,
        u16::try_from(port).unwrap_or_default(),
    ))
}
