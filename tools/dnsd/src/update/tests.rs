//! What updates do: the cases of RFC 2136, a naive model of a zone, and mutants.
#![allow(clippy::unwrap_used)]

mod model;

use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name as WireName, RData, Record as WireRecord, RecordType};

use super::apply::apply;
use crate::hosted::blob;
use crate::hosted::content::Content;
use crate::hosted::draft::Draft;
use crate::hosted::file;
use crate::hosted::rdata::text;
use crate::keys::Entry;
use crate::name::Name;
use crate::tsig::{Algorithm, Key};

const ZONE: &str = "vall.example";
const START: &str = "$TTL 60\n@ SOA ns dns 5 60 60 60 60\n@ NS ns\nns A 10.0.0.1\na A 10.0.0.2\na TXT x\nalias CNAME ns\na.b.c A 10.0.0.3\n* TXT wild\n";

fn content() -> Content {
    let origin = Name::parse(ZONE).unwrap();
    Content::of(&origin, file::read(START, None, &origin).unwrap())
}

fn rights(grant: &str) -> Entry {
    let name = Name::parse("k").unwrap();
    Entry {
        key: Arc::new(Key::new(&name, Algorithm::Sha256, &[0; 32])),
        update: vec![grant.parse().unwrap()],
        transfer: Vec::new(),
    }
}

/// A record from words: owner (relative, unless it ends with a dot), time to live, class, type,
/// data.
fn record(line: &str) -> WireRecord {
    let words: Vec<&str> = line.split_whitespace().collect();
    let name = |text: &str| {
        let full = match text {
            "@" => format!("{ZONE}."),
            _ if text.ends_with('.') => text.to_owned(),
            _ => format!("{text}.{ZONE}."),
        };
        WireName::from_ascii(full).unwrap()
    };
    let kind: RecordType = words[3].parse().unwrap();
    let data = match (kind, words.get(4)) {
        (_, None) => RData::Update0(kind),
        (RecordType::A, Some(text)) => RData::A(A(text.parse::<Ipv4Addr>().unwrap())),
        (RecordType::TXT, Some(text)) => RData::TXT(TXT::new(vec![(*text).to_owned()])),
        (RecordType::NS, Some(text)) => RData::NS(NS(name(text))),
        (RecordType::CNAME, Some(text)) => RData::CNAME(CNAME(name(text))),
        (RecordType::SOA, Some(serial)) => {
            let serial = serial.parse().unwrap();
            RData::SOA(SOA::new(name("ns"), name("dns"), serial, 60, 60, 60, 60))
        }
        other => panic!("{other:?}"),
    };
    let mut record = WireRecord::from_rdata(name(words[0]), words[1].parse().unwrap(), data);
    record.dns_class = match words[2] {
        "IN" => DNSClass::IN,
        "ANY" => DNSClass::ANY,
        "NONE" => DNSClass::NONE,
        _ => DNSClass::CH,
    };
    record
}

/// An update of these prerequisites and changes, as it comes out of a message.
fn update(prerequisites: &[&str], changes: &[&str]) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Update);
    let zone = WireName::from_ascii(format!("{ZONE}.")).unwrap();
    message.add_query(Query::query(zone, RecordType::SOA));
    message.answers = prerequisites.iter().map(|line| record(line)).collect();
    message.authorities = changes.iter().map(|line| record(line)).collect();
    Message::from_vec(&message.to_vec().unwrap()).unwrap()
}

/// Makes an update, and raises the serial as the owner of the zones does; gives the code.
fn make(content: &mut Content, message: &Message, rights: &Entry) -> ResponseCode {
    let mut draft = Draft::new(content, None);
    if let Err(code) = apply(message, rights, &mut draft) {
        return code;
    }
    draft.step();
    let changes = draft.finish();
    content.apply(changes);
    ResponseCode::NoError
}

/// The records of a zone as text, sorted.
fn lines(content: &Content) -> Vec<String> {
    let records = blob::records(content);
    let mut lines: Vec<String> = records
        .iter()
        .map(|record| {
            let hex = data_encoding::HEXLOWER.encode(&record.data);
            format!(
                "{} {} {} {hex}",
                record.owner,
                record.ttl,
                text(record.rtype)
            )
        })
        .collect();
    lines.sort();
    lines
}

/// What changes of the zone at the start: `-` what goes, `+` what comes; the serial is left out.
fn difference(prerequisites: &[&str], changes: &[&str]) -> Result<Vec<String>, ResponseCode> {
    let (mut content, before) = (content(), lines(&content()));
    match make(&mut content, &update(prerequisites, changes), &rights(ZONE)) {
        ResponseCode::NoError => {}
        code => return Err(code),
    }
    let after = lines(&content);
    let gone = before.iter().filter(|line| !after.contains(line));
    let came = after.iter().filter(|line| !before.contains(line));
    let short = |sign: &str, line: &String| {
        let line = line.replace(&format!(".{ZONE}."), "");
        format!("{sign}{}", line.replace(&format!("{ZONE}."), "@"))
    };
    let all = gone
        .map(|l| short("-", l))
        .chain(came.map(|l| short("+", l)));
    Ok(all.filter(|line| !line.contains(" SOA ")).collect())
}

#[test]
fn each_prerequisite_holds_or_has_its_code() {
    use ResponseCode::{FormErr, NXDomain, NXRRSet, NotZone, YXDomain, YXRRSet};
    for (line, code) in [
        // Section 2.4.1 to 2.4.5.
        ("a 0 ANY A", None),
        ("A 0 ANY a", None),
        ("a 0 ANY NS", Some(NXRRSet)),
        ("none 0 ANY A", Some(NXRRSet)),
        ("a 0 IN A 10.0.0.2", None),
        ("a 0 IN A 10.0.0.9", Some(NXRRSet)),
        ("alias 0 IN CNAME NS", None),
        ("a 0 NONE NS", None),
        ("a 0 NONE A", Some(YXRRSet)),
        ("a 0 ANY ANY", None),
        ("none 0 ANY ANY", Some(NXDomain)),
        ("none 0 NONE ANY", None),
        ("a 0 NONE ANY", Some(YXDomain)),
        // A name that others stand below is not in use; a wildcard is a name like others.
        ("b.c 0 ANY ANY", Some(NXDomain)),
        ("b.c 0 NONE ANY", None),
        ("* 0 ANY TXT", None),
        ("x 0 ANY TXT", Some(NXRRSet)),
        // Section 3.2.5.
        ("a 5 ANY A", Some(FormErr)),
        ("a 0 ANY A 10.0.0.2", Some(FormErr)),
        ("a 0 NONE A 10.0.0.2", Some(FormErr)),
        ("a 0 IN A", Some(FormErr)),
        ("a 0 CH A 10.0.0.2", Some(FormErr)),
        ("a 0 ANY AXFR", Some(FormErr)),
        ("a.example. 0 ANY A", Some(NotZone)),
        ("example. 0 NONE ANY", Some(NotZone)),
    ] {
        let line = line.replace(" a", " A");
        assert_eq!(difference(&[&line], &[]).err(), code, "{line}");
    }
    let two = ["a 0 IN A 10.0.0.2", "a 0 IN A 10.0.0.3"];
    assert_eq!(difference(&two, &[]).err(), Some(NXRRSet), "all of a set");
}

#[test]
fn each_change_is_made_or_passed_over() {
    let none: [&str; 0] = [];
    for (changes, expected) in [
        // Section 3.4.2.2: add.
        (&["new 9 IN A 10.1.1.1"][..], &["+new 9 A 0a010101"][..]),
        (&["New.Deep 9 IN A 10.1.1.1"], &["+New.Deep 9 A 0a010101"]),
        (&["a 60 IN A 10.0.0.2"], &none),
        // The whole set has one time to live.
        (
            &["a 9 IN A 10.0.0.4"],
            &["-a 60 A 0a000002", "+a 9 A 0a000002", "+a 9 A 0a000004"],
        ),
        (&["a 60 IN CNAME ns"], &none),
        (&["alias 60 IN A 10.1.1.1"], &none),
        (
            &[
                "new 9 IN CNAME a.b.",
                "new 9 IN CNAME c.d.",
                "new 9 IN A 10.0.0.1",
            ],
            &["+new 9 CNAME 0163016400"],
        ),
        (&["a 60 IN SOA 9", "@ 60 IN SOA 5", "@ 60 IN SOA 4"], &none),
        // 2.5.2: delete a set.
        (&["a 0 ANY A"], &["-a 60 A 0a000002"]),
        (
            &["a 0 ANY NS", "@ 0 ANY NS", "@ 0 ANY SOA", "x 0 ANY A"],
            &none,
        ),
        // 2.5.3: delete a name; of the zone itself SOA and NS stay.
        (&["a 0 ANY ANY"], &["-a 60 A 0a000002", "-a 60 TXT 0178"]),
        (&["@ 0 ANY ANY", "b.c 0 ANY ANY", "x 0 ANY ANY"], &none),
        (&["@ 9 IN A 10.1.1.1", "@ 0 ANY ANY"], &none),
        // 2.5.4: delete a record.
        (&["A 0 NONE A 10.0.0.2"], &["-a 60 A 0a000002"]),
        (
            &["alias 0 NONE CNAME NS"],
            &["-alias 60 CNAME 026e730476616c6c076578616d706c6500"],
        ),
        (
            &["a 0 NONE A 10.0.0.9", "@ 0 NONE SOA 5", "@ 0 NONE NS ns"],
            &none,
        ),
        (
            &["@ 60 IN NS other", "@ 0 NONE NS ns", "@ 0 NONE NS other"],
            &[
                "-@ 60 NS 026e730476616c6c076578616d706c6500",
                "+@ 60 NS 056f746865720476616c6c076578616d706c6500",
            ],
        ),
        // In their order.
        (
            &[
                "a 0 ANY ANY",
                "a 60 IN CNAME ns",
                "alias 0 ANY CNAME",
                "alias 60 IN TXT x",
            ],
            &[
                "-a 60 A 0a000002",
                "-a 60 TXT 0178",
                "-alias 60 CNAME 026e730476616c6c076578616d706c6500",
                "+a 60 CNAME 026e730476616c6c076578616d706c6500",
                "+alias 60 TXT 0178",
            ],
        ),
        (&["* 0 ANY TXT"], &["-* 60 TXT 0477696c64"]),
    ] {
        assert_eq!(difference(&[], changes).unwrap(), expected, "{changes:?}");
    }
}

#[test]
fn one_wrong_change_lets_none_be_made() {
    use ResponseCode::{FormErr, NotZone};
    for (wrong, code) in [
        ("a 60 IN A", FormErr),
        ("a 60 ANY A", FormErr),
        ("a 0 ANY A 10.0.0.2", FormErr),
        ("a 60 NONE A 10.0.0.2", FormErr),
        ("a 0 NONE A", FormErr),
        ("a 0 NONE ANY", FormErr),
        ("a 60 IN ANY", FormErr),
        ("a 0 ANY AXFR", FormErr),
        ("a 0 CH A 10.0.0.2", FormErr),
        ("a.example. 60 IN A 10.0.0.2", NotZone),
    ] {
        let changes = ["new 60 IN A 10.1.1.1", wrong];
        assert_eq!(difference(&[], &changes), Err(code), "{wrong}");
    }
    let failed = difference(&["none 0 ANY ANY"], &["a 60 IN A"]);
    assert_eq!(
        failed,
        Err(ResponseCode::NXDomain),
        "prerequisites come first"
    );
}

#[test]
fn a_key_changes_what_it_may_and_nothing_else() {
    let attempt = |grant: &str, change: &str| {
        let mut content = content();
        make(&mut content, &update(&[], &[change]), &rights(grant))
    };
    for (grant, change, good) in [
        ("vall.example:a", "a 60 IN A 10.0.0.9", true),
        ("vall.example:a", "A 0 ANY ANY", true),
        ("vall.example:a", "b 60 IN A 10.0.0.9", false),
        ("vall.example:a:A", "a 60 IN TXT x", false),
        ("vall.example:a:A", "a 0 ANY TXT", false),
        ("vall.example:a:A", "a 0 NONE TXT x", false),
        // All of the name would go, also what the key may not change.
        ("vall.example:a:A", "a 0 ANY ANY", false),
        ("vall.example:a:A,TXT", "a 0 ANY ANY", true),
        ("vall.example:*.c", "a.b.c 0 ANY A", true),
        ("other.example", "a 60 IN A 10.0.0.9", false),
    ] {
        let expected = if good {
            ResponseCode::NoError
        } else {
            ResponseCode::Refused
        };
        assert_eq!(attempt(grant, change), expected, "{grant} {change}");
    }
}

#[test]
fn the_serial_rises_once_for_what_changes_and_never_goes_back() {
    let serial = |changes: &[&str]| {
        let mut content = content();
        make(&mut content, &update(&[], changes), &rights(ZONE));
        crate::hosted::holder::soa(&content).unwrap().1.serial
    };
    assert_eq!(serial(&[]), 5);
    assert_eq!(serial(&["a 60 IN A 10.0.0.2", "x 0 ANY ANY"]), 5);
    assert_eq!(serial(&["x 60 IN A 10.0.0.2", "y 60 IN A 10.0.0.2"]), 6);
    assert_eq!(serial(&["@ 60 IN SOA 77", "y 60 IN A 10.0.0.2"]), 77);
    assert_eq!(serial(&["@ 60 IN SOA 4294967295"]), 5, "behind (RFC 1982)");
    let mut content = content();
    for (change, expected) in [
        ("@ 60 IN SOA 2147483652", 2_147_483_652),
        ("@ 60 IN SOA 4294967295", u32::MAX),
        ("a 60 IN A 10.0.0.7", 1),
    ] {
        make(&mut content, &update(&[], &[change]), &rights(ZONE));
        let (_, soa) = crate::hosted::holder::soa(&content).unwrap();
        assert_eq!(soa.serial, expected, "{change}");
    }
}

#[test]
fn a_set_that_no_message_could_hold_is_refused() {
    let mut content = content();
    let mut last = ResponseCode::NoError;
    for n in 0..400 {
        let text = format!("big 60 IN TXT {n}{}", "x".repeat(200));
        last = make(&mut content, &update(&[], &[&text]), &rights(ZONE));
        if last != ResponseCode::NoError {
            break;
        }
    }
    assert_eq!(last, ResponseCode::Refused);
    assert!(crate::hosted::check::check(&content).faults.is_empty());
}

#[test]
fn mutants_leave_a_zone_that_can_be_answered_from() {
    let samples = [
        update(&["a 0 ANY A"], &["new 60 IN CNAME x", "a 0 ANY ANY"]),
        update(&["a 0 IN A 10.0.0.2"], &["@ 60 IN SOA 9", "@ 0 NONE NS ns"]),
    ];
    let samples = samples.map(|message| message.to_vec().unwrap());
    let (mut content, rights) = (content(), rights(ZONE));
    guifi_testing::fuzz::bytes("update", &samples, |bytes| {
        let Ok(message) = Message::from_vec(bytes) else {
            return;
        };
        let before = crate::hosted::holder::soa(&content).unwrap().1.serial;
        make(&mut content, &message, &rights);
        let after = crate::hosted::holder::soa(&content).unwrap().1.serial;
        assert!(before == after || crate::hosted::rrset::newer(after, before));
        let faults = crate::hosted::check::check(&content).faults;
        assert!(faults.is_empty(), "{faults:?}");
    });
}
