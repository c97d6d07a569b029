//! Real boxes over real peerds: joining, replication, refusals, crashes.

use crate::town;

use std::collections::BTreeSet;
use std::fs;

use guifi_bus::{RegistryAdminProxy, RegistryProviderProxy, RegistryProxy, read_lines};
use serde_json::{Value, json};
use town::{Place, block_on, until};
use zbus::Variant;

fn town<const N: usize>() -> [Place; N] {
    let places: [Place; N] = std::array::from_fn(|_| Place::new());
    places[0].found("osona", "one");
    for n in 1..N {
        places[n].enter(&places[n - 1], &format!("box{n}")).unwrap();
    }
    for place in &places {
        until("all boxes are known everywhere", || {
            place.names("box").len() == N
        });
    }
    places
}

#[test]
fn a_record_travels_and_its_removal_too() {
    let [a, b, c] = town();
    a.says(&["put", "service", "_http._tcp/Fotos 📷", r#"{"port":80}"#]);
    for place in [&b, &c] {
        until("the record is everywhere", || {
            place.names("service") == ["_http._tcp/Fotos 📷"]
        });
    }
    let shown = c.says(&["show", "one", "service", "_http._tcp/Fotos 📷", "--json"]);
    let record: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&record["body"], &record["state"]),
        (&json!({"port": 80}), &json!("live"))
    );
    a.says(&["remove", "service", "_http._tcp/Fotos 📷"]);
    for place in [&b, &c] {
        until("it is gone everywhere", || {
            place.names("service").is_empty()
        });
        assert!(place.says(&["verify"]).contains("bad:"));
    }
    assert!(b.says(&["members"]).contains("box2"));
}

#[test]
fn every_method_answers_or_says_why_not() {
    let place = Place::new();
    let not_joined = place.registry(&["put", "service", "x", "{}"]);
    assert_eq!(not_joined.status.code(), Some(69), "{not_joined:?}");
    place.found("osona", "one");
    block_on(async {
        let connection = place.connect().await;
        let reads = RegistryProxy::new(&connection).await.unwrap();
        let provider = RegistryProviderProxy::new(&connection).await.unwrap();
        let admin = RegistryAdminProxy::new(&connection).await.unwrap();
        let version = provider
            .put("service", "x", r#"{"port":1}"#, 3600)
            .await
            .unwrap();
        let same = provider
            .put("service", "x", r#"{"port":1}"#, 3600)
            .await
            .unwrap();
        assert_eq!(version, same, "an equal body costs nothing");
        provider
            .set_part("box", "box", "dns", r#"{"on":true}"#)
            .await
            .unwrap();
        let described: Value = serde_json::from_str(&reads.describe().await.unwrap()).unwrap();
        let own = described["key"].as_str().unwrap();
        let boxed: Value =
            serde_json::from_str(&reads.get(own, "box", "box").await.unwrap()).unwrap();
        assert_eq!(boxed["body"]["dns"]["on"], true);
        assert!(boxed["body"]["spine"]["name"] == "one");
        let (epoch, at, whole, fd) = reads
            .list(&["service"], Default::default(), "", 0)
            .await
            .unwrap();
        assert!(whole && read_lines::<Value>(fd).unwrap().len() == 1);
        provider.remove("service", "x").await.unwrap();
        let (_, _, whole, fd) = reads
            .list(&["service"], Default::default(), &epoch, at)
            .await
            .unwrap();
        let changes = read_lines::<Value>(fd).unwrap();
        assert!(!whole && changes.len() == 1 && changes[0]["removed"] == true);
        for (call, error) in [
            (
                provider.put("member", "0", "{}", 0).await.unwrap_err(),
                "NotAllowed",
            ),
            (
                admin.put("ban", "0", "{}", 0).await.unwrap_err(),
                "NotAllowed",
            ),
            (
                provider.put("service", "x", "[]", 0).await.unwrap_err(),
                "Invalid",
            ),
            (
                provider
                    .put("service", "x", r#"{"a":1.5}"#, 0)
                    .await
                    .unwrap_err(),
                "Invalid",
            ),
            (
                provider
                    .put("service", &"x".repeat(200), "{}", 0)
                    .await
                    .unwrap_err(),
                "Invalid",
            ),
            (
                provider
                    .put(
                        "service",
                        "x",
                        &format!("{{\"a\":\"{}\"}}", "x".repeat(5000)),
                        0,
                    )
                    .await
                    .unwrap_err(),
                "Invalid",
            ),
            (
                provider.remove("service", "gone").await.unwrap_err(),
                "NotFound",
            ),
            (
                provider
                    .set_part("box", "box", "spine", "{}")
                    .await
                    .unwrap_err(),
                "NotAllowed",
            ),
        ] {
            assert!(call.to_string().contains(error), "{call}");
        }
        assert!(reads.get("nonsense", "box", "box").await.is_err());
        assert!(
            admin
                .probe("127.0.0.1:1")
                .await
                .unwrap_err()
                .to_string()
                .contains("already")
        );
        admin.remove("service", "x").await.unwrap_err();
        let verified: Value = serde_json::from_str(&admin.verify().await.unwrap()).unwrap();
        assert_eq!(verified["bad"], json!([]));
        admin.leave().await.unwrap();
        let described: Value = serde_json::from_str(&reads.describe().await.unwrap()).unwrap();
        assert_eq!(described["joined"], false);
    });
}

#[test]
fn joining_twice_changes_nothing_and_wrong_joins_say_why() {
    let [a, b] = town();
    assert_eq!(b.enter(&a, "box1").unwrap()["changed"], false);
    assert_eq!(b.enter(&a, "renamed").unwrap()["changed"], true);
    until("the new name is known", || {
        a.says(&["members"]).contains("renamed")
    });
    let elsewhere = b.join(&[
        ("community", Variant::from("bages".to_owned())),
        ("name", Variant::from("x".to_owned())),
    ]);
    assert!(elsewhere.unwrap_err().to_string().contains("already"));
    let c = Place::new();
    for (result, why) in [
        (c.enter(&a, "ONE"), "taken"),
        (c.enter(&a, "no name"), "not a host name"),
        (
            c.join(&[("name", Variant::from("c".to_owned()))]),
            "no seed",
        ),
        (
            c.join(&[
                ("name", Variant::from("c".to_owned())),
                ("community", Variant::from("bages".to_owned())),
                (
                    "seeds",
                    Variant::from(vec![format!("127.0.0.1:{}", a.port)]),
                ),
            ]),
            "belongs to the community osona",
        ),
        (
            c.join(&[
                ("name", Variant::from("c".to_owned())),
                ("seeds", Variant::from(vec!["127.0.0.1:1".to_owned()])),
            ]),
            "cannot reach",
        ),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(c.describe()["joined"], false);
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_of_everything() {
    let [mut a, b] = town();
    for n in 0..5 {
        a.says(&["put", "service", &format!("_x._tcp/{n}"), r#"{"port":1}"#]);
        a.kill_registryd();
        if n % 2 == 0 {
            a.kill_peerd();
            a.start_peerd();
        }
        a.start_registryd();
        a.ready();
    }
    let all: BTreeSet<String> = (0..5).map(|n| format!("_x._tcp/{n}")).collect();
    assert_eq!(a.names("service").into_iter().collect::<BTreeSet<_>>(), all);
    until("the other box has them all", || {
        b.names("service").into_iter().collect::<BTreeSet<_>>() == all
    });
}

#[test]
fn a_damaged_database_is_rebuilt_from_the_peers() {
    let [a, mut b] = town();
    a.says(&["put", "service", "_x._tcp/a", "{}"]);
    until("it is known", || b.names("service").len() == 1);
    b.kill_registryd();
    let database = b.dir.path().join("var/lib/guifi/registryd/registry.db");
    fs::write(&database, vec![0x5a; 60_000]).unwrap();
    let _ = fs::remove_file(database.with_extension("db-wal"));
    b.start_registryd();
    b.ready();
    until("the records are back", || b.names("service").len() == 1);
    let aside = b.describe()["damaged_database"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(fs::read(aside).unwrap().len(), 60_000);
}

#[test]
fn a_stopped_box_is_stale_elsewhere_and_live_when_it_returns() {
    let [a, mut b] = town();
    let state = |a: &Place| {
        let line = a.says(&["show", "box1", "box", "box", "--json"]);
        serde_json::from_str::<Value>(&line).unwrap()["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(state(&a), "live");
    b.stop_registryd();
    until("it is stale", || state(&a) == "stale");
    b.start_registryd();
    b.ready();
    until("it is live", || state(&a) == "live");
}

#[test]
fn the_bus_may_die_and_return() {
    let [a, mut b] = town();
    b.bus.kill();
    a.says(&["put", "service", "_x._tcp/a", "{}"]);
    b.bus.restart();
    b.ready();
    until("the record came meanwhile", || {
        b.names("service").len() == 1
    });
}

#[test]
fn a_box_that_is_met_at_its_address_has_a_witness() {
    let [a, b] = std::array::from_fn(|_| Place::new());
    a.found("osona", "one");
    let listed = a.describe()["addresses"].clone();
    let Some(address) = listed[0].as_str() else {
        return; // this host has no network, and loopback is nobody's address
    };
    let seed = match address.parse().unwrap() {
        std::net::IpAddr::V4(address) => format!("{address}:{}", a.port),
        std::net::IpAddr::V6(address) => format!("[{address}]:{}", a.port),
    };
    let options = [
        ("seeds", Variant::from(vec![seed])),
        ("name", Variant::from("two".to_owned())),
    ];
    b.join(&options).unwrap();
    for (at, name) in [(&a, "two"), (&b, "one"), (&b, "two")] {
        until("it is witnessed", || {
            let shown = at.registry(&["show", name, "box", "box", "--json"]);
            serde_json::from_slice::<Value>(&shown.stdout)
                .is_ok_and(|line| line["witnessed"].as_array().is_some_and(|w| !w.is_empty()))
        });
    }
}
