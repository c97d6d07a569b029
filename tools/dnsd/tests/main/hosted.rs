//! Hosted zones in the real daemon.

use crate::common;

use std::path::Path;
use std::process::{Child, Command};

use common::{Bus, Daemon, Upstream, until};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, PTR};
use serde_json::{Value, json};

const FILE: &str = "/etc/guifi/zones/vall";
const CONFIG: &str =
    "listen = ['127.0.0.1']\n[zones.'Vall.example']\nfile = '/etc/guifi/zones/vall'\n";

fn zone(serial: u32, address: &str) -> String {
    format!(
        "$TTL 60\n@ SOA ns dns {serial} 60 60 60 60\n@ NS ns\nns A {address}\nwww CNAME ns\nout CNAME www.example.net.\n"
    )
}

#[test]
fn a_zone_is_answered_reloaded_and_kept() {
    let bus = Bus::new();
    let mut daemon = Daemon::start_with(&bus, CONFIG, &[(FILE, &zone(1, "10.0.0.1"))]);
    assert_eq!(daemon.data("ns.vall.example.", A), ["10.0.0.1"]);
    assert_eq!(
        daemon.data("www.vall.example.", A),
        ["10.0.0.1", "ns.vall.example."]
    );
    let hosted = daemon.describe()["hosted"][0].clone();
    assert_eq!(
        (&hosted["domain"], &hosted["serial"]),
        (&json!("vall.example."), &json!(1))
    );
    let shown = daemon.dns(&["show", "vall.example"]);
    assert!(
        String::from_utf8(shown.stdout)
            .unwrap()
            .contains("ns.vall.example. 60 IN A 10.0.0.1\n")
    );
    daemon.write(FILE, &zone(2, "10.0.0.2"));
    daemon.signal("HUP");
    until("the change", || {
        (daemon.data("ns.vall.example.", A) == ["10.0.0.2"]).then_some(())
    });
    daemon.write(FILE, &zone(3, "10.0.0"));
    assert_eq!(daemon.stop("KILL"), None);
    daemon.run();
    assert_eq!(daemon.data("ns.vall.example.", A), ["10.0.0.2"]);
    let fault = daemon.describe()["hosted"][0]["fault"].clone();
    assert!(
        fault
            .as_str()
            .unwrap()
            .ends_with("line 4: '10.0.0' is no IPv4 address"),
        "{fault}"
    );
    let listed = String::from_utf8(daemon.dns(&["hosted"]).stdout).unwrap();
    assert!(listed.contains("line 4"), "{listed}");
    assert_eq!(daemon.stop("TERM"), Some(0));
}

#[test]
fn an_alias_that_leads_out_is_followed_for_those_that_are_resolved_for() {
    let bus = Bus::new();
    let upstream = Upstream::start();
    let config = format!(
        "listen = ['127.0.0.1']\n[upstream]\nservers = ['{}']\n[zones.'vall.example']\nfile = '{FILE}'\n",
        upstream.address
    );
    let daemon = Daemon::start_with(&bus, &config, &[(FILE, &zone(1, "10.0.0.1"))]);
    let answer = daemon.ask("out.vall.example.", A).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    let data: Vec<_> = answer.answers.iter().map(guifi_dnsd::text::data).collect();
    assert_eq!(data[0], "www.example.net.");
    assert_eq!(data.len(), 2, "{data:?}");
    let by_tcp = daemon.ask_tcp(&[("out.vall.example.", A)]);
    assert_eq!(by_tcp[0].answers.len(), 2);
}

#[test]
fn a_file_is_checked_without_the_daemon() {
    let bus = Bus::new();
    let daemon = Daemon::start_with(
        &bus,
        "listen = ['127.0.0.1']\n",
        &[
            ("/good", &zone(1, "10.0.0.1")),
            ("/bad", "a 5 CNAME b\na 5 A 1.1.1.1\n"),
        ],
    );
    let path = |name: &str| {
        daemon
            .directory
            .path()
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    };
    let good = daemon.dns(&["--json", "check", "vall.example", &path("good")]);
    assert!(good.status.success());
    let document: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(document["records"], 5);
    let bad = daemon.dns(&["check", "vall.example", &path("bad")]);
    assert_eq!(bad.status.code(), Some(1));
    let text = String::from_utf8(bad.stdout).unwrap();
    assert!(
        text.contains("a.vall.example. has a CNAME record and others"),
        "{text}"
    );
    assert_eq!(
        daemon
            .dns(&["check", "vall.example", "/nowhere"])
            .status
            .code(),
        Some(1)
    );
}

/// A running guifi-portald, of `cargo build --workspace`, with the same root and bus.
struct Portald(Child);

impl Portald {
    fn start(bus: &Bus, daemon: &Daemon) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_guifi-dnsd")).with_file_name("guifi-portald");
        let process = Command::new(program)
            .env("GUIFI_ROOT", daemon.directory.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .spawn()
            .expect("guifi-portald is not built: cargo build --workspace");
        Self(process)
    }
}

impl Drop for Portald {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Brings a file, as soon as the daemon is on the bus.
fn import(bus: &Bus, daemon: &Daemon, file: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_guifi-dnsd")).with_file_name("guifi-portal");
    until("the data are in", || {
        let output = Command::new(&program)
            .arg("import")
            .arg(daemon.directory.path().join(file))
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .output()
            .unwrap();
        output.status.success().then_some(())
    });
}

#[test]
fn zones_of_the_portal_are_served_also_when_its_daemon_is_gone() {
    const DOMAINS: &str = include_str!("../../../../tests/fixtures/portal/domains.xml");
    let bus = Bus::new();
    let config = "listen = ['127.0.0.1']\n[portal]\nservice = 9503\nreverse = true\n";
    const IPS: &str = include_str!("../../../../tests/fixtures/portal/ips.xml");
    let files = [
        ("/var/lib/guifi/portald/.keep", ""),
        ("/domains.xml", DOMAINS),
        ("/ips.xml", IPS),
    ];
    let mut daemon = Daemon::start_with(&bus, config, &files);
    let portald = Portald::start(&bus, &daemon);
    import(&bus, &daemon, "ips.xml");
    import(&bus, &daemon, "domains.xml");
    assert_eq!(daemon.wait_for("mail.vall.example.", A), ["10.90.1.11"]);
    assert_eq!(
        daemon.data("smtp.vall.example.", A),
        ["10.90.1.11", "mail.vall.example."]
    );
    assert_eq!(
        daemon.data("anything.vall.example.", A),
        ["10.90.1.10"],
        "the default"
    );
    let hosted = daemon.describe()["hosted"].clone();
    let vall = hosted
        .as_array()
        .unwrap()
        .iter()
        .find(|zone| zone["domain"] == "vall.example.");
    assert_eq!(vall.unwrap()["source"], "portal, service 9503");
    assert_eq!(
        daemon.data("1.1.90.10.in-addr.arpa.", PTR),
        ["AltaTorreRd1--92011.ip.guifi.net."]
    );
    daemon.write(
        "/domains.xml",
        &DOMAINS.replace("10.90.1.11", "10.90.1.111"),
    );
    import(&bus, &daemon, "domains.xml");
    until("the change", || {
        (daemon.data("mail.vall.example.", A) == ["10.90.1.111"]).then_some(())
    });
    drop(portald);
    assert_eq!(daemon.stop("KILL"), None);
    daemon.run();
    assert_eq!(daemon.data("mail.vall.example.", A), ["10.90.1.111"]);
}
