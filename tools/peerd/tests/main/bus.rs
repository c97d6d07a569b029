//! The bus interface, the commands that use it, and Avahi, on a private bus.

use crate::bed;

use std::process::{Command, Output};
use std::time::Duration;

use bed::avahi::Avahi;
use bed::*;
use futures_util::StreamExt as _;
use guifi_bus::{PEER, PeerAdminProxy, PeerProxy};
use guifi_streams::{Client, Key};
use guifi_testing::bus::{Bus, contract};
use serde_json::Value;

fn place(bus: &Bus) -> Box {
    Box::with("", &[], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus.address())])
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(SOON * 6, task).await.unwrap() })
}

fn peer(bus: &Bus, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guifi-peer"))
        .args(words)
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A box on the bus, one without, both members.
fn joined(bus: &Bus) -> (Box, Client, Box, Client) {
    let (a, b) = (place(bus), Box::new());
    let (ca, cb) = (a.client(), b.client());
    join(&[(&a, &ca), (&b, &cb)]);
    (a, ca, b, cb)
}

#[test]
fn the_daemon_introspects_exactly_its_contract() {
    let bus = Bus::new();
    let _place = place(&bus);
    let said = block_on(bus.introspect(PEER.name, PEER.path));
    let written = guifi_testing::interface("net.guifi.Peer1");
    assert_eq!(contract(&said), contract(&written));
}

#[test]
fn every_method_answers() {
    let bus = Bus::new();
    let (a, ca, b, cb) = joined(&bus);
    block_on(async {
        let connection = bus.connect().await;
        let reads = PeerProxy::new(&connection).await.unwrap();
        let admin = PeerAdminProxy::new(&connection).await.unwrap();
        let mut changes = reads.receive_peer_changed().await.unwrap();
        let key = cb.own_key().to_string();
        admin.connect(&key).await.unwrap();
        let change = changes.next().await.unwrap();
        let change = change.args().unwrap();
        assert_eq!(*change.key(), key);
        assert_eq!(
            (change.state().as_str(), change.path().as_str()),
            ("connected", "direct")
        );
        assert!(reads.ping(&key).await.unwrap() < 1_000_000);
        let said: Value = serde_json::from_str(&reads.describe().await.unwrap()).unwrap();
        let page = guifi_testing::page("net.guifi.Peer1.5");
        let faults = guifi_testing::document_faults(&page, &said);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(said["key"], ca.own_key().to_string());
        assert_eq!(said["community"]["id"], COMMUNITY);
        assert_eq!(
            (&said["online"], &said["port"]),
            (&true.into(), &a.port.into())
        );
        assert!(said["relay"].is_null());
        assert_eq!(said["peers"][0]["key"], key);
        assert_eq!(said["peers"][0]["path"], "direct");
        // Another of the machine's addresses may be the shorter way by now.
        let address = said["peers"][0]["address"].as_str().unwrap();
        assert!(address.ends_with(&format!(":{}", b.port)), "{address}");
        admin.disconnect(&key).await.unwrap();
        let refused = admin.disconnect("nonsense").await.unwrap_err();
        assert!(refused.to_string().contains("Invalid"), "{refused}");
        // A hint helps to reach a member whose address is not known.
        let mut lost = community(vec![member(cb.own_key(), vec![])]);
        lost.name = "elsewhere".to_owned();
        ca.configure(&lost).unwrap();
        admin
            .set_hint(&key, &[&b.address().to_string()])
            .await
            .unwrap();
        admin.connect(&key).await.unwrap();
        assert!(admin.set_hint(&key, &["nowhere"]).await.is_err());
    });
}

#[test]
fn the_commands_print_what_the_daemon_says() {
    let bus = Bus::new();
    let (_a, ca, _b, cb) = joined(&bus);
    let key = cb.own_key().to_string();
    assert_eq!(text(&peer(&bus, &["key"])), format!("{}\n", ca.own_key()));
    let ping = text(&peer(&bus, &["ping", &key[..12]]));
    assert!(ping.starts_with(&key) && ping.ends_with(" ms\n"), "{ping}");
    let list = text(&peer(&bus, &["list"]));
    assert!(
        list.contains(&key[..16]) && list.contains("direct"),
        "{list}"
    );
    let listed: Value = serde_json::from_str(&text(&peer(&bus, &["list", "--json"]))).unwrap();
    assert_eq!(listed[0]["path"], "direct");
    assert!(text(&peer(&bus, &["path", &key])).contains("path: direct"));
    assert!(text(&peer(&bus, &["stats"])).contains("community: osona"));
    let stats: Value = serde_json::from_str(&text(&peer(&bus, &["stats", "--json"]))).unwrap();
    assert_eq!(stats["counters"]["dials"], 1);
    let unknown = peer(&bus, &["path", "zzzz"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(unknown.stdout.is_empty());
    let usage = peer(&bus, &["nonsense"]);
    assert_eq!(usage.status.code(), Some(2));
    let unreachable = peer(&bus, &["ping", &Key([0; 32]).to_string()]);
    assert_ne!(unreachable.status.code(), Some(0));
    let empty = Bus::new();
    assert_eq!(peer(&empty, &["list"]).status.code(), Some(69));
}

#[test]
fn streams_go_on_without_the_bus_and_the_daemon_comes_back_to_it() {
    let mut bus = Bus::new();
    let (_a, ca, _b, cb) = joined(&bus);
    let listener = cb.listen("sync", 8).unwrap();
    bus.kill();
    let _stream = ca.open(cb.own_key(), "sync", &[], SOON).unwrap();
    listener.accept_within(SOON).unwrap();
    bus.restart();
    until("the name on the new bus", SOON * 2, || {
        Some(peer(&bus, &["key"])).filter(|o| o.status.success())
    });
}

#[test]
fn members_on_the_link_are_found_through_avahi_and_its_restart_is_survived() {
    let buses = [Bus::new(), Bus::new(), Bus::new()];
    let boxes: Vec<_> = buses.iter().map(place).collect();
    let clients: Vec<_> = boxes.iter().map(Box::client).collect();
    // None knows an address of another.
    let members: Vec<_> = clients
        .iter()
        .map(|c| member(c.own_key(), vec![]))
        .collect();
    for client in &clients {
        client.configure(&community(members.clone())).unwrap();
    }
    let short = Duration::from_secs(2);
    // Each time a box that was never met nor heard: others are remembered.
    for (round, other) in clients.iter().enumerate().skip(1) {
        let listener = other.listen("sync", 8).unwrap();
        let refused = clients[0].open(other.own_key(), "sync", &[], short);
        assert!(refused.is_err());
        let present: Vec<_> = buses[..=round].iter().collect();
        let _avahi = Avahi::new(&present);
        let _opened = until("a stream to a box on the link", SOON, || {
            clients[0].open(other.own_key(), "sync", &[], short).ok()
        });
        listener.accept_within(SOON).unwrap();
    }
}

#[test]
fn a_service_is_started_when_a_peer_asks_for_its_protocol() {
    let bus = Bus::new();
    let flag = bus.activatable("net.guifi.Example1");
    let a = Box::with(
        "[protocol.example]\nactivate = \"net.guifi.Example1\"\n",
        &[],
        &[("DBUS_SYSTEM_BUS_ADDRESS", &bus.address())],
    );
    let b = Box::new();
    let (ca, cb) = (a.client(), b.client());
    join(&[(&a, &ca), (&b, &cb)]);
    assert!(!flag.exists());
    let key = ca.own_key();
    let opening = std::thread::spawn(move || cb.open(key, "example", &[], SOON * 2));
    until("the start", SOON, || flag.exists().then_some(()));
    let server = a.client();
    let listener = server.listen("example", 8).unwrap();
    let stream = opening.join().unwrap().unwrap();
    assert_eq!(listener.accept_within(SOON).unwrap().protocol, "example");
    drop(stream);
}
