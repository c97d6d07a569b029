#![allow(clippy::unwrap_used)]
use super::*;
use crate::testing::Signer;
use serde_json::json;
use std::sync::Arc;

#[test]
fn records_come_back_and_dropped_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let signer = Signer::new(1);
    let a = Arc::new(signer.record([7; 32], "service", "a", 1000, json!({"x": 1})));
    let b = Arc::new(signer.record([7; 32], "service", "b", 1000, json!({"x": 2})));
    let mut opened = Store::open(&path).unwrap();
    assert!(opened.records.is_empty());
    opened
        .store
        .apply(&[Change::Put(a.clone()), Change::Put(b.clone())])
        .unwrap();
    opened.store.apply(&[Change::Drop(a.key.clone())]).unwrap();
    drop(opened);
    assert_eq!(Store::open(&path).unwrap().records, [b]);
}

#[test]
fn what_is_not_as_it_was_stored_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let signer = Signer::new(1);
    let record = |name| Arc::new(signer.record([7; 32], "service", name, 1000, json!({"x": 1})));
    let (a, b) = (record("a"), record("b"));
    let mut opened = Store::open(&path).unwrap();
    let both = [Change::Put(a.clone()), Change::Put(b.clone())];
    opened.store.apply(&both).unwrap();
    drop(opened);
    assert!(Store::open(&path).unwrap().unsure.is_empty());
    // A bit of the signature, which ends the record: what it says is not touched.
    let mut bytes = b.encode();
    *bytes.last_mut().unwrap() ^= 1;
    let direct = Connection::open(&path).unwrap();
    let changed = direct.execute("UPDATE record SET encoded = ?1 WHERE name = 'b'", [bytes]);
    assert_eq!(changed, Ok(1));
    let opened = Store::open(&path).unwrap();
    assert_eq!(opened.records.len(), 2);
    assert_eq!(opened.unsure, HashSet::from([b.hash]));
}

#[test]
fn a_database_without_sums_is_read_and_gets_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let signer = Signer::new(1);
    let old = Arc::new(signer.record([7; 32], "service", "a", 1000, json!({"x": 1})));
    let direct = Connection::open(&path).unwrap();
    direct
        .execute_batch(
            "CREATE TABLE record (owner BLOB NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
             encoded BLOB NOT NULL, PRIMARY KEY (owner, kind, name)) WITHOUT ROWID;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    let key = &old.key;
    direct
        .execute(
            "INSERT INTO record VALUES (?1, ?2, ?3, ?4)",
            params![key.owner.0, key.kind, key.name, old.encode()],
        )
        .unwrap();
    drop(direct);
    let mut opened = Store::open(&path).unwrap();
    assert_eq!(opened.records, std::slice::from_ref(&old));
    assert_eq!(opened.unsure, HashSet::from([old.hash]));
    opened.store.apply(&[Change::Put(old.clone())]).unwrap();
    drop(opened);
    let opened = Store::open(&path).unwrap();
    assert!(opened.records == [old] && opened.unsure.is_empty());
}

#[test]
fn a_damaged_database_is_set_aside_and_an_empty_one_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let signer = Signer::new(1);
    let mut opened = Store::open(&path).unwrap();
    for n in 0..200 {
        let record = signer.record([7; 32], "service", &format!("{n}"), 1000, json!({"x": n}));
        opened
            .store
            .apply(&[Change::Put(Arc::new(record))])
            .unwrap();
    }
    drop(opened);
    let mut bytes = fs::read(&path).unwrap();
    for byte in bytes.iter_mut().skip(4096) {
        *byte ^= 0x5a;
    }
    fs::write(&path, &bytes).unwrap();
    let opened = Store::open(&path).unwrap();
    assert!(opened.records.is_empty());
    // SQLite may have touched the header before it saw the damage.
    let aside = fs::read(opened.set_aside.unwrap()).unwrap();
    assert!(aside[4096..] == bytes[4096..]);
}

#[test]
fn a_file_that_is_no_database_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    fs::write(
        &path,
        "not a database, but long enough to be looked at".repeat(40),
    )
    .unwrap();
    assert!(Store::open(&path).unwrap().set_aside.is_some());
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Store::open(&dir.path().join("missing/registry.db")).is_err());
}

#[test]
fn who_is_away_is_kept_as_set_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    let absence = |n: u8, days| Absence {
        identity: Key([n; 32]),
        days,
        last_day: 20_000 + u64::from(days),
    };
    let (a, b) = (absence(1, 3), absence(2, 4));
    let mut opened = Store::open(&path).unwrap();
    assert!(opened.absences.is_empty());
    opened.store.set_absences(&[&a, &b]).unwrap();
    opened.store.set_absences(&[&b]).unwrap();
    drop(opened);
    assert_eq!(Store::open(&path).unwrap().absences, [b]);
}
