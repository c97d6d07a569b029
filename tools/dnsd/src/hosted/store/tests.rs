//! The database: kept, grown, damaged.
#![allow(clippy::unwrap_used)]
use super::*;

fn record(owner: &str, octets: usize) -> Record {
    Record {
        owner: Name::parse(owner).unwrap(),
        rtype: 16,
        ttl: 60,
        data: vec![7; octets].into(),
    }
}

fn delta(from: u32, octets: usize) -> Delta {
    Delta {
        from,
        to: from + 1,
        removed: vec![record("a.z", 1)],
        added: vec![record("b.z", octets)],
    }
}

#[test]
fn a_zone_comes_back_with_the_changes_that_led_there() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let name = Name::parse("z").unwrap();
    let (inside, outside) = ((&name, View::Internal), (&name, View::External));
    let mut store = Store::open(&root).unwrap();
    assert_eq!(store.load(inside).unwrap(), None);
    let put = |store: &mut Store, octets, delta: Option<&Delta>| {
        store
            .replace(inside, b"s", &[record("a.z", octets)], delta)
            .unwrap();
    };
    put(&mut store, 1, None);
    for n in 1..4 {
        put(&mut store, 1 + n as usize, Some(&delta(n, 10)));
    }
    drop(store);
    let mut store = Store::open(&root).unwrap();
    let kept = store.load(inside).unwrap().unwrap();
    assert_eq!(
        (kept.source.as_slice(), kept.records),
        (&b"s"[..], vec![record("a.z", 4)])
    );
    assert_eq!(store.load(outside).unwrap(), None);
    assert_eq!(
        store.since(inside, 2).unwrap().unwrap(),
        [delta(2, 10), delta(3, 10)]
    );
    assert_eq!(store.since(inside, 4).unwrap(), None);
    assert_eq!(store.since(outside, 2).unwrap(), None);
    assert_eq!(store.zones().unwrap(), [(name.clone(), View::Internal)]);
    store
        .db
        .execute("UPDATE journal SET added = x'ff' WHERE before = 3", [])
        .unwrap();
    assert_eq!(
        store.since(inside, 2).unwrap(),
        None,
        "a damaged change is none"
    );
    put(&mut store, 9, None);
    assert_eq!(store.since(inside, 1).unwrap(), None);
    store.remove(inside).unwrap();
    assert!(store.zones().unwrap().is_empty());
}

/// One step of one zone, made by two updates.
fn step<'a>(key: Key<'a>, delta: &'a Delta) -> Step<'a> {
    Step {
        key,
        delta,
        updates: 2,
    }
}

#[test]
fn changes_are_added_alone_and_folded_when_they_are_many() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let (name, other) = (Name::parse("z").unwrap(), Name::parse("other").unwrap());
    let (key, absent) = ((&name, View::Internal), (&other, View::Internal));
    let mut store = Store::open(&root).unwrap();
    store
        .replace(key, b"s", &[record("a.z", 5)], Some(&delta(1, 10)))
        .unwrap();
    let (second, third) = (delta(2, 10), delta(3, 20));
    store.append(&[step(key, &second)]).unwrap();
    store.append(&[step(key, &third)]).unwrap();
    let both = [step(key, &second), step(absent, &third)];
    assert!(store.append(&both).is_err(), "all or none");
    drop(store);
    let mut store = Store::open(&root).unwrap();
    let kept = store.load(key).unwrap().unwrap();
    assert_eq!(kept.records, [record("a.z", 5)]);
    assert_eq!(kept.changes, [second, third]);
    assert_eq!(kept.updates, 4);
    let mut n = 4;
    while !store.is_due(key) {
        store.append(&[step(key, &delta(n, 30_000))]).unwrap();
        n += 1;
    }
    assert_eq!(n, 39, "a MiB of them");
    store
        .fold(key, &blob::write(&[record("b.z", 7)]), 74)
        .unwrap();
    assert!(!store.is_due(key));
    store.append(&[step(key, &delta(n, 10))]).unwrap();
    let kept = store.load(key).unwrap().unwrap();
    assert_eq!(kept.records, [record("b.z", 7)]);
    assert_eq!((kept.changes, kept.updates), (vec![delta(n, 10)], 76));
    assert_eq!(store.since(key, 1).unwrap(), None, "old ones are forgotten");
    assert_eq!(store.since(key, n - 1).unwrap().unwrap().len(), 2);
    // A damaged one ends what is known; what comes later goes on from there.
    let damage =
        "UPDATE journal SET added = x'ff' WHERE number = (SELECT max(number) FROM journal)";
    store.append(&[step(key, &delta(n + 1, 10))]).unwrap();
    store.db.execute(damage, []).unwrap();
    drop(store);
    let mut store = Store::open(&root).unwrap();
    assert_eq!(store.load(key).unwrap().unwrap().changes.len(), 1);
    store.append(&[step(key, &delta(n + 1, 11))]).unwrap();
    let changes = store.load(key).unwrap().unwrap().changes;
    assert_eq!(changes, [delta(n, 10), delta(n + 1, 11)]);
    // What its source says counts alone from now on.
    store.replace(key, b"t", &[record("c.z", 1)], None).unwrap();
    let kept = store.load(key).unwrap().unwrap();
    assert_eq!((kept.changes, kept.updates), (Vec::new(), 0));
}

#[test]
fn a_database_of_before_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    fs::create_dir_all(root.join("/var/lib/guifi/dnsd")).unwrap();
    let old = Connection::open(root.join(FILE)).unwrap();
    let records = data_encoding::HEXLOWER.encode(&blob::write(&[record("a.z", 3)]));
    let insert = format!(
        "{SCHEMA} INSERT INTO zone VALUES (1, x'017a00', 0, x'73', x'{records}');
         INSERT INTO journal VALUES (1, 4, 6, 7, x'', x'');"
    );
    old.execute_batch(&insert).unwrap();
    drop(old);
    let name = Name::parse("z").unwrap();
    let key = (&name, View::Internal);
    for _ in 0..2 {
        let mut store = Store::open(&root).unwrap();
        store.append(&[step(key, &delta(7, 1))]).unwrap();
        let kept = store.load(key).unwrap().unwrap();
        assert_eq!(kept.records, [record("a.z", 3)]);
        assert_eq!(kept.changes[0], delta(7, 1));
        assert!(store.since(key, 6).unwrap().is_some());
    }
}

#[test]
fn of_many_changes_the_newest_stay() {
    let directory = tempfile::tempdir().unwrap();
    let name = Name::parse("z").unwrap();
    let key = (&name, View::Internal);
    let mut store = Store::open(&Root::new(directory.path())).unwrap();
    store.replace(key, b"", &[], None).unwrap();
    for n in 0..100 {
        store
            .replace(key, b"", &[], Some(&delta(n, 30_000)))
            .unwrap();
    }
    assert_eq!(store.since(key, 0).unwrap(), None);
    assert_eq!(store.since(key, 80).unwrap().unwrap().len(), 20);
    let kept = (0..100)
        .filter(|n| store.since(key, *n).unwrap().is_some())
        .count();
    assert_eq!(kept, 34, "a MiB of them");
}

#[test]
fn a_damaged_database_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    drop(Store::open(&root).unwrap());
    fs::write(
        root.join(FILE),
        b"this was a database once, before the disk failed........",
    )
    .unwrap();
    let store = Store::open(&root).unwrap();
    assert!(store.zones().unwrap().is_empty());
    let beside = fs::read_dir(root.join("/var/lib/guifi/dnsd")).unwrap();
    let aside = |name: String| name.contains(".bad-");
    assert!(
        beside
            .flatten()
            .any(|e| aside(e.file_name().to_string_lossy().into()))
    );
}
