//! What comes from the other sources, and what is known of all.

use std::fs::File;

use super::*;

#[test]
fn domains_and_addresses_come_back_as_the_interface_says() {
    let mut place = Place::new();
    assert_eq!(place.take(DOMAINS).unwrap().id, 9503);
    let document = &place.lines(|c| list::domains(c, 9503))[0];
    assert_eq!(document["fetched"], "2026-11-24T17:00:00Z");
    assert_eq!(
        (&document["service"], &document["generated"]),
        (&json!(9503), &json!("2024013105"))
    );
    assert_eq!(document["internal"]["masters"][0]["hosts"][1]["mx"], 10);
    assert!(
        list::domains(&reader(&place.path()).unwrap(), 1)
            .unwrap()
            .is_none()
    );
    place.take(IPS).unwrap();
    let addresses = place.lines(list::addresses);
    assert_eq!(
        addresses[0],
        json!({"address": "10.90.1.1", "device": 92011, "nick": "AltaTorreRd1"})
    );
    assert_eq!(addresses[2]["address"], "172.25.90.1");
    let error = place
        .take_as(DOMAINS, Some((Kind::Domains, 9)), false)
        .unwrap_err();
    assert!(error.to_string().contains("of service 9503 in place of 9"));
}

#[test]
fn federation_is_kept_in_its_order() {
    let mut place = Place::new();
    assert_eq!(place.take("9502-inout\n9505-out\n").unwrap().id, 9502);
    let lines = place.lines(|c| list::federation(c, 9502));
    assert_eq!(
        lines,
        [
            json!({"proxy": 9502, "mode": "inout", "admitted": true}),
            json!({"proxy": 9505, "mode": "out", "admitted": true})
        ]
    );
    assert!(
        place
            .take_as("9505-out\n", Some((Kind::Federation, 9502)), false)
            .is_err()
    );
}

#[test]
fn a_damaged_database_is_set_aside() {
    let mut place = Place::new();
    place.take(DETAIL).unwrap();
    let Place { dir, store } = place;
    drop(store);
    let path = dir.path().join("portal.db");
    File::create(&path)
        .unwrap()
        .write_all(&[b'x'; 8192])
        .unwrap();
    let store = Store::open(&path).unwrap();
    assert!(store.sources().unwrap().is_empty());
    assert!(dir.path().join("portal.db.damaged").exists());
}

#[test]
fn sources_keep_their_times_and_tokens() {
    let mut place = Place::new();
    let now: Timestamp = "2026-11-24T17:00:00Z".parse().unwrap();
    let meta = Meta {
        etag: Some("\"x\"".into()),
        modified: None,
        token: Some("17".into()),
    };
    place
        .store
        .take(&input(DETAIL), None, &meta, |_, _| false, now)
        .unwrap();
    let later = "2026-11-25T17:00:00Z".parse().unwrap();
    place
        .store
        .confirm(Kind::Cnml, 900, Some("18"), later)
        .unwrap();
    let source = place.store.sources().unwrap().remove(0);
    assert_eq!((source.fetched, source.checked), (now, later));
    assert_eq!(
        (source.token.as_deref(), source.etag.as_deref()),
        (Some("18"), Some("\"x\""))
    );
    assert_eq!(
        (source.entries, source.generated.as_str()),
        (6, "20240131 0105")
    );
}

#[test]
fn a_proxy_admits_users_as_the_access_rule_says() {
    let admitted = |text: &str| -> Vec<u64> {
        let mut place = Place::new();
        place.take(text).unwrap();
        let lines = place.lines(|c| list::federation(c, 9502));
        let admitted = lines.iter().filter(|line| line["admitted"] == true);
        admitted
            .map(|line| line["proxy"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(
        admitted("9502-inout\n9505-out\n9506-inout\n"),
        [9502, 9505, 9506]
    );
    assert_eq!(admitted("9502-in\n9505-in\n9506-private\n"), [9502]);
    assert_eq!(admitted("9502-out\n9505-out\n"), [9502]);
    assert_eq!(admitted("9502-private\n9505-out\n"), [9502]);
}
