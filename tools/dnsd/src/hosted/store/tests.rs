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
fn a_zone_comes_back_with_its_changes() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let name = Name::parse("z").unwrap();
    let (inside, outside) = ((&name, View::Internal), (&name, View::External));
    let mut store = Store::open(&root).unwrap();
    assert_eq!(store.load(inside).unwrap(), None);
    store
        .replace(inside, (b"s", 5), &[record("a.z", 3)], None)
        .unwrap();
    store
        .append(
            &[(inside, &delta(1, 10)), (inside, &delta(2, 10))],
            |_| unreachable!(),
        )
        .unwrap();
    drop(store);
    let mut store = Store::open(&root).unwrap();
    let kept = store.load(inside).unwrap().unwrap();
    assert_eq!((kept.source.as_slice(), kept.refreshed), (&b"s"[..], 5));
    assert_eq!(kept.records, [record("a.z", 3)]);
    assert_eq!(kept.changes, [delta(1, 10), delta(2, 10)]);
    assert_eq!(store.load(outside).unwrap(), None);
    assert_eq!(store.since(inside, 2).unwrap().unwrap(), [delta(2, 10)]);
    assert_eq!(store.since(inside, 3).unwrap(), None);
    assert_eq!(store.zones().unwrap(), [(name.clone(), View::Internal)]);
    // A zone that is written whole keeps the way for others.
    store
        .replace(inside, (b"t", 6), &[record("c.z", 3)], Some(&delta(3, 1)))
        .unwrap();
    let kept = store.load(inside).unwrap().unwrap();
    assert_eq!(
        (kept.records, kept.changes),
        (vec![record("c.z", 3)], vec![])
    );
    assert_eq!(store.since(inside, 1).unwrap().unwrap().len(), 3);
    store
        .append(&[(inside, &delta(4, 1))], |_| unreachable!())
        .unwrap();
    assert_eq!(store.load(inside).unwrap().unwrap().changes, [delta(4, 1)]);
    store.replace(inside, (b"t", 6), &[], None).unwrap();
    assert_eq!(store.since(inside, 4).unwrap(), None);
    store.remove(inside).unwrap();
    assert!(store.zones().unwrap().is_empty());
}

#[test]
fn many_changes_are_written_into_the_zone_and_old_ones_go() {
    let directory = tempfile::tempdir().unwrap();
    let name = Name::parse("z").unwrap();
    let key = (&name, View::Internal);
    let mut store = Store::open(&Root::new(directory.path())).unwrap();
    store.replace(key, (b"", 0), &[], None).unwrap();
    for n in 0..100 {
        let whole = |_: Key<'_>| vec![record("w.z", n as usize)];
        store.append(&[(key, &delta(n, 30_000))], whole).unwrap();
    }
    let kept = store.load(key).unwrap().unwrap();
    assert!(kept.records[0].data.len() > 30, "written whole twice");
    assert!(kept.changes.len() < 40);
    assert_eq!(store.since(key, 0).unwrap(), None);
    assert!(store.since(key, 80).unwrap().unwrap().len() == 20);
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
