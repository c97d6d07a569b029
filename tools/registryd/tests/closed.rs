//! Closed communities: real boxes, a real door.
#![allow(clippy::unwrap_used)]

mod town;

use serde_json::Value;
use town::{Place, until};
use zbus::Variant;

/// A closed community of the first place, further administrators by key.
fn found(place: &Place, administrators: &[String]) {
    place
        .join(&[
            ("community", Variant::from("osona".to_owned())),
            ("create", Variant::from(true)),
            ("closed", Variant::from(true)),
            ("administrators", Variant::from(administrators.to_vec())),
            ("name", Variant::from("one".to_owned())),
        ])
        .unwrap();
}

fn key(place: &Place) -> String {
    place.describe()["key"].as_str().unwrap().to_owned()
}

fn pending(place: &Place) -> Vec<Value> {
    place
        .says(&["pending", "--json"])
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn a_stranger_waits_through_a_member_and_a_restart_until_it_is_approved() {
    let [mut one, two, three] = std::array::from_fn(|_| Place::new());
    found(&one, &[]);
    let waits = two.enter(&one, "two").unwrap_err();
    assert!(guifi_bus::is_waiting(&waits), "{waits}");
    one.says(&["approve", "two"]);
    two.enter(&one, "two").unwrap();
    until("both know each other", || two.names("box").len() == 2);
    // By a member that does not decide.
    let waits = three.enter(&two, "three").unwrap_err();
    assert!(guifi_bus::is_waiting(&waits), "{waits}");
    assert_eq!(three.describe()["joined"], false);
    one.stop_registryd();
    one.start_registryd();
    one.ready();
    let waiting = pending(&one);
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(
        (&waiting[0]["key"], &waiting[0]["name"]),
        (&key(&three).into(), &"three".into())
    );
    assert_eq!(waiting[0]["address"], "127.0.0.1", "as the member saw it");
    let denied = two.registry(&["approve", "three"]);
    assert_eq!(denied.status.code(), Some(77), "{denied:?}");
    one.says(&["refuse", "three"]);
    let refused = three.enter(&one, "three").unwrap_err().to_string();
    assert!(refused.contains("refused"), "{refused}");
    one.says(&["approve", &key(&three)]);
    until("three gets in by two", || {
        three.enter(&two, "three").is_ok()
    });
    until("all know each other", || three.names("box").len() == 3);
    assert!(pending(&one).is_empty());
}

#[test]
fn a_founding_administrator_needs_no_approval_and_decides_as_well() {
    let [one, two, three] = std::array::from_fn(|_| Place::new());
    found(&one, &[key(&two)]);
    two.enter(&one, "two").unwrap();
    until("both know each other", || two.names("box").len() == 2);
    let listed = two.says(&["administrators", "--json"]);
    let names: Vec<Value> = listed
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["name"].clone())
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert!(guifi_bus::is_waiting(
        &three.enter(&two, "three").unwrap_err()
    ));
    assert!(two.says(&["pending"]).contains("three"));
    two.says(&["approve", "three"]);
    three.enter(&two, "three").unwrap();
}
