//! The real daemon on a private bus, with a stand-in for the registry.

use crate::common;

use std::net::{Ipv4Addr, UdpSocket};

use common::{Bus, Daemon, Registry, SOON, Upstream, until};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, PTR, SRV, TXT};
use serde_json::{Value, json};

const HERE: &str = "listen = ['127.0.0.1']\n";
const VIC: &str = "vic-01.vic.osona.internal.";

fn forwarding(upstream: &Upstream) -> String {
    format!("{HERE}[upstream]\nservers = ['{}']\n", upstream.address)
}

#[test]
fn with_stand_in_registry_answers_follow_the_records() {
    let bus = Bus::new();
    let registry = Registry::start(&bus, true);
    registry.boxed("vic-01", "vic", "10.1.0.2");
    let daemon = Daemon::start(&bus, HERE);
    assert_eq!(daemon.wait_for(VIC, A), ["10.1.0.2"]);
    for n in 0..5 {
        let instance = format!("Dr. No's {n}");
        let name = format!("Dr\\.\\032No's\\032{n}._http._tcp.vic.osona.internal.");
        registry.service("vic-01", "vic", "_http._tcp", &instance);
        assert_eq!(daemon.wait_for(&name, SRV), [format!("0 0 8080 {VIC}")]);
        assert_eq!(daemon.data(&name, TXT), ["\"path=/\""]);
        assert!(
            daemon
                .data("_http._tcp.vic.osona.internal.", PTR)
                .contains(&name)
        );
        let record = format!("_http._tcp/{instance}");
        registry.put(&[("vic-01", "vic", "service", &record, Value::Null)]);
        let gone = || daemon.ask(&name, SRV).unwrap().metadata.response_code;
        until("the removal", || {
            (gone() == ResponseCode::NXDomain).then_some(())
        });
    }
    let messages = daemon.ask_tcp(&[
        (VIC, A),
        ("x.osona.internal.", A),
        ("2.0.1.10.in-addr.arpa.", PTR),
    ]);
    assert_eq!(messages[0].answers.len(), 1);
    assert_eq!(messages[1].metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(messages[2].answers.len(), 1);
}

#[test]
fn with_stand_in_registry_the_last_data_survive_its_absence_and_a_restart() {
    let bus = Bus::new();
    let mut registry = Registry::start(&bus, true);
    registry.boxed("vic-01", "vic", "10.1.0.2");
    let mut daemon = Daemon::start(&bus, HERE);
    daemon.wait_for(VIC, A);
    let serial = daemon.describe()["serial"].as_u64().unwrap();
    registry.vanish();
    until("the absence", || {
        (daemon.describe()["registry"] == "absent").then_some(())
    });
    assert_eq!(daemon.data(VIC, A), ["10.1.0.2"]);
    assert_eq!(daemon.stop("TERM"), Some(0));
    daemon.run();
    assert_eq!(daemon.data(VIC, A), ["10.1.0.2"], "answered at once");
    let later = daemon.describe()["serial"].as_u64().unwrap();
    assert!(later > serial, "{later} after {serial}");
    // A registry that comes back with the same records changes nothing.
    registry.appear();
    until("the return", || {
        (daemon.describe()["registry"] == "ok").then_some(())
    });
    assert_eq!(daemon.describe()["serial"], later);
    registry.boxed("vic-02", "vic", "10.1.0.3");
    daemon.wait_for("vic-02.vic.osona.internal.", A);
    // Left: nothing of the community is answered any more.
    registry.join(false);
    let code = || daemon.ask(VIC, A).unwrap().metadata.response_code;
    until("the end", || {
        (code() == ResponseCode::NXDomain).then_some(())
    });
    assert_eq!(daemon.describe()["community"], Value::Null);
}

#[test]
fn a_bus_that_dies_costs_nothing_and_is_found_again() {
    let bus = Bus::new();
    let registry = Registry::start(&bus, true);
    registry.boxed("vic-01", "vic", "10.1.0.2");
    let daemon = Daemon::start(&bus, HERE);
    daemon.wait_for(VIC, A);
    drop(registry);
    drop(bus);
    until("word of it", || {
        daemon.log().contains("the bus is gone").then_some(())
    });
    assert_eq!(daemon.data(VIC, A), ["10.1.0.2"]);
}

#[test]
fn other_names_are_asked_outside_once_and_not_at_all_when_private() {
    let bus = Bus::new();
    let upstream = Upstream::start();
    let daemon = Daemon::start(&bus, &forwarding(&upstream));
    for _ in 0..3 {
        let answer = daemon.ask("Www.Example.", A).unwrap();
        assert_eq!(answer.answers[0].name.to_string(), "Www.Example.");
        assert!(!answer.metadata.authoritative && answer.metadata.recursion_available);
    }
    assert_eq!(upstream.asked.lock().unwrap().len(), 1, "cached");
    assert_eq!(daemon.describe()["cache"]["hits"], 2);
    let no = daemon.ask("no.example.", A).unwrap();
    assert_eq!(no.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(no.authorities.len(), 1);
    let many = daemon.ask("many.example.", A).unwrap();
    assert!(many.metadata.truncation);
    assert_eq!(
        daemon.ask_tcp(&[("many.example.", A)])[0].answers.len(),
        200
    );
    let before = upstream.asked.lock().unwrap().len();
    for private in ["1.1.168.192.in-addr.arpa.", "x.internal.", "printer.local."] {
        let answer = daemon.ask(private, A).unwrap();
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::NXDomain,
            "{private}"
        );
    }
    assert_eq!(upstream.asked.lock().unwrap().len(), before);
    let flushed = daemon.dns(&["flush"]);
    assert!(flushed.status.success(), "{flushed:?}");
    assert_eq!(daemon.describe()["cache"]["entries"], 0);
}

#[test]
fn a_silent_upstream_is_waited_for_and_others_are_answered_meanwhile() {
    let bus = Bus::new();
    let upstream = Upstream::start();
    let registry = Registry::start(&bus, true);
    registry.boxed("vic-01", "vic", "10.1.0.2");
    let daemon = Daemon::start(&bus, &forwarding(&upstream));
    daemon.wait_for(VIC, A);
    *upstream.silent.lock().unwrap() = true;
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| daemon.ask("slow.example.", A).unwrap());
        for _ in 0..20 {
            assert_eq!(daemon.data(VIC, A), ["10.1.0.2"]);
        }
        assert!(!slow.is_finished());
        assert_eq!(
            slow.join().unwrap().metadata.response_code,
            ResponseCode::ServFail
        );
    });
}

#[test]
fn a_daemon_that_is_told_to_ask_itself_does_not() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, HERE);
    let text = format!(
        "port = {0}\n{HERE}[upstream]\nservers = ['127.0.0.1:{0}']\n",
        daemon.port
    );
    daemon.write("/etc/guifi/dnsd.toml", &text);
    daemon.signal("HUP");
    until("the new configuration", || {
        (daemon.describe()["upstreams"]["source"] == "configuration").then_some(())
    });
    let answer = daemon.ask("www.example.", A).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn a_taken_address_is_left_to_its_holder_and_shown() {
    let bus = Bus::new();
    let mut daemon = Daemon::start(&bus, "listen = ['127.0.0.1', '127.0.0.2']\n");
    assert!(daemon.describe()["listen"][1]["state"] == "listening");
    assert_eq!(daemon.stop("TERM"), Some(0));
    let holder = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), daemon.port)).unwrap();
    daemon.run();
    let listen = daemon.describe()["listen"].clone();
    assert_eq!(listen[0]["state"], "listening");
    assert_eq!(listen[1]["state"], "taken", "{listen}");
    assert!(
        listen[1]["reason"]
            .as_str()
            .unwrap()
            .contains("is taken by")
    );
    assert!(daemon.log().contains("going on without it"));
    assert!(daemon.ask("x.internal.", A).is_some());
    drop(holder);
    daemon.signal("HUP");
    until("the address", || {
        (daemon.describe()["listen"][1]["state"] == "listening").then_some(())
    });
}

#[test]
fn a_wrong_configuration_is_refused_at_the_start_and_ignored_at_reload() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, HERE);
    daemon.write("/etc/guifi/dnsd.toml", "port = 'x'\n");
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_guifi-dnsd"))
        .arg("--check")
        .env("GUIFI_ROOT", daemon.directory.path())
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(78));
    let text = String::from_utf8(checked.stderr).unwrap();
    assert!(
        text.starts_with("guifi-dnsd: cannot read") && text.contains("line 1"),
        "{text}"
    );
    daemon.signal("HUP");
    until("the warning", || {
        daemon
            .log()
            .contains("keeping the old configuration")
            .then_some(())
    });
    assert!(daemon.ask("x.internal.", A).is_some());
}

#[test]
fn silent_tcp_clients_are_let_go_and_one_cannot_hold_all_places() {
    use std::io::Read as _;
    let bus = Bus::new();
    let limits = format!("{HERE}[tcp]\nper_client = 2\nidle_seconds = 5\n");
    let daemon = Daemon::start(&bus, &limits);
    let connect = || {
        let stream = std::net::TcpStream::connect(daemon.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    };
    let mut held = [connect(), connect(), connect()];
    assert_eq!(held[2].read(&mut [0; 1]).unwrap_or(0), 0, "closed at once");
    held[0].set_nonblocking(true).unwrap();
    let early = held[0].read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    held[0].set_nonblocking(false).unwrap();
    assert_eq!(
        held[0].read(&mut [0; 1]).unwrap_or(0),
        0,
        "closed when idle"
    );
    until("a free place", || {
        let answers = std::panic::catch_unwind(|| daemon.ask_tcp(&[("x.internal.", A)]));
        answers.ok().map(drop)
    });
}

#[test]
fn with_stand_in_registry_the_command_shows_what_there_is() {
    let bus = Bus::new();
    let registry = Registry::start(&bus, true);
    registry.boxed("vic-01", "vic", "10.1.0.2");
    registry.service("vic-01", "vic", "_http._tcp", "Fotos \"de\" l'àvia; (1)");
    let daemon = Daemon::start(&bus, HERE);
    daemon.wait_for("_http._tcp.vic.osona.internal.", PTR);
    let run = |arguments: &[&str]| {
        let output = daemon.dns(arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, status, _) = run(&["status"]);
    assert_eq!(code, 0);
    assert!(status.contains("registry   ok, 2 records"), "{status}");
    assert!(
        status.contains("domain     osona.internal (serial "),
        "{status}"
    );
    let (_, zones, _) = run(&["zones"]);
    assert!(
        zones
            .lines()
            .any(|line| line.starts_with("vic.osona.internal.")),
        "{zones}"
    );
    let (_, zones, _) = run(&["--json", "zones"]);
    let zones: Value = serde_json::from_str(&zones).unwrap();
    assert_eq!(
        (&zones[1]["zone"], &zones[1]["boxes"]),
        (&json!("vic"), &json!(1))
    );
    assert_eq!(
        run(&["query", VIC]),
        (0, format!("{VIC} 120 A 10.1.0.2\n"), String::new())
    );
    let (code, answer, _) = run(&["query", VIC, "a", "--json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (code, &answer["answers"][0]["data"]),
        (0, &json!("10.1.0.2"))
    );
    let (code, out, err) = run(&["query", "nobody.osona.internal"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.starts_with("guifi-dns: nobody.osona.internal.: "),
        "{err}"
    );
    assert_eq!(run(&["query", "x", "nonsense"]).0, 2);
    let (code, _, err) = run(&["show", "nowhere"]);
    assert_eq!(
        (code, err.as_str()),
        (
            1,
            "guifi-dns: cannot show the zone: there is no zone 'nowhere' here\n"
        )
    );
    for zone in [
        "osona.internal",
        "vic",
        "vic.osona.internal.",
        "10.in-addr.arpa",
    ] {
        assert_eq!(run(&["show", zone]).0, 0, "{zone}");
    }
    let (_, text, _) = run(&["show", "osona.internal"]);
    let zone = daemon.directory.path().join("zone");
    std::fs::write(&zone, &text).unwrap();
    // BIND's checker reads it without a word, where it is installed.
    match std::process::Command::new("named-checkzone")
        .arg("-q")
        .arg("osona.internal")
        .arg(&zone)
        .output()
    {
        Ok(checked) => assert!(checked.status.success(), "{checked:?}\n{text}"),
        Err(_) => assert!(text.contains(" IN SOA ")),
    }
}

#[test]
fn without_a_daemon_the_command_says_so() {
    let bus = Bus::new();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_guifi-dns"))
        .arg("status")
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(output.stdout.is_empty());
}
