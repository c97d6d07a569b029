//! Dynamic updates of the real daemon: signed, kept, and gone when their file is taken.

use crate::common;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{Bus, Daemon, Registry, SOON, until};
use guifi_dnsd::name::Name;
use guifi_dnsd::state::now;
use guifi_dnsd::tsig::{Key, sign};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name as WireName, RData, Record, RecordType};
use serde_json::Value;

const FILE: &str = "/etc/guifi/zones/vall";
const CONFIG: &str =
    "listen = ['127.0.0.1']\n[zones.'vall.example']\nfile = '/etc/guifi/zones/vall'\n";

fn zone(serial: u32, address: &str) -> String {
    format!("$TTL 60\n@ SOA ns dns {serial} 60 60 600 60\n@ NS ns\nns A {address}\n")
}

/// An update that adds addresses to a name.
fn update(zone: &str, owner: &str, numbers: std::ops::Range<u8>) -> Vec<u8> {
    let name = |text: &str| WireName::from_ascii(text).unwrap();
    let mut message = Message::new(4711, MessageType::Query, OpCode::Update);
    message.add_query(Query::query(name(zone), RecordType::SOA));
    for n in numbers {
        let data = RData::A(A([10, 1, 1, n].into()));
        message.add_authority(Record::from_rdata(name(owner), 60, data));
    }
    message.to_vec().unwrap()
}

fn code(answer: &[u8]) -> ResponseCode {
    Message::from_vec(answer).unwrap().metadata.response_code
}

/// Sends a message by UDP, signed or not; `None` if there is no answer.
fn send(daemon: &Daemon, key: Option<&Arc<Key>>, mut message: Vec<u8>) -> Option<ResponseCode> {
    let verifier = key.map(|key| sign(key, &mut message, now()));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.connect(daemon.address()).unwrap();
    socket.send(&message).unwrap();
    let mut buffer = [0; 600];
    let length = socket.recv(&mut buffer).ok()?;
    if let Some(mut verifier) = verifier {
        verifier.check(&buffer[..length], now()).unwrap();
    }
    Some(code(&buffer[..length]))
}

fn send_tcp(daemon: &Daemon, key: &Arc<Key>, mut message: Vec<u8>) -> ResponseCode {
    let mut verifier = sign(key, &mut message, now());
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &message].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    verifier.check(&answer, now()).unwrap();
    code(&answer)
}

#[test]
fn signed_updates_are_made_and_others_refused() {
    let bus = Bus::new();
    let daemon = Daemon::start_with(&bus, CONFIG, &[(FILE, &zone(1, "10.0.0.1"))]);
    let key = daemon.key(
        "k",
        &[
            "--update",
            "vall.example:*.dyn:A",
            "--update",
            "elsewhere.example",
        ],
    );
    let here = |owner: &str| update("vall.example.", owner, 1..2);
    use ResponseCode::{NoError, NotAuth, NotZone, Refused};
    assert_eq!(
        send(&daemon, None, here("a.dyn.vall.example.")),
        Some(Refused)
    );
    for (message, code) in [
        (here("a.dyn.vall.example."), NoError),
        (here("a.vall.example."), Refused),
        (here("a.example."), NotZone),
        (
            update("elsewhere.example.", "a.elsewhere.example.", 1..2),
            NotAuth,
        ),
        (
            update("dyn.vall.example.", "a.dyn.vall.example.", 1..2),
            NotAuth,
        ),
    ] {
        assert_eq!(send(&daemon, Some(&key), message.clone()), Some(code));
        assert_eq!(send_tcp(&daemon, &key, message), code);
    }
    assert_eq!(
        daemon.data("a.dyn.vall.example.", RecordType::A),
        ["10.1.1.1"]
    );
    assert_eq!(daemon.describe()["hosted"][0]["updates"], 1);
    let large = update("vall.example.", "large.dyn.vall.example.", 1..255);
    assert_eq!(send_tcp(&daemon, &key, large), NoError);
    let counters = daemon.describe()["counters"].clone();
    assert!(counters["updates"].as_u64() >= Some(5), "{counters}");
    assert!(daemon.dns(&["key", "revoke", "k"]).status.success());
    let mut message = here("b.dyn.vall.example.");
    sign(&key, &mut message, now());
    assert_eq!(send(&daemon, None, message), Some(NotAuth));
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    const CLIENTS: u8 = 8;
    let bus = Bus::new();
    let mut daemon = Daemon::start_with(&bus, CONFIG, &[(FILE, &zone(1, "10.0.0.1"))]);
    let key = daemon.key("k", &["--update", "vall.example"]);
    let address = daemon.address();
    let mut acknowledged = Vec::new();
    for round in 0..3u8 {
        // Large ones let the changes be folded into the records meanwhile.
        let size = if round == 0 { 1 } else { 100 };
        let clients = (0..CLIENTS).map(|client| {
            let key = key.clone();
            thread::spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket
                    .set_read_timeout(Some(Duration::from_secs(2)))
                    .unwrap();
                socket.connect(address).unwrap();
                let mut done = Vec::new();
                for n in 0.. {
                    let owner = format!("r{round}-c{client}-{n}.vall.example.");
                    let mut message = update("vall.example.", &owner, 1..1 + size);
                    let mut verifier = sign(&key, &mut message, now());
                    let mut answer = [0; 600];
                    let sent = socket.send(&message).and_then(|_| socket.recv(&mut answer));
                    let Ok(length) = sent else { break };
                    verifier.check(&answer[..length], now()).unwrap();
                    assert_eq!(code(&answer[..length]), ResponseCode::NoError);
                    done.push((owner, usize::from(size)));
                }
                done
            })
        });
        let clients: Vec<_> = clients.collect();
        let enough = 200 * (u64::from(round) + 1);
        until("updates", || {
            (daemon.describe()["hosted"][0]["updates"].as_u64()? > enough).then_some(())
        });
        assert_eq!(daemon.stop("KILL"), None);
        for client in clients {
            acknowledged.append(&mut client.join().unwrap());
        }
        daemon.run();
        let zone = String::from_utf8(daemon.dns(&["show", "vall.example"]).stdout).unwrap();
        let mut there: HashMap<&str, usize> = HashMap::new();
        for owner in zone.lines().filter_map(|line| line.split(' ').next()) {
            *there.entry(owner).or_default() += 1;
        }
        for (owner, size) in &acknowledged {
            assert_eq!(there.get(&**owner), Some(size), "{owner}");
        }
    }
    let hosted = daemon.describe()["hosted"][0].clone();
    assert!(hosted["serial"].as_u64() > Some(1));
    let database = daemon.directory.path().join("var/lib/guifi/dnsd/zones.db");
    let database = rusqlite::Connection::open(database).unwrap();
    let folded: u32 = database
        .query_row("SELECT folded FROM zone", [], |row| row.get(0))
        .unwrap();
    assert!(folded > 0);
}

#[test]
fn a_file_that_changes_waits_until_it_is_taken() {
    let bus = Bus::new();
    let mut daemon = Daemon::start_with(&bus, CONFIG, &[(FILE, &zone(1, "10.0.0.1"))]);
    let key = daemon.key("k", &["--update", "vall.example"]);
    let there = |daemon: &Daemon, name: &str| daemon.data(name, RecordType::A);
    let message = update("vall.example.", "a.vall.example.", 1..2);
    assert_eq!(
        send(&daemon, Some(&key), message.clone()),
        Some(ResponseCode::NoError)
    );
    daemon.write(FILE, &zone(2, "10.0.0.2"));
    daemon.signal("HUP");
    let fault = until("the fault", || {
        let fault = daemon.describe()["hosted"][0]["fault"].clone();
        fault.as_str().map(str::to_owned)
    });
    assert!(fault.contains("guifi-dns take"), "{fault}");
    daemon.stop("KILL");
    daemon.run();
    assert_eq!(there(&daemon, "ns.vall.example."), ["10.0.0.1"]);
    assert_eq!(there(&daemon, "a.vall.example."), ["10.1.1.1"]);
    // Nor is it lost when the configuration names the zone no more.
    let config = |text: &str| format!("port = {}\n{text}", daemon.port);
    daemon.write("/etc/guifi/dnsd.toml", &config("listen = ['127.0.0.1']\n"));
    daemon.signal("HUP");
    until("it is hosted no more", || {
        daemon.describe()["hosted"]
            .as_array()?
            .is_empty()
            .then_some(())
    });
    daemon.write("/etc/guifi/dnsd.toml", &config(CONFIG));
    daemon.signal("HUP");
    until("it is back", || {
        (there(&daemon, "a.vall.example.") == ["10.1.1.1"]).then_some(())
    });
    daemon.write(FILE, "nonsense");
    assert_eq!(daemon.dns(&["take", "vall.example"]).status.code(), Some(1));
    assert_eq!(there(&daemon, "a.vall.example."), ["10.1.1.1"]);
    daemon.write(FILE, &zone(2, "10.0.0.2"));
    let taken = daemon.dns(&["--json", "take", "vall.example"]);
    let taken: Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert_eq!(taken["dropped"], 1);
    assert_eq!(there(&daemon, "ns.vall.example."), ["10.0.0.2"]);
    assert_eq!(there(&daemon, "a.vall.example."), [""; 0]);
    let hosted = daemon.describe()["hosted"][0].clone();
    assert_eq!(
        (&hosted["fault"], hosted["serial"].as_u64()),
        (&Value::Null, Some(3))
    );
    assert_eq!(
        daemon.dns(&["take", "nowhere.example"]).status.code(),
        Some(1)
    );
    // Also the same file again, and then it is as if there never had been an update.
    send(&daemon, Some(&key), message);
    assert!(daemon.dns(&["take", "vall.example"]).status.success());
    assert_eq!(there(&daemon, "a.vall.example."), [""; 0]);
    daemon.write(FILE, &zone(9, "10.0.0.9"));
    daemon.signal("HUP");
    until("the file", || {
        (there(&daemon, "ns.vall.example.") == ["10.0.0.9"]).then_some(())
    });
}

/// A name in the community's domain.
fn osona(text: &str) -> WireName {
    // hickory reads escapes as octal numbers.
    let name = Name::parse(&format!("{text}.osona.internal")).unwrap();
    WireName::from_labels(name.labels()).unwrap()
}

/// An update of the community's domain: names relative to it, class, type and data.
fn registration(lines: &[(&str, DNSClass, RData)]) -> Vec<u8> {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Update);
    let zone = WireName::from_ascii("osona.internal.").unwrap();
    message.add_query(Query::query(zone, RecordType::SOA));
    for (owner, class, data) in lines {
        let ttl = if *class == DNSClass::IN { 60 } else { 0 };
        let mut record = Record::from_rdata(osona(owner), ttl, data.clone());
        record.dns_class = *class;
        message.add_authority(record);
    }
    message.to_vec().unwrap()
}

#[test]
fn with_stand_in_registry_updates_of_the_communitys_domain_become_records() {
    use DNSClass::{ANY, IN, NONE};
    const DOMAIN: &str = "osona.internal";
    let bus = Bus::new();
    let registry = Registry::start(&bus, true);
    registry.boxed("vic-01", "vic", "10.1.0.2");
    registry.boxed("vic-02", "vic", "10.1.0.3");
    registry.service("vic-01", "vic", "_http._tcp", "Local");
    let daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    daemon.wait_for("vic-01.vic.osona.internal.", RecordType::A);
    daemon.wait_for("Local._http._tcp.vic.osona.internal.", RecordType::SRV);
    let key = daemon.key("k", &["--update", DOMAIN]);
    let address = |n: u8| RData::A(A([10, 2, 0, n].into()));
    let srv = |host: &str, port: u16| RData::SRV(SRV::new(0, 0, port, osona(host)));
    let txt = |text: &str| RData::TXT(TXT::new(vec![text.into()]));
    let ptr = |to: &str| RData::PTR(PTR(osona(to)));
    let send =
        |lines: &[(&str, DNSClass, RData)]| send(&daemon, Some(&key), registration(lines)).unwrap();
    use ResponseCode::{NoError, Refused};
    // Hosts of this box.
    let printer = "printer.vic-01.vic";
    assert_eq!(
        send(&[(printer, IN, address(1)), (printer, IN, address(2))]),
        NoError
    );
    let seen = daemon.data("printer.vic-01.vic.osona.internal.", RecordType::A);
    assert_eq!(
        seen,
        ["10.2.0.1", "10.2.0.2"],
        "in force when it is answered"
    );
    assert_eq!(send(&[(printer, NONE, address(1))]), NoError);
    let seen = daemon.data("printer.vic-01.vic.osona.internal.", RecordType::A);
    assert_eq!(seen, ["10.2.0.2"]);
    // A service on it, as DNS-SD clients register one.
    let instance = r"Old\032Laser._ipp._tcp.vic";
    let lines = [
        ("_services._dns-sd._udp.vic", IN, ptr("_ipp._tcp.vic")),
        ("_ipp._tcp.vic", IN, ptr(instance)),
        ("_color._sub._ipp._tcp.vic", IN, ptr(instance)),
        (instance, IN, srv(printer, 631)),
        (instance, IN, txt("rp=queue")),
    ];
    assert_eq!(send(&lines), NoError);
    let (writes, records) = registry.written();
    assert_eq!(writes, 3, "one for each host and service of an update");
    let service = &records
        .iter()
        .find(|(name, _)| name == "service _ipp._tcp/Old Laser")
        .unwrap()
        .1;
    assert_eq!(
        service["host"],
        serde_json::json!({"name": "printer", "addresses": ["10.2.0.2"]})
    );
    assert_eq!(
        (&service["port"], &service["txt"][0]),
        (&631.into(), &"rp=queue".into())
    );
    let pointers = daemon.data("_ipp._tcp.vic.osona.internal.", RecordType::PTR);
    assert_eq!(pointers, [r"Old\032Laser._ipp._tcp.vic.osona.internal."]);
    assert_eq!(
        daemon.data("_color._sub._ipp._tcp.vic.osona.internal.", RecordType::PTR),
        pointers
    );
    // The same again costs nothing.
    assert_eq!(send(&lines), NoError);
    assert_eq!(registry.written().0, 3);
    // What the records cannot say.
    let none = |kind| RData::Update0(kind);
    for lines in [
        &[("vic-01.vic", IN, address(1))][..],
        &[("printer.vic-02.vic", IN, address(1))],
        &[("printer.vic-01.tona", IN, address(1))],
        &[(printer, IN, txt("x"))],
        &[("x._ipp._tcp.vic", IN, txt("no location"))],
        &[("x._ipp._tcp.vic", IN, srv("vic-02.vic", 1))],
        &[("_ipp._tcp.vic", IN, ptr("x._ipp._tcp.vic"))],
        &[("Local._http._tcp.vic", ANY, none(RecordType::ANY))],
        &[("a.b", IN, RData::CNAME(CNAME(osona(printer))))],
    ] {
        assert_eq!(send(lines), Refused, "{lines:?}");
    }
    assert_eq!(registry.written().0, 3);
    assert!(
        daemon
            .log()
            .contains("x._ipp._tcp.vic.osona.internal. is a service without an SRV")
    );
    // And gone.
    let lines = [
        (instance, ANY, none(RecordType::ANY)),
        ("_ipp._tcp.vic", NONE, ptr(instance)),
        (printer, ANY, none(RecordType::A)),
    ];
    assert_eq!(send(&lines), NoError);
    assert_eq!(
        daemon.data("_ipp._tcp.vic.osona.internal.", RecordType::PTR),
        [""; 0]
    );
    let (_, records) = registry.written();
    assert_eq!(records.len(), 1, "that of others: {records:?}");
    drop(bus);
    let lost = [(printer, IN, address(1))];
    until("the bus is gone", || {
        (send(&lost) == ResponseCode::ServFail).then_some(())
    });
}
