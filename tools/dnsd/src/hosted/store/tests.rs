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
