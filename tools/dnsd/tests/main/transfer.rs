//! Zones for other servers: AXFR, IXFR and NOTIFY.

use crate::common;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use common::{Bus, Daemon, Registry, SOON, until};
use guifi_dnsd::text;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

const FILE: &str = "/etc/guifi/zones/vall";

fn zone(serial: u32, hosts: u32) -> String {
    let mut text = format!(
        "$TTL 60\n@ SOA ns dns {serial} 60 60 600 60\n@ NS ns\nns A 10.0.0.1\n*.w MX 5 ns\n"
    );
    for n in 0..hosts {
        text += &format!("host-{n} A 10.1.{}.{}\n", n / 250, n % 250 + 1);
    }
    text
}

fn config(more: &str) -> String {
    format!(
        "listen = ['127.0.0.1']\ntransfer = ['127.0.0.0/8']\n[zones.'vall.example']\nfile = '{FILE}'\n{more}"
    )
}

/// What a transfer brings, a record a line, sorted; with a serial only the changes since.
fn fetch(daemon: &Daemon, zone: &str, serial: Option<u32>) -> Vec<String> {
    let mut lines = transfer(daemon, zone, serial);
    lines.sort();
    lines
}

/// The same in the order of its coming.
fn transfer(daemon: &Daemon, zone: &str, serial: Option<u32>) -> Vec<String> {
    let name = Name::from_ascii(zone).unwrap();
    let kind = if serial.is_some() {
        RecordType::IXFR
    } else {
        RecordType::AXFR
    };
    let mut query = Message::new(4711, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(name.clone(), kind));
    if let Some(serial) = serial {
        let soa = SOA::new(Name::root(), Name::root(), serial, 0, 0, 0, 0);
        query.add_authority(Record::from_rdata(name, 0, RData::SOA(soa)));
    }
    let bytes = query.to_vec().unwrap();
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &bytes].concat()).unwrap();
    let (mut lines, mut starts) = (Vec::new(), Vec::new());
    // It ends with the SOA record that it begins with, or is nothing else.
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        if answer.metadata.response_code != ResponseCode::NoError {
            return vec![answer.metadata.response_code.to_string()];
        }
        for record in &answer.answers {
            let data = text::data(record);
            if record.record_type() == RecordType::SOA {
                starts.push(data.clone());
            }
            let owner = text::owner(record);
            lines.push(format!(
                "{owner} {} {} {data}",
                record.ttl,
                record.record_type()
            ));
        }
        let ended = starts.iter().filter(|start| **start == starts[0]).count() > 1;
        if lines.len() == 1 || (ended && starts.last() == starts.first()) {
            return lines;
        }
    }
}

#[test]
fn a_zone_goes_out_whole_to_those_who_may_have_it() {
    let bus = Bus::new();
    let file = zone(7, 3000);
    let daemon = Daemon::start_with(
        &bus,
        &config("transfer = ['127.0.0.1']\n"),
        &[(FILE, &file)],
    );
    let lines = fetch(&daemon, "vall.example.", None);
    assert_eq!(lines.len(), 3005, "the SOA record twice");
    assert!(lines.contains(&"host-2999.vall.example. 60 A 10.1.11.250".to_owned()));
    assert!(lines.contains(&"*.w.vall.example. 60 MX 5 ns.vall.example.".to_owned()));
    assert_eq!(
        fetch(&daemon, "VALL.example.", Some(7)).len(),
        1,
        "nothing has changed"
    );
    assert_eq!(
        fetch(&daemon, "vall.example.", Some(3)).len(),
        3005,
        "changes that nobody knows"
    );
    let strict = Daemon::start_with(
        &bus,
        &config("transfer = ['10.0.0.0/8']\n"),
        &[(FILE, &file)],
    );
    assert_eq!(
        fetch(&strict, "vall.example.", None),
        [ResponseCode::Refused.to_string()]
    );
    assert_eq!(
        fetch(&strict, "elsewhere.example.", None),
        [ResponseCode::NotAuth.to_string()]
    );
}

#[test]
fn changes_go_out_alone_also_after_a_restart() {
    let bus = Bus::new();
    let mut daemon = Daemon::start_with(
        &bus,
        &config("transfer = ['127.0.0.1']\n"),
        &[(FILE, &zone(1, 100))],
    );
    for serial in 2..5 {
        daemon.write(FILE, &zone(serial, 100 + serial));
        daemon.signal("HUP");
        let seen = || daemon.describe()["hosted"][0]["serial"] == serial;
        until("the change", || seen().then_some(()));
    }
    daemon.stop("KILL");
    daemon.run();
    let lines = fetch(&daemon, "vall.example.", Some(2));
    // SOA 4; 2, 3 and one host; 3, 4 and one host; SOA 4.
    assert_eq!(lines.len(), 8, "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("host-103.")));
    assert!(!lines.iter().any(|line| line.starts_with("host-101.")));
}

fn serial(start: &str) -> u32 {
    start.split(' ').nth(5).unwrap().parse().unwrap()
}

#[test]
fn with_stand_in_registry_changes_of_the_communitys_domain_go_out_alone() {
    const DOMAIN: &str = "osona.internal.";
    let bus = Bus::new();
    let registry = Registry::start(&bus, true);
    for n in 0..30 {
        registry.boxed(&format!("vic-{n:02}"), "vic", &format!("10.1.0.{n}"));
    }
    let daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\ntransfer = ['127.0.0.1']\n");
    daemon.wait_for("vic-29.vic.osona.internal.", RecordType::A);
    let mut copy = transfer(&daemon, DOMAIN, None);
    let step = |copy: &mut Vec<String>| {
        let changes = transfer(&daemon, DOMAIN, Some(serial(&copy[0])));
        let is_start = |line: &String| line.contains(" SOA ");
        let starts: Vec<_> = (0..changes.len())
            .filter(|&n| is_start(&changes[n]))
            .collect();
        let [0, 1, middle, last] = starts[..] else {
            unreachable!("{changes:#?}");
        };
        assert_eq!(changes[1], copy[0]);
        for gone in &changes[1..middle] {
            let at = copy.iter().position(|line| line == gone);
            copy.remove(at.unwrap_or_else(|| unreachable!("{gone}")));
        }
        copy.pop(); // the SOA record at the end
        copy.splice(0..0, changes[middle..last].iter().cloned());
        copy.push(changes[last].clone());
        // A name may come twice, and counts once.
        let (copy, all) = (
            copy.iter().cloned(),
            fetch(&daemon, DOMAIN, None).into_iter(),
        );
        assert_eq!(copy.collect::<BTreeSet<_>>(), all.collect());
        changes.len()
    };
    let first = serial(&copy[0]);
    registry.service("vic-01", "vic", "_http._tcp", "My Page");
    daemon.wait_for(
        r"My\032Page._http._tcp.vic.osona.internal.",
        RecordType::SRV,
    );
    assert!(step(&mut copy) < 20, "nothing but the service");
    // A zone comes whose name a box had, and a box goes elsewhere.
    registry.boxed("manlleu", "", "10.2.0.1");
    daemon.wait_for("manlleu.osona.internal.", RecordType::A);
    step(&mut copy);
    registry.boxed("ter", "manlleu", "10.2.0.2");
    daemon.wait_for("ter.manlleu.osona.internal.", RecordType::A);
    step(&mut copy);
    registry.boxed("vic-07", "manlleu", "10.1.0.7");
    daemon.wait_for("vic-07.manlleu.osona.internal.", RecordType::A);
    step(&mut copy);
    // The first state is remembered as well, one that nobody fetched is not.
    let whole = transfer(&daemon, DOMAIN, None).len();
    assert!(transfer(&daemon, DOMAIN, Some(first)).len() < whole);
    assert_eq!(transfer(&daemon, DOMAIN, Some(first - 1)).len(), whole);
}

#[test]
fn with_stand_in_registry_the_communitys_domain_goes_out_and_followers_hear_of_changes() {
    let bus = Bus::new();
    let registry = Registry::start(&bus, true);
    registry.boxed("vic-01", "vic", "10.1.0.2");
    let follower = UdpSocket::bind("127.0.0.1:0").unwrap();
    follower
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let config = format!(
        "listen = ['127.0.0.1']\ntransfer = ['127.0.0.1']\nnotify = ['{}']\n",
        follower.local_addr().unwrap()
    );
    let daemon = Daemon::start(&bus, &config);
    daemon.wait_for("vic-01.vic.osona.internal.", RecordType::A);
    registry.service("vic-01", "vic", "_http._tcp", "My Page");
    daemon.wait_for(
        r"My\032Page._http._tcp.vic.osona.internal.",
        RecordType::SRV,
    );
    let lines = fetch(&daemon, "osona.internal.", None);
    assert!(
        lines.contains(&"vic-01.vic.osona.internal. 120 A 10.1.0.2".to_owned()),
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(r"My\032Page._http._tcp.vic.osona.internal. 120 SRV"))
    );
    let mut buffer = [0; 512];
    let (length, from) = follower.recv_from(&mut buffer).unwrap();
    let notice = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(notice.metadata.op_code, OpCode::Notify);
    assert_eq!(notice.queries[0].name.to_string(), "osona.internal.");
    assert_eq!(notice.queries[0].query_type, RecordType::SOA);
    buffer[2] |= 0x80;
    follower.send_to(&buffer[..length], from).unwrap();
}
