//! The daemon against its contract: interface, proxies, manuals.

use crate::common;

use std::process::Command;

use clap::CommandFactory as _;
use common::{DETAIL, DOMAINS, FEDERATION, IPS, MockPortal, PROXIES, Place, block_on};
use guifi_bus::{PORTAL, read_lines};
use guifi_portald::{cli, config};
use guifi_testing::bus::contract;
use guifi_testing::{command_faults, document_faults, interface, key_faults, member_faults, page};
use serde_json::Value;
use zbus::OwnedFd;

fn lines(fd: OwnedFd) -> Vec<Value> {
    read_lines(fd).unwrap()
}

#[test]
fn the_daemon_introspects_its_interface() {
    let place = Place::start("");
    let seen = block_on(place.bus.introspect(PORTAL.name, PORTAL.path));
    assert_eq!(contract(&seen), contract(&interface("net.guifi.Portal1")));
}

#[test]
fn every_method_answers_and_every_member_is_in_the_manual() {
    let place = Place::start("");
    let mut documents = Vec::new();
    for (name, text) in [
        ("a", DETAIL),
        ("b", DOMAINS),
        ("c", FEDERATION),
        ("d", PROXIES),
        ("e", IPS),
    ] {
        let file = place.write(name, text);
        let file = std::fs::File::open(file).unwrap();
        let fd = OwnedFd::from(std::os::fd::OwnedFd::from(file));
        let told = place.bus(|_, admin| async move { admin.import(fd).await.unwrap() });
        documents.push(serde_json::from_str(&told).unwrap());
    }
    place.bus(|portal, admin| async move {
        for text in [
            portal.describe().await.unwrap(),
            portal.node("AltaTorre").await.unwrap(),
            portal.zone_of("10.90.1.1").await.unwrap(),
        ] {
            documents.push(serde_json::from_str(&text).unwrap());
        }
        for (fd, count) in [
            (portal.zones().await.unwrap(), 3),
            (portal.services("", 0).await.unwrap(), 6),
            (portal.links(900).await.unwrap(), 5),
            (portal.proxies(0).await.unwrap(), 1),
            (portal.domains(9503).await.unwrap(), 1),
            (portal.federation(9502).await.unwrap(), 2),
            (portal.addresses().await.unwrap(), 3),
        ] {
            let found = lines(fd);
            assert_eq!(found.len(), count);
            documents.extend(found);
        }
        let missing = [
            portal.node("nowhere").await.err(),
            portal.zone_of("10.90.9.9").await.err(),
            portal.domains(1).await.err(),
            portal.federation(1).await.err(),
            portal.links(77).await.err(),
            portal.proxies(77).await.err(),
            portal.services("", 77).await.err(),
            admin.fetch("cnml/900").await.err(),
        ];
        for error in missing {
            let text = error.unwrap().to_string();
            assert!(text.contains("net.guifi.Error.NotFound"), "{text}");
        }
        for error in [
            portal.zone_of("x").await.err(),
            admin.fetch("x").await.err(),
        ] {
            let text = error.unwrap().to_string();
            assert!(text.contains("net.guifi.Error.Invalid"), "{text}");
        }
        let page = page("net.guifi.Portal1.5");
        for mut document in documents {
            // Words of the portal's are values.
            if let Some(statuses) = document.pointer_mut("/held/nodes_by_status") {
                *statuses = Value::Null;
            }
            let faults = document_faults(&page, &document);
            assert!(faults.is_empty(), "{faults:#?} of {document}");
        }
    });
    let file = place.path("a");
    let checked = place.json(&["check", file.to_str().unwrap()]);
    assert_eq!(checked["held"]["nodes_by_status"]["Working"], 3);
    let mut checked = checked;
    checked["held"]["nodes_by_status"] = Value::Null;
    let faults = document_faults(
        &(page("guifi-portal.1") + &page("net.guifi.Portal1.5")),
        &checked,
    );
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_signal_comes_after_the_data_mock_portal() {
    let portal = MockPortal::example();
    let place = Place::start(&portal.line());
    block_on(async {
        let connection = place.bus.connect().await;
        let proxy = guifi_bus::PortalProxy::new(&connection).await.unwrap();
        let mut refreshed = proxy.receive_refreshed().await.unwrap();
        place.configure(&(portal.line() + "zones = [900]\n"));
        let pid = place.pid().to_string();
        Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        for expected in [("cnml", 900), ("proxies", 900)] {
            let signal = futures_util::StreamExt::next(&mut refreshed).await.unwrap();
            let told = signal.args().unwrap();
            assert_eq!((told.what.as_str(), told.id), expected);
            assert_eq!(lines(proxy.services("", 0).await.unwrap()).len(), 6);
        }
    });
}

#[test]
fn the_manuals_name_every_option_key_and_member() {
    let mut faults = Vec::new();
    for (name, command) in [
        ("guifi-portald.8", cli::Cli::command()),
        ("guifi-portal.1", cli::Command::command()),
    ] {
        let found = command_faults(&page(name), &command);
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    faults.extend(key_faults(&page("guifi-portald.toml.5"), config::KEYS));
    let members = interface("net.guifi.Portal1");
    faults.extend(member_faults(&page("net.guifi.Portal1.5"), &members));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn without_a_bus_and_with_a_wrong_configuration_they_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = |program: &str, words: &[&str]| {
        let done = Command::new(program)
            .args(words)
            .env("GUIFI_ROOT", dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .output()
            .unwrap();
        done.status.code().unwrap()
    };
    let (daemon, command) = (
        env!("CARGO_BIN_EXE_guifi-portald"),
        env!("CARGO_BIN_EXE_guifi-portal"),
    );
    assert_eq!(run(command, &["zones"]), 69);
    assert_eq!(run(command, &["nonsense"]), 2);
    assert_eq!(run(command, &["fetch", "--confirm"]), 2);
    let file = dir.path().join("x.xml");
    std::fs::write(&file, DETAIL).unwrap();
    assert_eq!(run(command, &["check", file.to_str().unwrap()]), 0);
    assert_eq!(run(daemon, &["--check"]), 0);
    let etc = dir.path().join("etc/guifi");
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(etc.join("portald.toml"), "zone = [1]\n").unwrap();
    assert_eq!(run(daemon, &["--check"]), 78);
}
