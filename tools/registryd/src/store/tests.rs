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
