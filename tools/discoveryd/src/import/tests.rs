#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn service(owner: &str, name: &str, address: &str) -> Value {
    json!({"name": name, "type": "_HTTP._tcp", "scope": "community", "box": format!("box-{owner}"),
        "owner": owner.repeat(26), "host": null, "addresses": [address], "port": 80,
        "txt": ["path=/"], "state": "live", "own": false})
}

fn duty(index: i32, address: &str, kind: &str) -> Duty {
    Duty {
        link: Interface::of(index, address.parse().unwrap(), 24),
        types: [kind.to_owned()].into(),
    }
}

fn names(plan: &BTreeMap<Id, Wanted>) -> Vec<(i32, &str)> {
    plan.iter().map(|(id, w)| (id.0, w.name.as_str())).collect()
}

#[test]
fn an_entry_has_all_that_a_program_of_the_link_needs() {
    let mut printer = service("ab", "Printer", "10.2.0.9");
    printer["host"] = json!("printer");
    let (plan, left_out) = plan(&[printer], &[duty(3, "10.1.0.1", "_http._tcp")]);
    let wanted = plan.values().next().unwrap();
    assert_eq!((plan.len(), left_out), (1, 0));
    assert_eq!(wanted.host, "printer-box-ab-abababab.local");
    assert_eq!(wanted.addresses, ["10.2.0.9".parse::<IpAddr>().unwrap()]);
    let origin = format!("guifi-origin={}", "ab".repeat(26));
    assert_eq!(wanted.txt, ["path=/".to_owned(), origin]);
}

#[test]
fn nothing_is_shown_that_is_here_already_or_not_there_at_all() {
    let with = |member: &str, value: Value| {
        let mut service = service("ab", "Photos", "10.2.0.2");
        service[member] = value;
        service
    };
    let services = [
        with("state", json!("stale")),
        with("state", json!("unhealthy")),
        with("own", json!(true)),
        with("addresses", json!([])),
        with("addresses", json!(["169.254.1.1", "fe80::1"])),
        with("addresses", json!(["10.1.0.7"])),
        with("type", json!("_ipp._tcp")),
        with("txt", json!(["Guifi-Origin=x"])),
        with("txt", json!(["x".repeat(256)])),
        with("name", json!("a\u{7}b")),
        with("port", json!(70_000)),
        with("box", json!("no label")),
    ];
    for service in services {
        let (plan, _) = plan(
            std::slice::from_ref(&service),
            &[duty(3, "10.1.0.1", "_http._tcp")],
        );
        assert!(plan.is_empty(), "{service}: {plan:?}");
    }
}

#[test]
fn a_service_goes_to_every_link_but_its_own() {
    let services = [
        service("ab", "Photos", "10.2.0.2"),
        service("cd", "Music", "10.1.0.2"),
    ];
    let duties = [
        duty(3, "10.1.0.1", "_http._tcp"),
        duty(4, "10.2.0.1", "_http._tcp"),
    ];
    let (plan, _) = plan(&services, &duties);
    assert_eq!(names(&plan), [(3, "Photos"), (4, "Music")]);
}

#[test]
fn names_that_meet_on_a_link_carry_their_box_whatever_their_zone() {
    let services = [
        service("ab", "Photos", "10.2.0.2"),
        service("cd", "photos", "10.3.0.2"),
        service("ef", "Photos", "10.1.0.2"),
        service("ef", "Music", "10.1.0.2"),
        service("ab", "Films", "10.2.0.2"),
    ];
    let (plan, _) = plan(&services, &[duty(3, "10.1.0.1", "_http._tcp")]);
    let expected = [(3, "Films"), (3, "Photos (box-ab)"), (3, "photos (box-cd)")];
    assert_eq!(names(&plan), expected);
}

#[test]
fn there_is_an_end_to_the_entries_and_it_is_the_same_for_all() {
    let mut services: Vec<Value> = (0..3000)
        .map(|n| service("ab", &format!("Site {n:04}"), "10.2.0.2"))
        .collect();
    let duties = [duty(3, "10.1.0.1", "_http._tcp")];
    let (first, left_out) = plan(&services, &duties);
    assert_eq!((first.len(), left_out), (500, 2500));
    services.reverse();
    assert_eq!(plan(&services, &duties).0, first);
}

#[test]
fn host_names_fit_and_never_meet() {
    let address: IpAddr = "10.2.0.2".parse().unwrap();
    let name = |host: Option<&str>, owner_name: &str| {
        host_name(host, owner_name, &"ab".repeat(26), &address)
    };
    assert_eq!(name(None, "vic-01"), "vic-01-abababab");
    assert_ne!(name(Some("vic"), "01"), name(None, "01"));
    assert_eq!(name(None, &"x".repeat(60)), "host-10-2-0-2-abababab");
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(name in ".{0,80}", owner in ".{0,60}", host in ".{0,70}", txt in prop::collection::vec(".{0,300}", 0..6)) {
        let mut service = service("ab", &name, "10.2.0.2");
        service["owner"] = json!(owner);
        service["box"] = json!(host);
        service["txt"] = json!(txt);
        let (plan, _) = plan(&[service], &[duty(3, "10.1.0.1", "_http._tcp")]);
        for wanted in plan.values() {
            prop_assert!(wanted.name.len() <= 63 && wanted.host.len() <= 69);
        }
    }
}
