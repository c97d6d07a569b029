//! Garbage for every method on the bus, and for the responder: the daemon lives, and answers
//! after it.

use crate::common;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Bus, Daemon, SOON};
use guifi_dnsd::board::Snapshot;
use guifi_dnsd::cookie::Jar;
use guifi_dnsd::guard::Guard;
use guifi_dnsd::hosted::{self, Hosted, View, Zone, spec::Access};
use guifi_dnsd::limit::Rules;
use guifi_dnsd::name::Name;
use guifi_dnsd::query::{Question, asks_for};
use guifi_dnsd::record::{Line, Store};
use guifi_dnsd::respond::{Client, Outcome, Transport, respond};
use guifi_dnsd::secondary::notice;
use guifi_dnsd::zone::{Builder, Community};
use guifi_testing::fuzz::{Target, calls, inputs, rounds};
use guifi_testing::interface;
use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::RecordType;
use serde_json::json;

#[test]
fn no_call_ends_the_daemon() {
    let bus = Bus::new();
    let _daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    let target = Target {
        name: guifi_bus::DNS.name,
        path: guifi_bus::DNS.path,
        interface: &interface("net.guifi.Dns1"),
        without: &[],
        slow: &[],
        samples: &["10.in-addr.arpa", "vic.osona.internal", ".", "\\032a\\.b"],
    };
    calls(&bus.address(), target, inputs());
}

/// A hosted zone with what makes answering hard: circles, wildcards, delegations, large sets.
fn hosted_zone() -> Hosted {
    let mut text = String::from(
        "@ 60 SOA ns dns 1 1 1 1 60\n@ 60 NS ns\nns 60 A 10.0.0.1\na 60 CNAME b\nb 60 CNAME a\n\
         *.w 60 CNAME x.w\nout 60 CNAME elsewhere.example.\nsub 60 NS ns.sub\nns.sub 60 A 10.0.0.2\n\
         www 60 CNAME ns\nm 60 MX 1 ns\n",
    );
    for n in 0..30 {
        text += &format!(
            "c{n} 60 CNAME c{}\nmany 60 TXT \"{}\"\n",
            n + 1,
            "x".repeat(200)
        );
        text += &format!("s 60 SRV 0 0 80 ns{n}\nns{n} 60 A 10.0.1.{n}\n");
    }
    let origin = Name::parse("vall.example").unwrap();
    let records = hosted::file::read(&text, None, &origin).unwrap();
    let content = hosted::content::Content::of(&origin, records);
    let zone = Zone::new(&content, Access::default(), View::Internal).unwrap();
    Hosted::new([Arc::new(zone)])
}

fn snapshot() -> Snapshot {
    let mut store = Store::default();
    let mut dirty = BTreeSet::new();
    for n in 0..40 {
        let service = json!({"instance": format!("Service {n}"), "type": "_http._tcp", "port": 80});
        let spine = json!({"spine": {"addresses": [format!("10.0.0.{n}")]}});
        for (kind, name, body) in [("box", "box", spine), ("service", "s", service)] {
            let line: Line = serde_json::from_value(json!({
                "owner": format!("{n}"), "owner_name": format!("box-{n}"), "owner_zone": "vic",
                "witnessed": [format!("10.0.0.{n}")], "kind": kind, "name": name, "body": body,
            }))
            .unwrap();
            store.apply(&line, &mut dirty);
        }
    }
    let community = Community {
        name: "osona".into(),
        domain: Name::parse("osona.internal").unwrap(),
        own_zone: "".into(),
    };
    let mut builder = Builder::new(1);
    builder.update(Some(&community), &store, &dirty, &[], 2);
    let hosted = Arc::new(hosted_zone());
    Snapshot {
        zones: Arc::new(builder.zones().clone()),
        internal: hosted.clone(),
        external: hosted,
        ..Snapshot::default()
    }
}

/// Messages of all forms: questions plain and odd, operations, options, signatures.
fn samples() -> Vec<Vec<u8>> {
    let names: Vec<Vec<u8>> = [
        ".",
        "osona.internal",
        "vic.osona.internal",
        "box-1.vic.osona.internal",
        "_http._tcp.vic.osona.internal",
        "1.0.0.10.in-addr.arpa",
        "vall.example",
        "a.vall.example",
        "c0.vall.example",
        "q.w.vall.example",
        "out.vall.example",
        "x.sub.vall.example",
        "many.vall.example",
        "s.vall.example",
        "m.vall.example",
        "none.vall.example",
        "example.com",
        "version.bind",
    ]
    .iter()
    .map(|name| Name::parse(name).unwrap().wire().to_vec())
    .chain([
        [&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat(), // 255 octets
        [[1, b'a'].repeat(127), vec![0]].concat(),
        vec![0xc0, 12],
        vec![1, b'a', 0xc0, 12],
        vec![0x41, 0],
    ])
    .collect();
    let options: [&[u8]; 7] = [
        &[],
        &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8],
        &[
            0, 10, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8,
        ],
        &[0, 10, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[0, 3, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0],
        &[0, 12, 0xff, 0xff],
        &[0, 10],
    ];
    let tsig = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1d\x0bhmac-sha256\0\0\0\x01\x02\x03\x04\x01\x2c\0\0\0\0\0\0\0\0\0\0";
    let mut all = Vec::new();
    for (n, name) in names.iter().enumerate() {
        for (m, kind) in [
            1u16, 2, 5, 6, 12, 15, 16, 28, 33, 41, 64, 250, 251, 252, 255, 0,
        ]
        .into_iter()
        .enumerate()
        {
            let head = [
                1,
                2,
                [1, 0, 0x21, 0x29, 0x11, 0x02][(n + m) % 6],
                0,
                0,
                1,
                0,
                0,
                0,
                0,
                0,
                0,
            ];
            let class = [0, [1, 1, 1, 255, 3][(n + m) % 5]];
            let bare = [&head[..], name, &kind.to_be_bytes(), &class].concat();
            all.push(bare.clone());
            let option = options[(n + m) % options.len()];
            let opt = [
                &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, option.len() as u8],
                option,
            ]
            .concat();
            let mut with = [&bare[..], &opt].concat();
            with[11] = 1;
            all.push(with.clone());
            with.extend_from_slice(tsig);
            with[11] = 2;
            all.push(with);
        }
    }
    all
}

#[test]
fn hostile_questions_are_answered_within_bounds_or_not_at_all() {
    let (snapshot, samples) = (snapshot(), samples());
    let mut guard = Guard::new(Jar::new().unwrap());
    let rules = Rules {
        per_network: 20,
        ..Rules::default()
    };
    let (mut question, mut out) = (Question::default(), Vec::new());
    let mut seen = BTreeSet::new();
    // Ten million in a long run.
    rounds("hostile questions", 10 * inputs(), |chance, input| {
        let message = chance.mutant(&samples);
        let message = input.is(message);
        let way = *chance.one(&[Transport::Udp, Transport::Udp, Transport::Tcp]);
        let known = chance.below(2) == 0;
        let client = Client {
            known,
            inside: known,
        };
        // One in eight comes from a network that asks too much.
        let host = if chance.below(8) == 0 {
            7
        } else {
            chance.any() as u32
        };
        let ip = Ipv4Addr::from(host).into();
        let begin = Instant::now();
        let mut outcome = if asks_for(message, OpCode::Notify) {
            question.read(message);
            notice::receive(&snapshot, message, ip, &mut out)
        } else {
            respond(&snapshot, &mut question, message, way, client, &mut out)
        };
        let cookie = guard.cookie(&question, ip);
        if way == Transport::Udp {
            if chance.below(64) == 0 {
                guard.batch();
            }
            outcome = guard.limit(&rules, &question, ip, cookie.as_ref(), outcome, &mut out);
        }
        if let Some(cookie) = cookie {
            cookie.attach(&mut out);
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "a stall");
        seen.insert(format!("{outcome:?}"));
        if matches!(outcome, Outcome::Drop | Outcome::Limited | Outcome::Forward) {
            assert!(out.is_empty(), "{outcome:?} with an answer");
            return;
        }
        let most = match (way, question.edns) {
            (Transport::Tcp, _) => 65_535,
            (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(512, 1232),
            (Transport::Udp, None) => 1232,
        };
        assert!(out.len() <= most, "{} octets, {outcome:?}", out.len());
        assert_eq!((&out[..2], out[2] & 0x80), (&message[..2], 0x80));
        Message::from_vec(&out).unwrap();
    });
    for outcome in [
        "Answer", "NoData", "NxDomain", "Refused", "Failed", "Forward", "Slipped",
    ] {
        assert!(seen.contains(outcome), "no {outcome} among {seen:?}");
    }
}

#[test]
fn hostile_datagrams_do_not_end_the_daemon() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(daemon.address()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let samples = samples();
    rounds("hostile datagrams", inputs(), |chance, input| {
        let message = chance.mutant(&samples);
        let message = input.is(message);
        let _ = socket.send(&message[..message.len().min(60_000)]);
    });
    assert_eq!(
        daemon
            .ask("localhost", RecordType::A)
            .unwrap()
            .answers
            .len(),
        1
    );
}
