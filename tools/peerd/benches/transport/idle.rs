//! What a daemon takes that has nothing to do.

use std::time::Duration;

use super::bed::*;
use super::measure::Process;

/// How long wake-ups are counted.
const SECONDS: u64 = 20;

pub(crate) fn table() {
    println!(
        "{:<44}{:>10}{:>12}{:>9}",
        "idle", "RSS MiB", "private MiB", "wakes/s"
    );
    let bus = guifi_testing::bus::Bus::new();
    let a = Box::with("", &[], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus.address())]);
    let b = Box::new();
    row(&a, "  not joined");
    let (ca, cb) = (a.client(), b.client());
    join(&[(&a, &ca), (&b, &cb)]);
    row(&a, "  joined, no connection");
    let _listener = cb.listen("sync", 8).unwrap();
    let _stream = ca.open(cb.own_key(), "sync", &[], SOON).unwrap();
    row(&a, "  one connection, one quiet stream");
    relays();
}

/// A box that waits at two relays, and one of those.
fn relays() {
    let bus = guifi_testing::bus::Bus::new();
    let a = Box::with("", &[], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus.address())]);
    let relays = [0, 1].map(|_| Box::with("relay = true\n", &[], &[]));
    let mut members = vec![member(a.client().own_key(), vec![a.address()])];
    members.extend(
        relays
            .iter()
            .map(|r| member(r.client().own_key(), vec![r.address()])),
    );
    for relay in &relays {
        let known = community(members.clone());
        relay.client().configure(&known).unwrap();
    }
    for (place, relay) in members[1..].iter_mut().zip(&relays) {
        place.relay = Some(relay_of(relay));
    }
    for place in [&a, &relays[0], &relays[1]] {
        let known = community(members.clone());
        place.client().configure(&known).unwrap();
    }
    until("it waits at a relay", SOON * 2, || {
        (stats(&bus)["home_relays"][0]["connected"] == true).then_some(())
    });
    row(&a, "  waits at two relays, no connection");
    row(&relays[0], "  relays, and waits at the other");
}

fn row(place: &Box, what: &str) {
    let process = Process(place.child.id());
    let wakes = || process.figure("status", "voluntary_ctxt_switches:");
    std::thread::park_timeout(Duration::from_secs(3));
    let before = wakes();
    std::thread::park_timeout(Duration::from_secs(SECONDS));
    let rate = (wakes() - before) as f64 / SECONDS as f64;
    let parts = ["Private_Clean:", "Private_Dirty:", "Swap:"];
    let private: u64 = parts
        .iter()
        .map(|p| process.figure("smaps_rollup", p))
        .sum();
    let private = private as f64 / 1024.0;
    println!(
        "{what:<44}{:>10.1}{private:>12.1}{rate:>9.2}",
        process.rss_mib()
    );
}
