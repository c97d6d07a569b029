//! Copies of other servers' zones in the real daemon, with a stand-in for the primary.

use crate::common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use common::{
    AXFR, Bus, Daemon, IXFR, SOA, SOON, Script, StandInPrimary, Step, free_port, soa, until,
};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::RecordType::{A, TXT};
use hickory_proto::rr::{Name, RecordType};
use serde_json::Value;

const ZONE: &str = "vall.example";

fn config(primaries: &[SocketAddr], more: &str) -> String {
    let listed: Vec<_> = primaries.iter().map(|p| format!("'{p}'")).collect();
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

fn records(text: &str) -> Step {
    Step::Records(text.to_owned())
}

fn hosted(daemon: &Daemon) -> Value {
    daemon.describe()["hosted"][0].clone()
}

fn address(daemon: &Daemon) -> Vec<String> {
    daemon.data(&format!("ns.{ZONE}."), A)
}

fn refresh(daemon: &Daemon) {
    let output = daemon.dns(&["refresh", ZONE]);
    assert!(output.status.success(), "{output:?}");
}

/// Waits until the host has the address of this serial.
fn wait_for(daemon: &Daemon, serial: u32) {
    until("the copy", || {
        (address(daemon) == [format!("10.0.0.{serial}")]).then_some(())
    });
}

/// Waits until an attempt was in vain for this reason.
fn in_vain(daemon: &Daemon, reason: &str) {
    until(reason, || {
        let trouble = hosted(daemon)["secondary"]["trouble"].clone();
        trouble.as_str()?.contains(reason).then_some(())
    });
}

/// A daemon with serial 1 of the zone, and its primary.
fn followed(bus: &Bus, more: &str) -> (StandInPrimary, Daemon) {
    let primary = StandInPrimary::start();
    primary.act(whole(1));
    let daemon = Daemon::start(bus, &config(&[primary.address], more));
    wait_for(&daemon, 1);
    (primary, daemon)
}

#[test]
fn with_stand_in_primary_a_zone_is_fetched_and_kept() {
    let bus = Bus::new();
    let (primary, mut daemon) = followed(&bus, "");
    let zone = hosted(&daemon);
    assert_eq!(zone["serial"], 1);
    assert_eq!(zone["fault"], Value::Null);
    assert_eq!(zone["secondary"]["primary"], primary.address.to_string());
    let listed = String::from_utf8(daemon.dns(&["hosted"]).stdout).unwrap();
    let expires = zone["secondary"]["expires"].as_str().unwrap();
    assert!(listed.contains(expires), "{listed}");
    assert_eq!(daemon.stop("KILL"), None);
    primary.act(Script::default());
    daemon.run();
    assert_eq!(address(&daemon), ["10.0.0.1"], "at once");
    assert_eq!((primary.count(AXFR), primary.count(IXFR)), (1, 0));
    let output = daemon.dns(&["refresh", "other.example"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn with_stand_in_primary_whatever_is_wrong_with_a_transfer_changes_nothing() {
    let bus = Bus::new();
    let more = "[secondary]\nrecords = 1000\nbytes = 1000000\nidle_seconds = 1\n";
    let (primary, daemon) = followed(&bus, more);
    let (good, start) = (zone(2), soa(2));
    let at = u8::try_from(12 + ZONE.len() + 2 + 4).unwrap();
    let tail = [0, 16, 0, 1, 0, 0, 0, 60, 0, 1, 0];
    let named = |name: &[u8]| Step::Behind(1, [name, &tail].concat());
    // No two of one reason follow each other: they are told apart by it.
    let cases: [(&str, Vec<Step>); 17] = [
        ("closed before the end", vec![]),
        ("another identifier", vec![Step::WrongId(good.clone())]),
        ("closed before the end", vec![records(&start)]),
        (
            "last SOA record differ",
            vec![records(&format!("{start}@ 60 NS ns\n{}", soa(3)))],
        ),
        (
            "closed before the end",
            vec![records(&format!("{start}@ 60 NS ns\n"))],
        ),
        (
            "behind its end",
            vec![records(&format!("{good}ns 60 A 10.0.0.9\n"))],
        ),
        (
            "closed before the end",
            vec![Step::Raw(vec![0, 200, 1, 2, 3])],
        ),
        ("not begin with its SOA", vec![records("@ 60 NS ns\n")]),
        ("no answer", vec![Step::Hang]),
        ("its serial 0 is older than 1", vec![records(&zone(0))]),
        ("no answer", vec![records(&start), Step::Hang]),
        ("cannot be read", vec![named(&[0xc0, at])]),
        ("Query Refused", vec![Step::Code(5)]),
        (
            "cannot be read",
            vec![named(&[&[64; 66][..], &[0]].concat())],
        ),
        (
            "over 1000 records",
            vec![records(&start), Step::ForEver("a 60 A 10.0.0.1\n".into())],
        ),
        (
            "over 1000000 octets",
            vec![records(&start), Step::ForEver(String::new())],
        ),
        (
            "has a CNAME record and others",
            vec![records(&format!(
                "{start}@ 60 NS ns\nns 60 CNAME a\nns 60 A 10.0.0.2\n{start}"
            ))],
        ),
    ];
    for (reason, steps) in cases {
        primary.act(Script {
            serial: Some(2),
            whole: steps,
            ..Script::default()
        });
        refresh(&daemon);
        in_vain(&daemon, reason);
        assert_eq!(address(&daemon), ["10.0.0.1"], "{reason}");
        assert_eq!(hosted(&daemon)["serial"], 1, "{reason}");
    }
    primary.act(whole(0));
    refresh(&daemon);
    in_vain(&daemon, "its serial 0 is older than 1");
    assert_eq!(address(&daemon), ["10.0.0.1"]);
    // Unless told so.
    assert!(daemon.dns(&["refresh", ZONE, "--whole"]).status.success());
    wait_for(&daemon, 0);
}

#[test]
fn with_stand_in_primary_changes_that_do_not_fit_are_thrown_away_for_all_of_it() {
    let bus = Bus::new();
    let (primary, daemon) = followed(&bus, "[secondary]\nidle_seconds = 1\n");
    let change = |from: u32, to: u32| {
        let (old, new) = (soa(from), soa(to));
        format!("{new}{old}ns 60 A 10.0.0.{from}\n{new}ns 60 A 10.0.0.{to}\n{new}")
    };
    let act = |serial, changes: Vec<Step>, whole: Vec<Step>| {
        primary.act(Script {
            serial: Some(serial),
            changes,
            whole,
            ..Script::default()
        });
        refresh(&daemon);
        wait_for(&daemon, serial);
        assert_eq!(hosted(&daemon)["serial"], serial);
    };
    act(2, vec![records(&change(1, 2))], vec![]);
    assert_eq!(primary.count(AXFR), 1, "at the beginning");
    let bad = [
        vec![records(&change(2, 3).replace("10.0.0.2", "10.0.0.77"))],
        vec![records(&change(8, 4).replace("A 10.0.0.8", "A 10.0.0.3"))],
        vec![records(&soa(5)), records(&soa(4))],
        vec![Step::Code(4)],
        vec![records(&soa(7)), Step::Hang],
    ];
    for (serial, steps) in (3..).zip(bad) {
        let before = primary.count(AXFR);
        act(serial, steps, vec![records(&zone(serial))]);
        assert_eq!(primary.count(AXFR), before + 1);
    }
    act(8, vec![records(&zone(8))], vec![]);
    act(9, vec![records(&change(8, 9))], vec![]);
}

#[test]
fn with_stand_in_primary_one_that_sends_for_ever_takes_little_memory() {
    let bus = Bus::new();
    let (primary, daemon) = followed(&bus, "");
    let before = daemon.peak();
    let text = format!(
        "a 60 TXT {}\n",
        format!("\"{}\" ", "x".repeat(250)).repeat(60)
    );
    primary.act(Script {
        serial: Some(2),
        changes: vec![Step::Code(4)],
        whole: vec![records(&soa(2)), Step::ForEver(text)],
        ..Script::default()
    });
    refresh(&daemon);
    in_vain(&daemon, "over 67108864 octets");
    let taken = daemon.peak() - before;
    assert!(taken < 160 << 20, "{taken}");
    assert_eq!(address(&daemon), ["10.0.0.1"]);
}

#[test]
fn with_stand_in_primary_a_kill_in_the_midst_of_a_transfer_changes_nothing() {
    let bus = Bus::new();
    let (primary, mut daemon) = followed(&bus, "");
    primary.act(Script {
        serial: Some(2),
        changes: vec![records(&soa(2)), records("@ 60 NS ns\n"), Step::Hang],
        ..Script::default()
    });
    refresh(&daemon);
    until("the transfer", || (primary.count(IXFR) == 1).then_some(()));
    assert_eq!(daemon.stop("KILL"), None);
    daemon.run();
    assert_eq!(address(&daemon), ["10.0.0.1"]);
    primary.act(whole(2));
    refresh(&daemon);
    wait_for(&daemon, 2);
}

#[test]
fn with_stand_in_primary_an_old_copy_dies_and_lives_again() {
    let bus = Bus::new();
    let (primary, mut daemon) = followed(&bus, "");
    let path = daemon.directory.path().join("var/lib/guifi/dnsd/zones.db");
    let start_at = |daemon: &mut Daemon, seconds: u32| {
        daemon.stop("TERM");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute("UPDATE copy SET age = ?", [seconds]).unwrap();
        drop(db);
        daemon.run();
    };
    let code = |daemon: &Daemon| {
        let answer = daemon.ask(&format!("ns.{ZONE}."), A).unwrap();
        answer.metadata.response_code
    };
    primary.act(Script::default());
    // Just before its time, and after the time of refresh and retry.
    start_at(&mut daemon, 604_000);
    assert_eq!(code(&daemon), ResponseCode::NoError);
    in_vain(&daemon, "closed before the end");
    let zone = hosted(&daemon);
    assert!(
        zone["fault"]
            .as_str()
            .unwrap()
            .starts_with("not confirmed since"),
        "{zone}"
    );
    assert_eq!(zone["secondary"]["expired"], false);
    start_at(&mut daemon, 604_800);
    assert_eq!(code(&daemon), ResponseCode::ServFail);
    let zone = hosted(&daemon);
    assert!(
        zone["fault"].as_str().unwrap().starts_with("too old"),
        "{zone}"
    );
    assert_eq!(zone["secondary"]["expired"], true);
    // It has the same still: nothing is fetched.
    primary.act(whole(1));
    let before = primary.count(AXFR);
    refresh(&daemon);
    wait_for(&daemon, 1);
    assert_eq!(primary.count(AXFR), before);
    assert_eq!(hosted(&daemon)["fault"], Value::Null);
}

#[test]
fn with_stand_in_primary_only_the_answer_to_the_question_is_heard() {
    let bus = Bus::new();
    let (primary, daemon) = followed(&bus, "");
    let forged = |id: u16, name: &str| {
        let name = Name::from_ascii(name).unwrap();
        let mut answer = Message::new(id, MessageType::Response, OpCode::Query);
        answer.add_query(Query::query(name, RecordType::SOA));
        answer.metadata.response_code = ResponseCode::Refused;
        answer.to_vec().unwrap()
    };
    primary.act(Script {
        forged: vec![
            vec![0; 3],
            forged(4711, ZONE),
            forged(4711, "elsewhere.example"),
        ],
        ..whole(2)
    });
    refresh(&daemon);
    // An AXFR-style answer to the question for changes is not scripted: all of it is asked for.
    wait_for(&daemon, 2);
    assert!(!daemon.log().contains("Refused"), "{}", daemon.log());
}

#[test]
fn with_stand_in_primary_the_next_one_is_asked_if_one_is_away() {
    let bus = Bus::new();
    let (one, two) = (StandInPrimary::start(), StandInPrimary::start());
    one.act(Script {
        serial: Some(1),
        whole: vec![Step::Code(5)],
        ..Script::default()
    });
    two.act(whole(1));
    let away = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let daemon = Daemon::start(&bus, &config(&[away, one.address, two.address], ""));
    wait_for(&daemon, 1);
    assert_eq!((one.count(AXFR), two.count(AXFR)), (1, 1));
    // It is asked first from now on.
    two.act(whole(2));
    refresh(&daemon);
    wait_for(&daemon, 2);
    assert_eq!(one.count(SOA), 1, "at the beginning");
    two.act(Script::default());
    one.act(whole(3));
    refresh(&daemon);
    wait_for(&daemon, 3);
}

#[test]
fn with_stand_in_primary_few_transfers_are_under_way_at_once() {
    let bus = Bus::new();
    let primary = StandInPrimary::start();
    primary.act(Script {
        serial: Some(1),
        whole: vec![Step::Hang],
        ..Script::default()
    });
    let mut text = String::from("listen = ['127.0.0.1']\n[secondary]\nidle_seconds = 1\n");
    for n in 0..12 {
        text += &format!(
            "[zones.'z{n}.example']\nprimaries = ['{}']\n",
            primary.address
        );
    }
    let _daemon = Daemon::start(&bus, &text);
    until("all were asked for", || {
        (primary.count(AXFR) >= 12).then_some(())
    });
    // Half of them, since a close is seen a little later.
    let most = primary.most_open();
    assert!((2..=8).contains(&most), "{most}");
}

/// Word of a change of a zone.
fn notice(zone: &str) -> Vec<u8> {
    let mut notice = Message::new(4711, MessageType::Query, OpCode::Notify);
    let name = Name::from_ascii(zone).unwrap();
    notice.add_query(Query::query(name, RecordType::SOA));
    notice.to_vec().unwrap()
}

fn tell(daemon: &Daemon, from: &str, zone: &str) -> ResponseCode {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.send_to(&notice(zone), daemon.address()).unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(
        (answer.metadata.id, answer.metadata.op_code),
        (4711, OpCode::Notify)
    );
    answer.metadata.response_code
}

#[test]
fn with_stand_in_primary_word_of_a_change_is_heard_from_it_alone() {
    let bus = Bus::new();
    let (primary, daemon) = followed(&bus, "");
    primary.act(whole(2));
    let before = primary.count(SOA);
    for _ in 0..3 {
        assert_eq!(tell(&daemon, "127.0.0.2", ZONE), ResponseCode::Refused);
    }
    assert_eq!(
        tell(&daemon, "127.0.0.1", "elsewhere.example"),
        ResponseCode::NotAuth
    );
    assert_eq!(
        tell(&daemon, "127.0.0.1", &format!("a.{ZONE}")),
        ResponseCode::NotAuth
    );
    assert_eq!(
        (address(&daemon), primary.count(SOA)),
        (vec!["10.0.0.1".to_owned()], before)
    );
    assert_eq!(daemon.log().matches("is no primary of it").count(), 1);
    assert_eq!(tell(&daemon, "127.0.0.1", ZONE), ResponseCode::NoError);
    wait_for(&daemon, 2);
    // By TCP as well.
    primary.act(whole(3));
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let notice = notice(ZONE);
    let length = u16::try_from(notice.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &notice].concat()).unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..6], [0xa0, 0]);
    wait_for(&daemon, 3);
    // A flood is one question, and one more.
    let before = primary.count(SOA);
    for _ in 0..200 {
        assert_eq!(tell(&daemon, "127.0.0.1", ZONE), ResponseCode::NoError);
    }
    primary.act(whole(4));
    assert_eq!(tell(&daemon, "127.0.0.1", ZONE), ResponseCode::NoError);
    wait_for(&daemon, 4);
    assert!(
        primary.count(SOA) - before < 20,
        "{}",
        primary.count(SOA) - before
    );
}

#[test]
fn one_of_our_own_is_followed_with_a_key_and_so_is_the_copy() {
    const FILE: &str = "/etc/guifi/zones/vall";
    let bus = [Bus::new(), Bus::new(), Bus::new()];
    let file = |serial: u32| {
        let hosts: Vec<_> = (0..2000)
            .map(|n| format!("h{n} 60 A 10.1.{}.{}\n", n / 250, n % 250))
            .collect();
        let text = r#"*.w 60 MX 5 ns
My\032Page._http._tcp 60 SRV 0 0 80 ns
My\032Page._http._tcp 60 TXT "a=b c" "d"
"#;
        format!(
            "{}@ 60 NS ns\nns 60 A 10.0.0.{serial}\n{text}{}",
            soa(serial),
            hosts.concat()
        )
    };
    let idle = "listen = ['127.0.0.1']\n";
    let [primary, copy, second] =
        [0, 1, 2].map(|n| Daemon::start_with(&bus[n], idle, &[(FILE, &file(1))]));
    let made = primary.dns(&["--json", "key", "add", "transfers"]);
    let key: Value = serde_json::from_slice(&made.stdout).unwrap();
    copy.write("/secret", key["secret"].as_str().unwrap());
    let secret = copy.directory.path().join("secret");
    let added = copy.dns(&[
        "key",
        "add",
        "transfers",
        "--secret-file",
        secret.to_str().unwrap(),
    ]);
    assert!(added.status.success(), "{added:?}");
    let start = |daemon: &Daemon, zone: &str| {
        let text = format!("port = {}\n{idle}[zones.'{ZONE}']\n{zone}", daemon.port);
        daemon.write("/etc/guifi/dnsd.toml", &text);
        daemon.signal("HUP");
    };
    let (first, next) = (primary.address(), copy.address());
    start(&second, &format!("primaries = ['{next}']\n"));
    start(
        &copy,
        &format!(
            "primaries = ['{first} key transfers']\ntransfer = ['127.0.0.1']\nnotify = ['{}']\n",
            second.address()
        ),
    );
    start(
        &primary,
        &format!(
            "file = '{FILE}'\ntransfer = ['key transfers']\nnotify = ['{next} key transfers']\n"
        ),
    );
    wait_for(&copy, 1);
    wait_for(&second, 1);
    for serial in 2..5 {
        primary.write(FILE, &file(serial));
        primary.signal("HUP");
        wait_for(&copy, serial);
        wait_for(&second, serial);
    }
    let records = |daemon: &Daemon| {
        let text = String::from_utf8(daemon.dns(&["show", ZONE]).stdout).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let wanted = records(&primary);
    assert_eq!(wanted.len(), 2006);
    assert_eq!(records(&copy), wanted);
    assert_eq!(records(&second), wanted);
    assert_eq!(
        copy.data(&format!(r"My\032Page._http._tcp.{ZONE}."), TXT)
            .len(),
        1
    );
    // Without the key nothing is heard.
    assert_eq!(tell(&copy, "127.0.0.1", ZONE), ResponseCode::Refused);
    assert!(
        primary
            .dns(&["key", "revoke", "transfers"])
            .status
            .success()
    );
    refresh(&copy);
    in_vain(&copy, "does not know the key");
    assert!(copy.dns(&["key", "revoke", "transfers"]).status.success());
    refresh(&copy);
    in_vain(&copy, "there is no key transfers");
}
