//! Hosted zones: what is found in them, how they change, what is refused.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use proptest::prelude::*;

use super::content::{Content, sets};
use super::rrset::{Record, Rrset, Sets, Soa, newer};
use super::spec::Access;
use super::zone::Zone;
use super::{Hosted, View, blob, check, file};
use crate::ask::{ask, query, raw};
use crate::board::Snapshot;
use crate::encode::rtype;
use crate::name::Name;
use crate::respond::{Outcome, Transport};

const VALL: &str = "$TTL 3600
@ IN SOA ns1 dns ( 7 ; serial
  43200 7200 1209600 600 )
@ NS ns1
@ NS ns.elsewhere.example.
@ MX 10 mail
@ A 10.90.1.10
ns1 A 10.90.1.10
mail A 10.90.1.11
 AAAA fd00:90::11
smtp CNAME mail
loop CNAME pool
pool CNAME loop
nothing CNAME missing
long CNAME smtp
out CNAME www.elsewhere.example.
*.wild A 10.90.1.12
*.wild MX 5 mail
a.wild TXT \"here\"
x.y.deep A 10.90.1.13
escola NS ns1.escola
escola NS ns.elsewhere.example.
ns1.escola A 10.90.2.10
_http._tcp PTR My\\032Page._http._tcp
My\\032Page._http._tcp SRV 0 0 80 mail
 TXT \"path=/\"
";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn content(text: &str) -> Content {
    let origin = name("vall.example");
    Content::of(&origin, file::read(text, None, &origin).unwrap())
}

fn snapshot(content: &Content) -> Snapshot {
    let zone = Arc::new(Zone::new(content, Access::default(), View::Internal).unwrap());
    let hosted = Arc::new(Hosted::new([zone]));
    Snapshot {
        internal: hosted.clone(),
        external: hosted,
        ..Snapshot::default()
    }
}

/// Asks without wanting recursion.
fn plain(snapshot: &Snapshot, text: &str, rtype: RecordType) -> (Outcome, Message) {
    let mut bytes = query(".", rtype, Some(1232)).to_vec().unwrap();
    bytes.splice(12..13, name(text).wire().iter().copied());
    bytes[2] &= !1;
    let (outcome, out) = raw(snapshot, &bytes, Transport::Udp);
    (outcome, Message::from_vec(&out).unwrap())
}

fn lines(records: &[hickory_proto::rr::Record]) -> Vec<String> {
    let line = |r: &hickory_proto::rr::Record| {
        format!("{} {} {}", r.name, r.record_type(), crate::text::data(r))
    };
    records.iter().map(line).collect()
}

#[test]
fn a_zone_without_fault_has_none() {
    let findings = check::check(&content(VALL));
    assert_eq!(findings.faults, [""; 0]);
    assert_eq!(findings.doubts, [""; 0]);
}

#[test]
fn sets_come_with_the_addresses_they_lead_to() {
    let snapshot = snapshot(&content(VALL));
    let (outcome, answer) = plain(&snapshot, "VALL.example", RecordType::MX);
    assert_eq!(outcome, Outcome::Answer);
    assert!(answer.metadata.authoritative);
    assert_eq!(
        lines(&answer.answers),
        ["VALL.example. MX 10 mail.vall.example."]
    );
    assert_eq!(
        lines(&answer.additionals),
        [
            "mail.vall.example. A 10.90.1.11",
            "mail.vall.example. AAAA fd00:90::11"
        ]
    );
    let (_, answer) = plain(
        &snapshot,
        r"my\032page._http._tcp.vall.example",
        RecordType::SRV,
    );
    assert_eq!(answer.additionals.len(), 2);
    let (_, answer) = plain(&snapshot, "vall.example", RecordType::NS);
    assert_eq!(answer.answers.len(), 2);
    assert_eq!(
        lines(&answer.additionals),
        ["ns1.vall.example. A 10.90.1.10"]
    );
}

#[test]
fn aliases_are_followed_to_their_end() {
    let snapshot = snapshot(&content(VALL));
    let (outcome, answer) = plain(&snapshot, "long.vall.example", RecordType::A);
    assert_eq!(outcome, Outcome::Answer);
    assert_eq!(
        lines(&answer.answers),
        [
            "long.vall.example. CNAME smtp.vall.example.",
            "smtp.vall.example. CNAME mail.vall.example.",
            "mail.vall.example. A 10.90.1.11",
        ]
    );
    let (outcome, answer) = plain(&snapshot, "long.vall.example", RecordType::TXT);
    assert_eq!((outcome, answer.answers.len()), (Outcome::NoData, 2));
    assert_eq!(answer.authorities.len(), 1, "SOA for the negative cache");
    let (outcome, answer) = plain(&snapshot, "nothing.vall.example", RecordType::A);
    assert_eq!(outcome, Outcome::NxDomain, "RFC 6604 section 3");
    assert_eq!(answer.answers.len(), 1);
    let (outcome, answer) = plain(&snapshot, "loop.vall.example", RecordType::A);
    assert_eq!(outcome, Outcome::Answer);
    assert!(answer.answers.len() <= 16);
    let (_, answer) = plain(&snapshot, "long.vall.example", RecordType::CNAME);
    assert_eq!(answer.answers.len(), 1);
    let (outcome, answer) = plain(&snapshot, "out.vall.example", RecordType::A);
    assert_eq!((outcome, answer.answers.len()), (Outcome::Answer, 1));
    // Who wants recursion gets the end as well, from elsewhere.
    let bytes = query("out.vall.example.", RecordType::A, None)
        .to_vec()
        .unwrap();
    assert_eq!(raw(&snapshot, &bytes, Transport::Udp).0, Outcome::Forward);
}

#[test]
fn wildcards_stand_for_what_does_not_exist() {
    let snapshot = snapshot(&content(VALL));
    for found in [
        "q.wild.vall.example",
        "p.q.wild.vall.example",
        "*.wild.vall.example",
    ] {
        let (outcome, answer) = plain(&snapshot, found, RecordType::A);
        assert_eq!(outcome, Outcome::Answer, "{found}");
        assert_eq!(lines(&answer.answers), [format!("{found}. A 10.90.1.12")]);
    }
    let (_, answer) = plain(&snapshot, "q.wild.vall.example", RecordType::MX);
    assert_eq!(answer.additionals.len(), 2);
    // What exists is not covered, nor what is below it.
    let kind = RecordType::A;
    assert_eq!(
        plain(&snapshot, "a.wild.vall.example", kind).0,
        Outcome::NoData
    );
    assert_eq!(
        plain(&snapshot, "b.a.wild.vall.example", kind).0,
        Outcome::NxDomain
    );
    assert_eq!(
        plain(&snapshot, "wild.vall.example", kind).0,
        Outcome::NoData
    );
    assert_eq!(
        plain(&snapshot, "q.wild.vall.example", RecordType::TXT).0,
        Outcome::NoData
    );
}

#[test]
fn zones_below_are_referred_to() {
    let snapshot = snapshot(&content(VALL));
    for asked in [
        "escola.vall.example",
        "ns1.escola.vall.example",
        "x.y.escola.vall.example",
    ] {
        let (outcome, answer) = plain(&snapshot, asked, RecordType::A);
        assert_eq!(outcome, Outcome::Referral, "{asked}");
        assert!(!answer.metadata.authoritative);
        assert!(answer.answers.is_empty());
        assert_eq!(
            lines(&answer.authorities),
            [
                "escola.vall.example. NS ns1.escola.vall.example.",
                "escola.vall.example. NS ns.elsewhere.example."
            ]
        );
        assert_eq!(
            lines(&answer.additionals),
            ["ns1.escola.vall.example. A 10.90.2.10"]
        );
    }
    let (outcome, answer) = plain(&snapshot, "escola.vall.example", RecordType::DS);
    assert_eq!(outcome, Outcome::NoData, "the zone above tells of keys");
    assert!(answer.metadata.authoritative);
}

#[test]
fn names_in_between_exist() {
    let snapshot = snapshot(&content(VALL));
    assert_eq!(
        plain(&snapshot, "deep.vall.example", RecordType::A).0,
        Outcome::NoData
    );
    assert_eq!(
        plain(&snapshot, "y.deep.vall.example", RecordType::A).0,
        Outcome::NoData
    );
    assert_eq!(
        plain(&snapshot, "z.deep.vall.example", RecordType::A).0,
        Outcome::NxDomain
    );
    let (_, answer) = ask(&snapshot, "z.vall.example", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(answer.authorities[0].ttl, 600, "the SOA minimum");
}

#[test]
fn the_longest_zone_answers_and_views_are_apart() {
    let origin = name("b.vall.example");
    let text = "@ 60 SOA . . 1 1 1 1 1\n@ 60 NS .\n@ 60 A 10.0.0.1\n";
    let below = Content::of(&origin, file::read(text, None, &origin).unwrap());
    let zone = |content: &Content| {
        Arc::new(Zone::new(content, Access::default(), View::Internal).unwrap())
    };
    let snapshot = Snapshot {
        internal: Arc::new(Hosted::new([zone(&content(VALL)), zone(&below)])),
        ..Snapshot::default()
    };
    let (_, answer) = ask(&snapshot, "b.vall.example", RecordType::A);
    assert_eq!(answer.answers.len(), 1);
    // RFC 4035 section 3.1.4.1: the parent knows of these, where it is here as well.
    let start = |zone: &str| {
        let (_, answer) = ask(&snapshot, zone, RecordType::DS);
        assert!(answer.answers.is_empty() && answer.metadata.authoritative);
        answer.authorities[0].name.to_string()
    };
    assert_eq!(start("b.vall.example"), "vall.example.");
    assert_eq!(start("vall.example"), "vall.example.");
    assert!(snapshot.hosted(false).is_empty());
}

#[test]
fn faults_are_found_with_their_line() {
    let origin = name("vall.example");
    let fault = |text: &str| file::read(text, None, &origin).unwrap_err();
    let text =
        "$TTL 60\n@ SOA a b (\n 1 1 1\n 1 1 )\n; all is well ( here\nx A 10.0.0\ny A 10.0.0.1\n";
    assert_eq!(
        fault(text).to_string(),
        "line 6: '10.0.0' is no IPv4 address"
    );
    for (text, line, said) in [
        ("\n\na A 10.0.0.1\n", 3, "no $TTL"),
        (" 60 A 10.0.0.1\n", 1, "no owner"),
        ("$TTL 1\na TXT \"x\ny\"\nb TXT \"\n", 4, "no end"),
        ("a 60 A (\n", 1, "no end"),
        ("a 60 A )\n", 1, "too many"),
        ("a 60 IN\n", 1, "type is missing"),
        ("a 60 XX 1\n", 1, "no type"),
        ("a 60 OPT 1\n", 1, "no type"),
        ("a 60 CH A 1.1.1.1\n", 1, "class"),
        ("a 60 MX 10\n", 1, "number of words"),
        ("a 60 MX 70000 b\n", 1, "no number"),
        ("a 60 TYPE4711 x\n", 1, "RFC 3597"),
        ("a 60 TYPE4711 \\# 3 aabb\n", 1, "2 octets"),
        ("a 60 SSHFP x\n", 1, "SSHFP"),
        ("$INCLUDE x\n", 1, "cannot be included"),
        ("$GENERATE 1-3 a A 1\n", 1, "not known"),
        ("a..b 60 A 1.1.1.1\n", 1, "no name"),
        ("$TTL 1x\n", 1, "no time to live"),
    ] {
        let fault = fault(text);
        assert_eq!(fault.line, line, "{text}: {fault}");
        assert!(fault.text.contains(said), "{text}: {fault}");
    }
    for (text, said) in [
        ("a 60 A 10.0.0.1\n", "no SOA"),
        ("@ 60 SOA . . 1 1 1 1 1\n", "no NS"),
        (
            "a 60 CNAME b\na 60 A 10.0.0.1\n",
            "a CNAME record and others",
        ),
        ("a 60 CNAME b\na 60 CNAME c\n", "more than one CNAME"),
        ("a 60 SOA . . 1 1 1 1 1\n", "within the zone"),
    ] {
        let records = file::read(text, None, &origin).unwrap();
        let findings = check::check(&Content::of(&origin, records));
        assert!(
            findings.faults.iter().any(|f| f.contains(said)),
            "{text}: {findings:?}"
        );
    }
    let records = file::read("a 60 MX 1 b\nc 60 MX 1 d\nd 60 CNAME a\n", None, &origin).unwrap();
    assert_eq!(check::check(&Content::of(&origin, records)).doubts.len(), 2);
}

#[test]
fn all_that_a_master_file_may_have_is_read() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("more"), "deep A 10.0.0.9\n").unwrap();
    let text = "@ 1h30m IN SOA ns dns 1 1w 1d 2h 60
a IN 5 A 10.0.0.1
$ORIGIN sub
b A 10.0.0.2
$INCLUDE more inc
c TXT a\\;b \"two words\" \\034 ; three
d TYPE4711 \\# 3 aa BBcc
e SSHFP 1 1 ( 0123456789012345678901234567890123456789 )
f CAA 0 issue \"ca.example\"
g TXT \"\"
h\\.i A 10.0.0.3";
    let origin = name("vall.example");
    let path = directory.path().join("zone");
    let records = file::read(text, Some(&path), &origin).unwrap();
    let of = |owner: &str| records.iter().find(|r| r.owner == name(owner)).unwrap();
    assert_eq!(of("vall.example").ttl, 5400);
    let soa = Soa::read(&of("vall.example").data).unwrap();
    assert_eq!(
        (soa.refresh, soa.retry, soa.expire),
        (604_800, 86_400, 7200)
    );
    assert_eq!(soa.server, name("ns.vall.example"));
    assert_eq!(
        (of("a.vall.example").ttl, of("b.sub.vall.example").ttl),
        (5, 5)
    );
    assert_eq!(*of("deep.inc.sub.vall.example").data, [10, 0, 0, 9]);
    assert_eq!(
        *of("c.sub.vall.example").data,
        *b"\x03a;b\x09two words\x01\""
    );
    assert_eq!(*of("d.sub.vall.example").data, [0xaa, 0xbb, 0xcc]);
    assert_eq!(of("e.sub.vall.example").data.len(), 22);
    assert_eq!(*of("f.sub.vall.example").data, *b"\x00\x05issueca.example");
    assert_eq!(*of("g.sub.vall.example").data, [0]);
    assert_eq!(*of(r"h\.i.sub.vall.example").data, [10, 0, 0, 3]);
    // Without $TTL the first record takes the minimum of SOA, as those of dnsservices do.
    let records = file::read("@ SOA a b 1 2 3 4 77\n@ NS a\n", None, &origin).unwrap();
    assert_eq!(records[1].ttl, 77);
}

#[test]
fn serials_compare_in_a_circle() {
    assert!(newer(1, 0) && newer(0, u32::MAX) && newer(0x8000_0000, 1));
    assert!(!newer(0, 1) && !newer(5, 5) && !newer(0x8000_0001, 1));
    let soa = Soa {
        server: name("a.b"),
        mailbox: name("c"),
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum: 5,
    };
    assert_eq!(Soa::read(&soa.data()), Some(soa.clone()));
    assert_eq!(Soa::read(&soa.data()[1..]), None);
}

/// All names with their sets; those without are left out.
fn all(content: &Content) -> BTreeMap<Vec<u8>, Sets> {
    let nodes = content.shards().iter().flat_map(|t| t.nodes());
    let nodes = nodes.filter(|node| !node.is_empty());
    nodes
        .map(|node| (node.name.to_ascii_lowercase(), sets(&node)))
        .collect()
}

fn address(n: u8) -> Sets {
    let set = Rrset {
        ttl: 60,
        data: vec![[10, 0, 0, n].into()],
    };
    Sets::from([(rtype::A, set)])
}

proptest! {
    /// Whatever comes and goes: a zone that was changed is the zone made at once.
    #[test]
    fn changes_lead_to_the_zone_made_at_once(
        steps in prop::collection::vec(
            (prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "c"]), 0..4), prop::option::of(0u8..4)),
            0..60,
        )
    ) {
        let origin = name("vall.example");
        let mut content = Content::new(origin.clone(), 0);
        let mut model: BTreeMap<Vec<u8>, u8> = BTreeMap::new();
        for (labels, value) in steps {
            let full = Name::from_labels(labels.iter().map(|l| l.as_bytes())).unwrap();
            let front = full.wire()[..full.wire().len() - 1].to_vec();
            match value {
                Some(n) => { model.insert(front.clone(), n); }
                None => { model.remove(&front); }
            }
            let new = value.map(address).unwrap_or_default();
            content.apply(BTreeMap::from([(front.clone().into(), (front.into(), new))]));
        }
        let records = model.iter().map(|(front, n)| Record {
            owner: Name::from_wire(&[front, origin.wire()].concat()),
            rtype: rtype::A,
            ttl: 60,
            data: [10, 0, 0, *n].into(),
        });
        let once = Content::of(&origin, records);
        prop_assert_eq!(all(&content), all(&once));
        prop_assert_eq!(content.names(), once.names());
        prop_assert_eq!(content.records(), once.records());
        prop_assert_eq!(content.wild(), once.wild());
    }

}

#[test]
fn a_large_zone_grows_over_many_tables() {
    let origin = name("vall.example");
    let mut content = Content::new(origin.clone(), 0);
    for n in 0..3000u32 {
        let label = format!("h{n}");
        let front: Box<[u8]> = [&[label.len() as u8][..], label.as_bytes()].concat().into();
        content.apply(BTreeMap::from([(front.clone(), (front, address(1)))]));
    }
    assert_eq!((content.names(), content.records()), (3001, 3000));
    assert!(content.shards().len() > 16);
    assert_eq!(content.get(b"\x05h2999"), address(1));
}

#[test]
fn any_master_file_is_read_or_refused() {
    guifi_testing::fuzz::bytes("master file", &[VALL], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let origin = name("vall.example");
        let Ok(records) = file::read(&text, None, &origin) else {
            return;
        };
        let content = Content::of(&origin, records);
        if check::check(&content).faults.is_empty() {
            let kept = blob::read(&blob::write(&blob::records(&content))).unwrap();
            assert_eq!(all(&Content::of(&origin, kept)), all(&content));
            let (_, answer) = plain(&snapshot(&content), "smtp.vall.example", RecordType::A);
            assert_eq!(answer.queries.len(), 1);
        }
    });
}
