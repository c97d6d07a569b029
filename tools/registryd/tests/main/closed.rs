//! Closed communities: real boxes, a real door.

use crate::town;

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

#[test]
fn a_banned_box_is_out_everywhere_at_once_and_what_it_sponsored_stays() {
    let [one, two, three] = std::array::from_fn(|_| Place::new());
    found(&one, &[]);
    let invitation = invite(&one, &["--uses", "2"]);
    for (place, name) in [(&two, "two"), (&three, "three")] {
        enter_by(place, &one, &invitation, name).unwrap();
    }
    for place in [&one, &two, &three] {
        until("all know each other", || place.names("box").len() == 3);
    }
    let own = one.registry(&["ban", "one", "--yes"]);
    assert_eq!(own.status.code(), Some(1), "{own:?}");
    let unasked = one.registry(&["ban", "two"]);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    assert_eq!(
        two.registry(&["ban", "three", "--yes"]).status.code(),
        Some(77)
    );
    assert!(one.says(&["ban", "two", "--yes"]).contains("is banned"));
    let told = until_told(&two);
    assert!(
        told["expelled"].as_str().unwrap().contains("banned"),
        "{told}"
    );
    for place in [&one, &three] {
        until("its records are gone", || place.names("box").len() == 2);
        until("nobody speaks with it", || {
            let peers = place.describe()["connected_peers"].clone();
            !peers.as_array().unwrap().contains(&key(&two).into())
        });
    }
    until("it is alone", || {
        two.describe()["connected_peers"] == serde_json::json!([])
    });
    assert_eq!(three.describe()["members"], 2);
    assert!(one.says(&["appoint", "three"]).contains("administrator"));
    until("three knows its rank", || {
        three.describe()["administrator"] == true
    });
    one.says(&["dismiss", "three"]);
    until("three is a member still", || {
        let state = three.describe();
        state["administrator"] == false && state["member"] == true
    });
    assert!(one.says(&["confirm-name", "three"]).contains(&key(&three)));
}

fn until_told(place: &Place) -> Value {
    until("it is told", || place.describe()["member"] == false);
    place.describe()
}

/// The text that guifi-invite prints, and nothing else.
fn invite(place: &Place, words: &[&str]) -> String {
    let output = place.runs("guifi-invite", words);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim().to_owned()
}

/// Boxes of a test reach each other on the loopback, which no invitation names: a seed beside it.
fn enter_by(
    place: &Place,
    seed: &Place,
    invitation: &str,
    name: &str,
) -> Result<Value, zbus::Error> {
    let seed = format!("{}@127.0.0.1:{}", key(seed), seed.port);
    place.join(&[
        ("seeds", Variant::from(vec![seed])),
        ("invitation", Variant::from(invitation.to_owned())),
        ("name", Variant::from(name.to_owned())),
    ])
}

#[test]
fn an_invitation_admits_at_once_at_any_member_as_often_as_it_says() {
    let [mut one, two, three, four] = std::array::from_fn(|_| Place::new());
    found(&one, &[]);
    let invitation = invite(&one, &["--uses", "2", "--expires", "1h"]);
    enter_by(&two, &one, &invitation, "two").unwrap();
    for place in [&one, &two] {
        until("both know each other", || place.names("box").len() == 2);
    }
    one.kill_registryd();
    one.kill_peerd();
    enter_by(&three, &two, &invitation, "three").unwrap();
    until("three and two know each other", || {
        three.names("box").len() == 3
    });
    let spent = enter_by(&four, &two, &invitation, "four").unwrap_err();
    assert!(spent.to_string().contains("all 2 uses"), "{spent}");
    assert_eq!(four.describe()["joined"], false);
    one.start_peerd();
    one.start_registryd();
    one.ready();
    until("the administrator knows three", || {
        one.names("box").len() == 3
    });
    let listed = one.runs("guifi-invite", &["list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(
        (&listed["state"], &listed["used"]),
        (&"used".into(), &2.into())
    );
    let denied = two.runs("guifi-invite", &[]);
    assert_eq!(denied.status.code(), Some(77), "{denied:?}");
}

#[test]
fn a_mistyped_and_a_revoked_invitation_are_told() {
    let [one, two] = std::array::from_fn(|_| Place::new());
    found(&one, &[]);
    let picture = one.runs("guifi-invite", &["--qr"]);
    let picture = String::from_utf8(picture.stdout).unwrap();
    assert!(picture.contains('█') && picture.lines().last().unwrap().starts_with("guifi1"));
    let invitation = invite(&one, &[]);
    let (head, tail) = invitation.split_at(40);
    let swapped = format!("{head}{}{}{}", &tail[1..2], &tail[..1], &tail[2..]);
    if swapped != invitation {
        let mistyped = enter_by(&two, &one, &swapped, "two").unwrap_err();
        assert!(mistyped.to_string().contains("mistyped"), "{mistyped}");
    }
    let revoked = one.runs("guifi-invite", &["revoke", "1"]);
    assert!(revoked.status.success(), "{revoked:?}");
    let refused = enter_by(&two, &one, &invitation, "two").unwrap_err();
    assert!(
        refused.to_string().contains("has been revoked"),
        "{refused}"
    );
}
