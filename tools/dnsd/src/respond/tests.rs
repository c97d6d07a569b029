//! The responder against plain, odd and hostile messages.
#![allow(clippy::unwrap_used)]

mod edns;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use hickory_proto::rr::RecordType;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ask::{query, raw};
use crate::name::Name;
use crate::record::{Line, Store};
use crate::zone::{Builder, Community};

/// 60 instances of one type, so that answers do not fit.
fn snapshot() -> &'static Snapshot {
    static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();
    SNAPSHOT.get_or_init(|| {
        let mut store = Store::default();
        let mut dirty = BTreeSet::new();
        for n in 0..60 {
            let kind = if n < 10 { "_ten._tcp" } else { "_many._tcp" };
            let service = json!({"instance": format!("Service {n}"), "type": kind, "port": 80});
            for (record, name, body) in [
                (
                    "box",
                    "box",
                    json!({"spine": {"addresses": [format!("10.0.0.{}", n + 1)]}}),
                ),
                ("service", "s", service),
            ] {
                let line: Line = serde_json::from_value(json!({
                    "witnessed": [format!("10.0.0.{}", n + 1)], "owner": format!("{n}"), "owner_name": format!("box-{n}"),
                    "owner_zone": "vic", "kind": record, "name": name, "body": body,
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
        Snapshot {
            zones: Arc::new(builder.zones().clone()),
            ..Snapshot::default()
        }
    })
}

fn udp(bytes: &[u8]) -> (Outcome, Vec<u8>) {
    raw(snapshot(), bytes, Transport::Udp)
}

const MANY: &str = "_many._tcp.vic.osona.internal.";
const TEN: &str = "_ten._tcp.vic.osona.internal.";

#[test]
fn the_letter_case_of_the_question_comes_back() {
    let bytes = query("bOx-1.VIC.Osona.Internal.", RecordType::A, None)
        .to_vec()
        .unwrap();
    let (outcome, out) = udp(&bytes);
    assert_eq!(outcome, Outcome::Answer);
    assert_eq!(out[12..bytes.len()], bytes[12..]);
    assert_eq!(out[..2], bytes[..2]);
}

#[test]
fn what_does_not_fit_says_so_and_comes_by_tcp() {
    for (size, limit) in [(None, 512), (Some(100), 512), (Some(4096), 1232)] {
        let bytes = query(MANY, RecordType::PTR, size).to_vec().unwrap();
        let (outcome, out) = udp(&bytes);
        let message = Message::from_vec(&out).unwrap();
        assert_eq!(outcome, Outcome::Truncated, "{size:?}");
        assert!(out.len() <= limit && message.metadata.truncation);
        // Clients without EDNS may not know of TCP either: they get what fits.
        let some = message.answers.len() >= 12 && message.answers.len() < 50;
        assert!(if size.is_none() {
            some
        } else {
            message.answers.is_empty()
        });
        assert_eq!(message.edns.is_some(), size.is_some());
    }
    let bytes = query(MANY, RecordType::PTR, None).to_vec().unwrap();
    let (_, out) = raw(snapshot(), &bytes, Transport::Tcp);
    assert_eq!(Message::from_vec(&out).unwrap().answers.len(), 50);
}

#[test]
fn additional_records_come_as_far_as_they_fit() {
    let mut counts = Vec::new();
    for size in [None, Some(700), Some(1232)] {
        let bytes = query(TEN, RecordType::PTR, size).to_vec().unwrap();
        let (outcome, out) = udp(&bytes);
        assert_eq!(outcome, Outcome::Answer);
        assert!(out.len() <= size.map_or(512, usize::from));
        let message = Message::from_vec(&out).unwrap();
        assert_eq!(message.answers.len(), 10);
        assert!(!message.metadata.truncation);
        counts.push(message.additionals.len());
    }
    assert!(counts[0] < counts[1] && counts[1] < counts[2], "{counts:?}");
    assert!(
        counts.iter().all(|n| n % 3 == 0),
        "SRV, TXT and A together: {counts:?}"
    );
}

#[test]
fn odd_messages_get_the_code_they_deserve() {
    let plain = query("osona.internal.", RecordType::SOA, None)
        .to_vec()
        .unwrap();
    let changed = |at: usize, value: u8| {
        let mut bytes = plain.clone();
        bytes[at] = value;
        udp(&bytes)
    };
    let end = plain.len();
    assert_eq!(changed(2, 0x11).1[3] & 15, 4, "STATUS is not implemented");
    assert_eq!(changed(2, 0x21).1[3] & 15, 4, "NOTIFY is for others here");
    assert_eq!(changed(2, 0x29).1[3] & 15, 4, "UPDATE is for others here");
    assert_eq!(changed(5, 0).1[3] & 15, 1, "no question");
    assert_eq!(changed(5, 2).1[3] & 15, 1, "two questions announced");
    assert_eq!(changed(end - 1, 3).1[3] & 15, 5, "class CHAOS");
    assert_eq!(changed(end - 3, 252).1[3] & 15, 5, "AXFR");
    assert_eq!(changed(end - 3, 251).1[3] & 15, 5, "IXFR");
    assert_eq!(changed(2, 0x80), (Outcome::Drop, Vec::new()), "a response");
    assert_eq!(
        udp(&plain[..11]),
        (Outcome::Drop, Vec::new()),
        "half a header"
    );
    assert_eq!(udp(&plain[..20]).1[3] & 15, 1, "half a question");
    assert_eq!(udp(&[]), (Outcome::Drop, Vec::new()));
}

#[test]
fn pointers_in_the_question_are_followed_but_never_in_circles() {
    let header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let loops: [&[u8]; 4] = [
        &[0xc0, 12, 0, 1, 0, 1],
        &[1, b'a', 0xc0, 12, 0, 1, 0, 1],
        &[0xc0, 14, 0xc0, 12, 0, 1, 0, 1],
        &[0xff, 0xff, 0, 1, 0, 1],
    ];
    for question in loops {
        let (outcome, out) = udp(&[&header[..], question].concat());
        assert_eq!((outcome, out[3] & 15), (Outcome::Failed, 1), "{question:?}");
    }
    // An IXFR-like query with a record in the authority section is not plain, but a question.
    let mut message = query("box-1.vic.osona.internal.", RecordType::A, None);
    let name = hickory_proto::rr::Name::root();
    let data = hickory_proto::rr::RData::A(std::net::Ipv4Addr::LOCALHOST.into());
    message.add_authority(hickory_proto::rr::Record::from_rdata(name, 0, data));
    let (outcome, out) = udp(&message.to_vec().unwrap());
    assert_eq!(outcome, Outcome::Answer);
    assert_eq!(Message::from_vec(&out).unwrap().answers.len(), 1);
}

#[test]
fn strangers_get_the_community_and_nothing_else() {
    let ask = |name: &str| {
        let bytes = query(name, RecordType::A, Some(1232)).to_vec().unwrap();
        let (mut out, mut question) = (Vec::new(), Question::default());
        let way = Transport::Udp;
        let stranger = Client {
            known: false,
            inside: false,
        };
        let outcome = respond(snapshot(), &mut question, &bytes, way, stranger, &mut out);
        (outcome, Message::from_vec(&out).ok())
    };
    let (outcome, message) = ask("box-1.vic.osona.internal.");
    assert_eq!(outcome, Outcome::Answer);
    assert!(!message.unwrap().metadata.recursion_available);
    let (outcome, message) = ask("example.com.");
    assert_eq!(outcome, Outcome::Refused);
    assert_eq!(
        message.unwrap().metadata.response_code,
        ResponseCode::Refused
    );
}

#[test]
fn zones_with_servers_of_their_own_are_asked_there_unless_we_know() {
    let mut own = snapshot().clone();
    own.policy = Arc::new(crate::board::Policy {
        networks: Vec::new(),
        zones: vec![
            Name::parse("10.in-addr.arpa").unwrap(),
            Name::parse("osona.internal").unwrap(),
        ],
        ..crate::board::Policy::default()
    });
    let ask = |name: &str, kind| {
        raw(
            &own,
            &query(name, kind, None).to_vec().unwrap(),
            Transport::Udp,
        )
        .0
    };
    assert_eq!(
        ask("1.0.0.10.in-addr.arpa.", RecordType::PTR),
        Outcome::Answer
    );
    assert_eq!(
        ask("99.0.0.10.in-addr.arpa.", RecordType::PTR),
        Outcome::Forward
    );
    assert_eq!(
        ask("1.1.168.192.in-addr.arpa.", RecordType::PTR),
        Outcome::NxDomain
    );
    assert_eq!(
        ask("nobody.osona.internal.", RecordType::A),
        Outcome::NxDomain
    );
}

/// Checks what holds for every answer.
fn sound(bytes: &[u8], out: &[u8]) -> Result<(), TestCaseError> {
    let (edns, limit) = match Message::from_vec(bytes) {
        Ok(message) => (
            message.edns.is_some(),
            if message.edns.is_some() { 1232 } else { 512 },
        ),
        Err(_) => (false, 512),
    };
    prop_assert!(out.len() <= limit, "{} octets", out.len());
    if out.is_empty() {
        return Ok(());
    }
    prop_assert_eq!(&out[..2], &bytes[..2]);
    prop_assert_eq!(out[2] & 0x80, 0x80);
    let message = Message::from_vec(out).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert!(message.edns.is_none() || edns, "EDNS for one that has none");
    Ok(())
}

/// Questions of every form, as they are asked.
fn questions() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for name in [
        MANY,
        TEN,
        "box-1.vic.osona.internal.",
        "x.vic.osona.internal.",
        "osona.internal.",
        "1.0.0.10.in-addr.arpa.",
        "example.com.",
        ".",
    ] {
        for kind in [1_u16, 6, 12, 16, 28, 33, 41, 252, 255, 65_000] {
            for size in [None, Some(512), Some(4096)] {
                all.push(query(name, kind.into(), size).to_vec().unwrap());
            }
        }
    }
    all
}

#[test]
fn mutants_of_questions_are_answered_within_bounds_or_not_at_all() {
    guifi_testing::fuzz::bytes("question over UDP", &questions(), |bytes| {
        sound(bytes, &udp(bytes).1).unwrap();
    });
    guifi_testing::fuzz::bytes("question over TCP", &questions(), |bytes| {
        let (_, out) = raw(snapshot(), bytes, Transport::Tcp);
        assert!(out.len() <= usize::from(u16::MAX));
        assert!(out.is_empty() || Message::from_vec(&out).is_ok());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_octets_are_answered_within_bounds_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (_, out) = udp(&bytes);
        sound(&bytes, &out)?;
    }

    #[test]
    fn any_question_with_any_header_is_answered_within_bounds(
        name in prop::sample::select(vec![MANY, TEN, "box-1.vic.osona.internal.", "x.vic.osona.internal.", "osona.internal.", "1.0.0.10.in-addr.arpa.", "example.com.", "."]),
        kind in any::<u16>(),
        size in prop::option::of(any::<u16>()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        whole in prop::bool::weighted(0.8),
        tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = query(name, kind.into(), size).to_vec().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
            bytes.extend(tail);
        }
        let (_, out) = udp(&bytes);
        sound(&bytes, &out)?;
    }
}

#[test]
fn boxes_keep_their_names_in_a_hosted_reverse_zone() {
    let origin = Name::parse("10.in-addr.arpa").unwrap();
    let text = "@ 60 SOA . . 1 1 1 1 1\n@ 60 NS .\n1.0.0 60 PTR other.\n200.0.0 60 PTR other.\n";
    let records = hosted::file::read(text, None, &origin).unwrap();
    let content = hosted::content::Content::of(&origin, records);
    let zone = hosted::Zone::new(
        &content,
        hosted::spec::Access::default(),
        hosted::View::Internal,
    )
    .unwrap();
    let mut both = snapshot().clone();
    both.internal = Arc::new(hosted::Hosted::new([Arc::new(zone)]));
    let data = |name| crate::ask::data(&both, name, RecordType::PTR);
    assert_eq!(data("1.0.0.10.in-addr.arpa"), ["box-0.vic.osona.internal."]);
    assert_eq!(data("200.0.0.10.in-addr.arpa"), ["other."]);
}
