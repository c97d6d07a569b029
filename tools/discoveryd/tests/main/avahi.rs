//! The daemon with the real Avahi, on a link of their own in a network namespace.

use crate::common;

use std::fs;
use std::process::Command;

use common::{Place, until};

#[test]
fn a_service_is_seen_by_other_programs_and_by_ours_until_it_is_unpublished() {
    let test = "a_service_is_seen_by_other_programs_and_by_ours_until_it_is_unpublished";
    let Some(place) = Place::new(test, "") else {
        return;
    };
    let name = "Fotos d'en \"Pere\" v1.2 📷";
    let answer = place.publish(&[name, "_http._tcp", "8080", "path=/àlbum", "empty="]);
    assert_eq!(answer["seen_by"], "this link", "{answer}");
    until("Avahi announces it", || place.names("_http._tcp") == [name]);
    let [_, host, address, port, txt] = place.seen("_http._tcp").remove(0);
    assert_eq!(
        [host.as_str(), &address, &port],
        ["tester.local", "192.0.2.7", "8080"]
    );
    assert!(
        txt.contains("path=/àlbum") && txt.contains("empty="),
        "{txt}"
    );
    let found = place.browse("_http._tcp");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["name"], name);
    assert_eq!(found[0]["port"], 8080);
    assert_eq!(found[0]["own"], true);
    assert_eq!(found[0]["txt"].as_array().unwrap().len(), 2);
    place.says(&[env!("CARGO_BIN_EXE_guifi-unpublish"), name]);
    until("it is gone", || place.names("_http._tcp").is_empty());
    until("our own look sees that too", || place.browse("").is_empty());
}

#[test]
fn a_service_of_another_machine_is_announced_with_its_address() {
    let test = "a_service_of_another_machine_is_announced_with_its_address";
    let Some(place) = Place::new(test, "") else {
        return;
    };
    // Two services of one machine: both need its address.
    place.publish(&["--host=192.0.2.9", "Printer", "_ipp._tcp", "631"]);
    place.publish(&["--host=192.0.2.9", "Printer's page", "_http._tcp", "80"]);
    for kind in ["_ipp._tcp", "_http._tcp"] {
        until("the other machine's service is announced", || {
            place
                .seen(kind)
                .first()
                .is_some_and(|[_, host, address, ..]| {
                    host == "host-192-0-2-9.local" && address == "192.0.2.9"
                })
        });
    }
    // One of them goes: the other keeps the address.
    place.says(&[env!("CARGO_BIN_EXE_guifi-unpublish"), "Printer"]);
    until("it is gone", || place.names("_ipp._tcp").is_empty());
    let [_, _, address, ..] = place.seen("_http._tcp").remove(0);
    assert_eq!(address, "192.0.2.9");
}

#[test]
fn a_taken_name_gives_way_to_another_which_describe_shows() {
    let test = "a_taken_name_gives_way_to_another_which_describe_shows";
    let Some(mut place) = Place::new(test, "") else {
        return;
    };
    let first = place.announce("Photos", "_http._tcp", 9000);
    until("the first is announced", || {
        place.names("_http._tcp") == ["Photos"]
    });
    place.publish(&["Photos", "_http._tcp", "8080"]);
    until("the second has another name", || {
        place.names("_http._tcp") == ["Photos", "Photos #2"]
    });
    let shown = || place.shown_as("Photos");
    assert_eq!(shown().as_deref(), Some("Photos #2"));
    let ports = place.seen("_http._tcp").into_iter();
    let mut ports: Vec<String> = ports.map(|[n, _, _, p, _]| format!("{n} {p}")).collect();
    ports.sort();
    assert_eq!(ports, ["Photos #2 8080", "Photos 9000"]);
    // When everything begins anew without the other, the name is free again.
    drop(first);
    place.kill_avahi();
    until("the daemon notices", || place.shown_as("Photos").is_none());
    place.start_avahi();
    until("it has its own name", || {
        place.names("_http._tcp") == ["Photos"]
    });
    assert_eq!(place.shown_as("Photos").as_deref(), Some("Photos"));
}

#[test]
fn services_are_announced_again_whatever_restarts() {
    let test = "services_are_announced_again_whatever_restarts";
    let declared =
        "[[service]]\nname = 'Declared'\ntype = '_http._tcp'\nport = 81\ncheck = 'none'\n";
    let Some(mut place) = Place::new(test, declared) else {
        return;
    };
    place.publish(&["Commanded", "_http._tcp", "80"]);
    let both = |place: &Place, what: &str| {
        until(what, || {
            place.names("_http._tcp") == ["Commanded", "Declared"]
        });
        for name in ["Commanded", "Declared"] {
            assert_eq!(place.shown_as(name).as_deref(), Some(name));
        }
        assert_eq!(place.browse("_http._tcp").len(), 2);
    };
    both(&place, "both are announced");
    place.kill_avahi();
    until("the daemon notices", || {
        place.try_describe().unwrap()["avahi"]["running"] == false
    });
    // Published meanwhile: announced when Avahi is back.
    let answer = place.publish(&["Late", "_ipp._tcp", "631"]);
    assert_eq!(answer["seen_by"], "nobody until Avahi runs");
    place.start_avahi();
    both(&place, "both are announced after Avahi's restart");
    until("the third is too", || place.names("_ipp._tcp") == ["Late"]);
    place.kill_discoveryd();
    until("Avahi forgets its dead client", || {
        place.names("_http._tcp").is_empty()
    });
    place.start_discoveryd();
    both(&place, "both are announced after the daemon's restart");
    place.bus.kill();
    place.bus.restart();
    place.settled();
    both(&place, "both are announced after the bus's restart");
    until("the third is too", || place.names("_ipp._tcp") == ["Late"]);
}

#[test]
fn declared_services_come_and_go_with_their_file() {
    let test = "declared_services_come_and_go_with_their_file";
    let declare = |name: &str, port: u16| {
        format!(
            "[[service]]\nname = '{name}'\ntype = '_http._tcp'\nport = {port}\ncheck = 'none'\n"
        )
    };
    let Some(place) = Place::new(test, &declare("One", 81)) else {
        return;
    };
    until("it is announced", || place.names("_http._tcp") == ["One"]);
    let reload = |text: &str| {
        fs::write(
            place.dir.path().join("etc/guifi/services.d/test.toml"),
            text,
        )
        .unwrap();
        let pid = place.discoveryd_pid().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", "HUP", &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    reload(&format!("{}{}", declare("One", 82), declare("Two", 83)));
    until("one is changed and one is new", || {
        let mut seen: Vec<String> = place
            .seen("_http._tcp")
            .into_iter()
            .map(|[name, _, _, port, _]| format!("{name} {port}"))
            .collect();
        seen.sort();
        seen == ["One 82", "Two 83"]
    });
    reload(&declare("Two", 83));
    until("the first is gone", || place.names("_http._tcp") == ["Two"]);
}
