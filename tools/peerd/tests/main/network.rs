//! What goes over the wire, in network namespaces of their own. Needs root.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use crate::bed;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bed::*;
use guifi_streams::{End, Key, Member, PathKind};
use guifi_testing::bus::Bus;

/// A network namespace, removed when dropped.
struct Space(String);

impl Space {
    fn new(name: &str) -> Self {
        let space = Self(format!("peerd-{name}-{}", std::process::id()));
        ip(&format!("netns add {}", space.0));
        space.run(
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
        );
        space.ip("link set lo up");
        space
    }

    fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.0));
    }

    fn run(&self, words: &str) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.0])
            .args(words.split_whitespace())
            .output()
            .unwrap();
        assert!(output.status.success(), "{words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn start_on(&self, bus: &Bus, more: &str) -> Box {
        let environment = [("DBUS_SYSTEM_BUS_ADDRESS", &*bus.address())];
        Box::with(more, &["ip", "netns", "exec", &self.0], &environment)
    }

    fn start(&self, more: &str) -> Box {
        Box::with(more, &["ip", "netns", "exec", &self.0], &[])
    }

    /// Packets sent on `interface`.
    fn sent(&self, interface: &str) -> u64 {
        let path = format!("cat /sys/class/net/{interface}/statistics/tx_packets");
        self.run(&path).trim().parse().unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(words: &str) {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "ip {words}: {output:?}");
}

/// Connects two namespaces: PREFIX.1 is in the first, PREFIX.2 in the second, on the interface
/// that is returned.
fn cable(first: &Space, second: &Space, prefix: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let ends = ["i", "o"].map(|end| format!("{end}{number}p{}", std::process::id()));
    ip(&format!(
        "link add {} type veth peer name {}",
        ends[0], ends[1]
    ));
    for (space, end, host) in [(first, &ends[0], 1), (second, &ends[1], 2)] {
        ip(&format!("link set {end} netns {}", space.0));
        space.ip(&format!("addr add {prefix}.{host}/24 dev {end}"));
        space.ip(&format!("link set {end} up"));
    }
    ends[1].clone()
}

#[test]
fn a_fresh_box_sends_nothing_and_a_joined_one_nothing_to_strangers() {
    if !root_or_skip("a_fresh_box_sends_nothing_and_a_joined_one_nothing_to_strangers") {
        return;
    }
    let space = Space::new("fresh");
    // Everything that is not for this machine would leave by this interface.
    space.ip("link add outside type veth peer name beyond");
    space.ip("addr add 10.9.0.2/24 dev outside");
    space.ip("link set outside up");
    space.ip("link set beyond up");
    space.ip("route add default via 10.9.0.1");
    let before = space.sent("outside");
    let place = space.start("");
    let client = place.client();
    let listening = space.run("ss -Hlnutp");
    assert_eq!(listening, "", "sockets before joining");
    std::thread::park_timeout(Duration::from_secs(1));
    assert_eq!(space.sent("outside"), before, "packets before joining");
    client.configure(&community(vec![])).unwrap();
    let bound = space.run("ss -Hlnu");
    assert!(bound.contains(&format!(":{}", place.port)), "{bound}");
    // Long enough for every first probe that a library might make.
    std::thread::park_timeout(Duration::from_secs(8));
    assert_eq!(space.sent("outside"), before, "packets after joining");
    client.configure(&Default::default()).unwrap();
    let left = until("no socket", SOON, || {
        Some(space.run("ss -Hlnut")).filter(|s| s.is_empty())
    });
    assert_eq!(left, "");
}

#[test]
fn boxes_that_cannot_reach_each_other_meet_at_a_member_that_relays() {
    if !root_or_skip("boxes_that_cannot_reach_each_other_meet_at_a_member_that_relays") {
        return;
    }
    let (middle, left, right) = (Space::new("m"), Space::new("l"), Space::new("r"));
    middle.ip("addr add 10.8.0.1/32 dev lo");
    for (space, net) in [(&left, 1), (&right, 2)] {
        cable(&middle, space, &format!("10.8.{net}"));
        space.ip(&format!("route add 10.8.0.1 via 10.8.{net}.1"));
    }
    let bus = Bus::new();
    let m = middle.start_on(&bus, "relay = true\n");
    let (l, r) = (left.start(""), right.start(""));
    let (cm, cl, cr) = (m.client(), l.client(), r.client());
    let address = |net: u8, host: u8, port| SocketAddr::from(([10, 8, net, host], port));
    let mut members = vec![
        member(cl.own_key(), vec![address(1, 2, l.port)]),
        member(cr.own_key(), vec![address(2, 2, r.port)]),
        member(cm.own_key(), vec![address(0, 1, m.port)]),
    ];
    cm.configure(&community(members.clone())).unwrap();
    let relay = relay_of(&m);
    let mut forged = relay.clone();
    forged.certificate = Key([1; 32]).to_string();
    let listener = cr.listen("sync", 8).unwrap();
    let opened = |deadline| cl.open(cr.own_key(), "sync", &[], deadline);
    // With the hash of another certificate the relay is not used.
    let configure = |members: &Vec<Member>, relay| {
        let mut members = members.clone();
        members[2].relay = Some(relay);
        cl.configure(&community(members.clone())).unwrap();
        cr.configure(&community(members)).unwrap();
    };
    configure(&members, forged);
    assert!(opened(Duration::from_secs(3)).is_err());
    members[2].relay = None;
    for client in [&cl, &cr] {
        client.configure(&community(members.clone())).unwrap();
    }
    configure(&members, relay);
    let mut ours = until("a stream over the relay", SOON * 4, || {
        opened(Duration::from_secs(5)).ok()
    });
    let mut theirs = listener.accept_within(SOON).unwrap();
    assert_eq!(ours.path, PathKind::Relay);
    assert_eq!((theirs.peer, theirs.address), (cl.own_key(), None));
    ours.write_all(b"over the hill").unwrap();
    let mut text = [0; 13];
    theirs.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"over the hill");
    // The relay box itself is reached directly.
    let direct = cm.listen("gossip", 8).unwrap();
    let stream = cl.open(cm.own_key(), "gossip", &[], SOON).unwrap();
    assert_eq!(stream.path, PathKind::Direct);
    drop((stream, direct));
    // It says how others use its relay.
    let said = stats(&bus);
    assert_eq!(said["relay"], serde_json::to_value(relay_of(&m)).unwrap());
    assert!(said["relay_usage"]["connections"].as_u64() >= Some(2));
}

#[test]
fn when_a_relay_dies_its_peers_meet_at_another() {
    if !root_or_skip("when_a_relay_dies_its_peers_meet_at_another") {
        return;
    }
    let (left, right) = (Space::new("l"), Space::new("r"));
    let hubs = [Space::new("v"), Space::new("w")];
    for (h, hub) in hubs.iter().enumerate() {
        hub.ip(&format!("addr add 10.8.{h}.1/32 dev lo"));
        for (e, end) in [&left, &right].into_iter().enumerate() {
            cable(hub, end, &format!("10.9.{}", h * 2 + e));
            end.ip(&format!("route add 10.8.{h}.1 via 10.9.{}.1", h * 2 + e));
        }
    }
    let buses = [Bus::new(), Bus::new()];
    let mut relays: Vec<Box> = hubs
        .iter()
        .zip(&buses)
        .map(|(hub, bus)| hub.start_on(bus, "relay = true\n"))
        .collect();
    let bus = Bus::new();
    let l = left.start_on(&bus, "");
    let r = right.start("");
    let (cl, cr) = (l.client(), r.client());
    let mut members = vec![member(cl.own_key(), vec![]), member(cr.own_key(), vec![])];
    for (h, relay) in relays.iter().enumerate() {
        let address = SocketAddr::from(([10, 8, h as u8, 1], relay.port));
        members.push(member(relay.client().own_key(), vec![address]));
    }
    for relay in &relays {
        relay
            .client()
            .configure(&community(members.clone()))
            .unwrap();
    }
    for (place, relay) in members[2..].iter_mut().zip(&relays) {
        place.relay = Some(relay_of(relay));
    }
    for client in [&cl, &cr] {
        client.configure(&community(members.clone())).unwrap();
    }
    let listener = cr.listen("sync", 8).unwrap();
    let open = || {
        cl.open(cr.own_key(), "sync", &[], Duration::from_secs(2))
            .ok()
    };
    let mut ours = until("a stream over a relay", SOON * 4, open);
    let mut theirs = listener.accept_within(SOON).unwrap();
    assert_eq!(ours.path, PathKind::Relay);
    let passed_on = || {
        let usage = buses
            .each_ref()
            .map(|bus| stats(bus)["relay_usage"]["sent_bytes"].as_u64());
        usage.map(Option::unwrap_or_default)
    };
    let before = passed_on();
    for _ in 0..1000 {
        ours.write_all(&[7; 1000]).unwrap();
        theirs.read_exact(&mut [0; 1000]).unwrap();
    }
    let after = passed_on();
    let carried = usize::from(after[1] - before[1] > after[0] - before[0]);
    let begin = Instant::now();
    relays[carried].kill();
    let again = until("another way", SOON * 2, || {
        let mut stream = open()?;
        stream.write_all(b"again").unwrap();
        Some(stream)
    });
    let took = begin.elapsed();
    assert_eq!(again.path, PathKind::Relay);
    let mut next = listener.accept_within(SOON).unwrap();
    let mut text = [0; 5];
    next.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"again");
    println!("met at another relay after {took:?}");
    for old in [&mut ours, &mut theirs] {
        assert_eq!(old.ended(SOON).unwrap().end, End::Lost);
        println!(
            "the old stream is known to be lost after {:?}",
            begin.elapsed()
        );
    }
    // Whoever waited there waits elsewhere.
    let port = members[2 + carried].relay.as_ref().unwrap().tcp;
    let dead = format!("https://10.8.{carried}.1:{port}/");
    until("another home relay", SOON, || {
        let home = stats(&bus)["home_relays"][0].clone();
        (home["url"] != dead && home["connected"] == true).then_some(())
    });
}

#[test]
fn a_box_learns_from_another_which_of_its_ports_are_open() {
    if !root_or_skip("a_box_learns_from_another_which_of_its_ports_are_open") {
        return;
    }
    let (far, home) = (Space::new("f"), Space::new("h"));
    cable(&far, &home, "10.8.7");
    let bus = Bus::new();
    let helper = far.start("");
    let mut own = home.start_on(&bus, "");
    let ch = helper.client();
    let key = own.client().own_key();
    let at = |host, port| vec![SocketAddr::from(([10, 8, 7, host], port))];
    let members = community(vec![
        member(ch.own_key(), at(1, helper.port)),
        member(key, at(2, own.port)),
    ]);
    ch.configure(&members).unwrap();
    let _listener = ch.listen("sync", 8).unwrap();
    home.run("nft add table ip t");
    home.run("nft add chain ip t in { type filter hook input priority 0 ; }");
    for (closed, udp, tcp) in [
        (&[][..], true, true),
        (&["udp"], false, true),
        (&["tcp"], false, false),
    ] {
        for protocol in closed {
            let port = own.port;
            home.run(&format!(
                "nft add rule ip t in {protocol} dport {port} ct state new drop"
            ));
        }
        own.kill();
        own.restart();
        let client = own.client();
        client.configure(&members).unwrap();
        drop(client.open(ch.own_key(), "sync", &[], SOON).unwrap());
        // A helper waits a while before it helps the same box again.
        let said = until("an answer", SOON * 4, || {
            Some(stats(&bus)["reached_from_outside"].clone()).filter(|r| !r.is_null())
        });
        assert_eq!((&said["udp"], &said["tcp"]), (&udp.into(), &tcp.into()));
        assert_eq!(said["helper"], ch.own_key().to_string());
    }
}

/// A router that hides what is behind it, as Linux does it and home routers do.
fn hide(router: &Space, outside: &str) {
    router.run("sysctl -qw net.ipv4.ip_forward=1");
    for words in [
        "add table ip t",
        "add chain ip t post { type nat hook postrouting priority 100 ; }",
        &format!("add rule ip t post oifname {outside} masquerade"),
        "add chain ip t in { type filter hook input priority 0 ; }",
        &format!("add rule ip t in iifname {outside} ct state new drop"),
    ] {
        router.run(&format!("nft {words}"));
    }
}

/// Two boxes behind routers of their own, and a member in the open that relays.
struct Homes {
    m: Box,
    a: Box,
    b: Box,
    buses: [Bus; 2],
    members: Vec<Member>,
    _spaces: Vec<Space>,
}

impl Homes {
    fn new() -> Self {
        let public = Space::new("w");
        public.ip("addr add 10.8.0.1/32 dev lo");
        public.run("sysctl -qw net.ipv4.ip_forward=1");
        let routers = [Space::new("x"), Space::new("y")];
        let homes = [Space::new("a"), Space::new("b")];
        for (i, (router, home)) in routers.iter().zip(&homes).enumerate() {
            let outside = cable(&public, router, &format!("10.7.{i}"));
            router.ip(&format!("route add default via 10.7.{i}.1"));
            hide(router, &outside);
            cable(router, home, &format!("192.168.{i}"));
            home.ip(&format!("route add default via 192.168.{i}.1"));
        }
        let buses = [Bus::new(), Bus::new()];
        let m = public.start("relay = true\n");
        let [a, b] = [0, 1].map(|i| homes[i].start_on(&buses[i], ""));
        let seed = SocketAddr::from(([10, 8, 0, 1], m.port));
        let mut members = vec![
            member(m.client().own_key(), vec![seed]),
            member(a.client().own_key(), vec![]),
            member(b.client().own_key(), vec![]),
        ];
        m.client().configure(&community(members.clone())).unwrap();
        members[0].relay = Some(relay_of(&m));
        for place in [&a, &b] {
            let known = community(members.clone());
            place.client().configure(&known).unwrap();
        }
        for bus in &buses {
            until("both wait at the relay", SOON * 2, || {
                (stats(bus)["home_relays"][0]["connected"] == true).then_some(())
            });
        }
        let _spaces = [vec![public], routers.into(), homes.into()]
            .into_iter()
            .flatten()
            .collect();
        Self {
            m,
            a,
            b,
            buses,
            members,
            _spaces,
        }
    }

    fn path_to(&self, key: Key) -> String {
        let said = stats(&self.buses[0]);
        let peers = said["peers"].as_array().unwrap().clone();
        let found = peers.iter().find(|p| p["key"] == key.to_string());
        found.unwrap()["path"].as_str().unwrap().to_owned()
    }
}

#[test]
fn boxes_behind_two_routers_punch_a_hole() {
    if !root_or_skip("boxes_behind_two_routers_punch_a_hole") {
        return;
    }
    let mut homes = Homes::new();
    let (ca, cb) = (homes.a.client(), homes.b.client());
    let key = cb.own_key();
    let listener = cb.listen("sync", 8).unwrap();
    let begin = Instant::now();
    let first = until("a stream", SOON * 4, || {
        ca.open(key, "sync", &[], SOON).ok()
    });
    println!("a stream is open after {:?}", begin.elapsed());
    until("a direct path", SOON * 4, || {
        (homes.path_to(key) == "direct").then_some(())
    });
    println!("it has a direct path after {:?}", begin.elapsed());
    drop((first, listener.accept_within(SOON).unwrap()));
    let second = ca.open(key, "sync", &[], SOON).unwrap();
    assert_eq!(second.path, PathKind::Direct);
    let seen = listener.accept_within(SOON).unwrap().address.unwrap();
    let router = "10.7.0.2";
    assert_eq!(seen.ip().to_string(), router, "the router's own address");
    // Power is cut, and comes back.
    drop((cb, listener));
    homes.b.kill();
    homes.b.restart();
    let cb = homes.b.client();
    cb.configure(&community(homes.members.clone())).unwrap();
    let listener = cb.listen("sync", 8).unwrap();
    let begin = Instant::now();
    let mut again = until("a stream to the box that is back", SOON * 4, || {
        ca.open(key, "sync", &[], SOON).ok()
    });
    println!(
        "the box that is back has a stream after {:?}",
        begin.elapsed()
    );
    again.write_all(b"again").unwrap();
    let mut text = [0; 5];
    let mut theirs = listener.accept_within(SOON).unwrap();
    theirs.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"again");
    until("a direct path again", SOON * 4, || {
        (homes.path_to(key) == "direct").then_some(())
    });
    println!("and a direct path after {:?}", begin.elapsed());
}

#[test]
fn a_direct_transfer_does_not_care_that_the_only_relay_dies() {
    if !root_or_skip("a_direct_transfer_does_not_care_that_the_only_relay_dies") {
        return;
    }
    const BLOCKS: usize = 400;
    let mut homes = Homes::new();
    let (ca, cb) = (homes.a.client(), homes.b.client());
    let key = cb.own_key();
    let listener = cb.listen("sync", 8).unwrap();
    let mut ours = until("a stream", SOON * 4, || {
        ca.open(key, "sync", &[], SOON).ok()
    });
    let mut theirs = listener.accept_within(SOON).unwrap();
    until("a direct path", SOON * 4, || {
        (homes.path_to(key) == "direct").then_some(())
    });
    // Longer than whatever could notice: a block every 50 ms.
    let writer = std::thread::spawn(move || {
        for number in 0..BLOCKS {
            ours.write_all(&[number as u8; 65536]).unwrap();
            std::thread::park_timeout(Duration::from_millis(50));
        }
        ours.socket.shutdown(std::net::Shutdown::Write).unwrap();
        ours
    });
    let (mut block, mut longest) = ([0; 65536], Duration::ZERO);
    for number in 0..BLOCKS {
        if number == BLOCKS / 8 {
            homes.m.kill();
        }
        let begin = Instant::now();
        theirs.read_exact(&mut block).unwrap();
        assert_eq!(block, [number as u8; 65536]);
        longest = longest.max(begin.elapsed());
    }
    assert_eq!(rest(&theirs), b"");
    assert_eq!(theirs.ended(SOON).unwrap().end, End::Clean);
    println!("the longest pause was {longest:?}");
    drop(writer.join().unwrap());
}
