//! Copies of other servers' zones in the real daemon, with a stand-in for the primary.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{AXFR, Bus, Daemon, IXFR, Script, StandInPrimary, Step, soa, until};
use hickory_proto::rr::RecordType::A;
use serde_json::Value;

const ZONE: &str = "vall.example";

fn config(primaries: &[&StandInPrimary], more: &str) -> String {
    let listed: Vec<_> = primaries
        .iter()
        .map(|p| format!("'{}'", p.address))
        .collect();
    format!(
        "listen = ['127.0.0.1']\n{more}\n[zones.'{ZONE}']\nprimaries = [{}]\ntransfer = ['127.0.0.1']\n",
        listed.join(", ")
    )
}

/// A zone with this serial whose one host has its serial as address.
fn zone(serial: u32) -> String {
    let soa = soa(serial);
    format!("{soa}@ 60 NS ns\nns 60 A 10.0.0.{serial}\n{soa}")
}

fn whole(serial: u32) -> Script {
    Script {
        serial: Some(serial),
        whole: vec![Step::Records(zone(serial))],
        ..Script::default()
    }
}

fn hosted(daemon: &Daemon) -> Value {
    daemon.describe()["hosted"][0].clone()
}

fn address(daemon: &Daemon) -> Vec<String> {
    daemon.data(&format!("ns.{ZONE}."), A)
}

/// Waits until the host has the address of this serial.
fn wait_for(daemon: &Daemon, serial: u32) {
    until("the copy", || {
        (address(daemon) == [format!("10.0.0.{serial}")]).then_some(())
    });
}

#[test]
fn with_stand_in_primary_a_zone_is_fetched_and_kept() {
    let bus = Bus::new();
    let primary = StandInPrimary::start(ZONE);
    primary.act(whole(1));
    let mut daemon = Daemon::start(&bus, &config(&[&primary], ""));
    wait_for(&daemon, 1);
    let zone = hosted(&daemon);
    assert_eq!(zone["serial"], 1);
    assert_eq!(zone["fault"], Value::Null);
    assert_eq!(zone["secondary"]["primary"], primary.address.to_string());
    assert_eq!(daemon.stop("KILL"), None);
    primary.act(Script::default());
    daemon.run();
    assert_eq!(address(&daemon), ["10.0.0.1"], "at once");
    assert_eq!((primary.count(AXFR), primary.count(IXFR)), (1, 0));
}
