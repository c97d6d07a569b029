#![allow(clippy::unwrap_used)]

mod leases;
mod recovery;

use std::path::Path;

use guifi_streams::Key;
use guifi_tahoe::gbs::{Allocate, Allocated, Read, ReadTestWrite, Test, TestWrite, Write};
use tempfile::TempDir;

use super::mutable::Writer;
use super::*;
use crate::door::Client;

const LIMITS: Limits = Limits {
    uploads: [16, 8, 12],
    leases: 100,
};

fn bounds(bytes: u64) -> Bounds {
    Bounds {
        given: Given::Bytes(bytes),
        reserved: 0,
    }
}

fn open(dir: &Path) -> (Arc<Store>, Account) {
    let (store, _) = Store::open(dir, bounds(10 << 20), LIMITS).unwrap();
    let account = store.enter(PUBLIC, "swissnum").unwrap();
    (store, account)
}

fn new() -> (TempDir, Arc<Store>, Account) {
    let dir = tempfile::tempdir().unwrap();
    let (store, account) = open(dir.path());
    (dir, store, account)
}

fn index(n: u8) -> Index {
    Index([n; 16])
}

fn place(n: u8, number: u8) -> Place {
    Place {
        index: index(n),
        number,
    }
}

fn secret(text: &str) -> Secret {
    Secret::of(text.as_bytes())
}

fn allocate(store: &Store, account: Account, n: u8, shares: &[u8], size: u64) -> Allocated {
    let wish = Allocate {
        shares: shares.iter().copied().collect(),
        size,
    };
    let secrets = [secret("upload"), secret("lease")];
    let client = Client::Key(Key([account.to_le_bytes()[0]; 32]));
    let who = (account, client);
    store.allocate(index(n), &wish, secrets, who).unwrap()
}

/// Uploads a share in one piece.
fn put(store: &Store, account: Account, n: u8, bytes: &[u8]) {
    let size = bytes.len() as u64;
    assert_eq!(allocate(store, account, n, &[0], size).allocated.len(), 1);
    let upload = store.upload(place(n, 0), secret("upload")).unwrap();
    let file = store.open_upload(&upload).unwrap();
    store.write(&upload, &file, 0, bytes).unwrap();
    assert!(matches!(
        store.progress(&upload, &file).unwrap(),
        Progress::Whole
    ));
}

fn get(store: &Store, place: Place, kind: Kind) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut held = store.held(place, kind).unwrap()?;
    let mut bytes = Vec::new();
    held.file.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn writer(account: Account, enabler: &str) -> Writer {
    Writer {
        enabler: secret(enabler),
        lease: secret("lease"),
        account,
    }
}

/// Replaces what is `old` by `new` in some shares.
fn swap(shares: &[u8], old: &[u8], new: &[u8]) -> ReadTestWrite {
    let vector = TestWrite {
        tests: vec![Test {
            offset: 0,
            size: old.len() as u64 + 1,
            specimen: old.to_vec(),
        }],
        writes: vec![Write {
            offset: 0,
            data: new.to_vec(),
        }],
        new_length: Some(new.len() as u64),
    };
    ReadTestWrite {
        vectors: shares.iter().map(|n| (*n, vector.clone())).collect(),
        reads: vec![Read {
            offset: 0,
            size: 100,
        }],
    }
}

#[test]
fn a_share_is_seen_when_it_is_whole() {
    let (_dir, store, account) = new();
    let allocated = allocate(&store, account, 1, &[0, 7], 10);
    assert_eq!(allocated.allocated, [0, 7].into());
    assert!(allocate(&store, account, 1, &[0], 10).allocated.is_empty());
    let wrong = store.upload(place(1, 0), secret("other"));
    assert!(matches!(wrong, Err(Fault::WrongSecret)));
    let upload = store.upload(place(1, 0), secret("upload")).unwrap();
    let file = store.open_upload(&upload).unwrap();
    store.write(&upload, &file, 4, b"456789").unwrap();
    store.write(&upload, &file, 2, b"2345").unwrap();
    let conflict = store.write(&upload, &file, 3, b"xx");
    assert!(matches!(conflict, Err(Fault::Conflict)));
    let long = store.write(&upload, &file, 9, b"9a");
    assert!(matches!(long, Err(Fault::OutOfRange)));
    let Progress::Missing(missing) = store.progress(&upload, &file).unwrap() else {
        panic!("not whole yet");
    };
    assert_eq!((missing[0].begin, missing[0].end), (0, 2));
    assert!(store.numbers(index(1), None).unwrap().is_empty());
    store.write(&upload, &file, 0, b"012").unwrap();
    assert!(matches!(
        store.progress(&upload, &file).unwrap(),
        Progress::Whole
    ));
    assert_eq!(
        get(&store, place(1, 0), Kind::Immutable).unwrap(),
        b"0123456789"
    );
    assert_eq!(get(&store, place(1, 0), Kind::Mutable), None);
    let whole = store.upload(place(1, 0), secret("upload"));
    assert!(matches!(whole, Err(Fault::Complete)));
    assert_eq!(
        allocate(&store, account, 1, &[0, 1], 10).already_have,
        [0].into()
    );
    assert_eq!(
        store.scrub(place(1, 0), u64::MAX).unwrap(),
        Finding::Sound { size: 10 }
    );
}

#[test]
fn open_uploads_are_bounded_and_take_space() {
    let (_dir, store, account) = new();
    let shares: Vec<u8> = (0..20).collect();
    assert_eq!(allocate(&store, account, 1, &shares, 10).allocated.len(), 8);
    // Another account of the same client has what is left of the client's.
    let third = store.enter("c", "c").unwrap();
    let wish = Allocate {
        shares: shares.iter().copied().collect(),
        size: 10,
    };
    let client = Client::Key(Key([account.to_le_bytes()[0]; 32]));
    let secrets = [secret("upload"), secret("lease")];
    let more = store.allocate(index(9), &wish, secrets, (third, client));
    assert_eq!(more.unwrap().allocated.len(), 4);
    for number in 0..4 {
        let upload = store.upload(place(9, number), secret("upload")).unwrap();
        store.drop_upload(&upload);
    }
    let other = store.enter("b", "b").unwrap();
    assert_eq!(
        allocate(&store, other, 2, &shares, 1 << 20).allocated.len(),
        8
    );
    assert_eq!(allocate(&store, other, 3, &[0], 1).allocated.len(), 0);
    assert_eq!(store.open_uploads(), 16);
    for number in 0..8 {
        let upload = store.upload(place(2, number), secret("upload")).unwrap();
        store.drop_upload(&upload);
        let file = store.open_upload(&upload).unwrap();
        assert!(matches!(
            store.write(&upload, &file, 0, b"x"),
            Err(Fault::NotFound)
        ));
    }
    assert_eq!(
        allocate(&store, other, 2, &[0], 11 << 20).allocated.len(),
        0
    );
    let before = store.space.figures().pledged;
    store.space.set_bounds(bounds(10 << 20));
    assert_eq!(store.figures().pledged, 8 * 8192, "{before}");
}

#[test]
fn an_upload_that_nobody_goes_on_with_is_dropped() {
    use std::sync::atomic::Ordering::Relaxed;
    let (_dir, store, account) = new();
    assert_eq!(store.drop_idle(), None);
    allocate(&store, account, 1, &[0, 1], 10);
    let upload = store.upload(place(1, 0), secret("upload")).unwrap();
    let file = store.open_upload(&upload).unwrap();
    store.write(&upload, &file, 0, b"half").unwrap();
    upload.touched.fetch_sub(29 * 60, Relaxed);
    assert!(store.drop_idle().unwrap() <= 60);
    assert_eq!(store.open_uploads(), 2);
    upload.touched.fetch_sub(60, Relaxed);
    let turn = upload.turn.try_lock().unwrap();
    store.drop_idle();
    assert_eq!(store.open_uploads(), 2, "somebody is writing");
    drop(turn);
    store.drop_idle();
    assert_eq!(store.open_uploads(), 1);
    assert_eq!(store.dirs.incoming.read_dir().unwrap().count(), 0);
    assert_eq!(store.figures().pledged, 8192);
}

#[test]
fn changes_need_every_test_and_the_write_enabler() {
    let (_dir, store, account) = new();
    let who = writer(account, "enabler");
    let made = store
        .read_test_write(index(1), &swap(&[0, 1], b"", b"one"), who)
        .unwrap();
    assert!(made.success && made.data.is_empty());
    let mut mixed = swap(&[0, 1], b"one", b"two");
    mixed.vectors.get_mut(&1).unwrap().tests[0].specimen = b"not".to_vec();
    let refused = store.read_test_write(index(1), &mixed, who).unwrap();
    assert!(!refused.success);
    assert_eq!(refused.data[&0], [b"one".to_vec()]);
    assert_eq!(get(&store, place(1, 0), Kind::Mutable).unwrap(), b"one");
    let thief = writer(account, "other");
    let stolen = store.read_test_write(index(1), &swap(&[0], b"one", b"x"), thief);
    assert!(matches!(stolen, Err(Fault::WrongSecret)));

    // Beyond the end is zero, and a new length only cuts.
    let mut far = ReadTestWrite::default();
    far.vectors.insert(
        0,
        TestWrite {
            writes: vec![Write {
                offset: 5,
                data: b"far".to_vec(),
            }],
            new_length: Some(100),
            ..TestWrite::default()
        },
    );
    assert!(store.read_test_write(index(1), &far, who).unwrap().success);
    assert_eq!(
        get(&store, place(1, 0), Kind::Mutable).unwrap(),
        b"one\0\0far"
    );
    far.vectors.get_mut(&0).unwrap().writes[0].offset = u64::MAX;
    let beyond = store.read_test_write(index(1), &far, who);
    assert!(matches!(beyond, Err(Fault::OutOfRange)));
    far.vectors.get_mut(&0).unwrap().writes[0].offset = 100 << 20;
    assert!(store.read_test_write(index(1), &far, who).unwrap().success);
    far.vectors.get_mut(&0).unwrap().new_length = None;
    let full = store.read_test_write(index(1), &far, who);
    assert!(matches!(full, Err(Fault::NoSpace)));
    assert_eq!(store.dirs.incoming.read_dir().unwrap().count(), 0);

    let mut gone = swap(&[0, 1], b"", b"");
    for vector in gone.vectors.values_mut() {
        vector.tests.clear();
    }
    assert!(store.read_test_write(index(1), &gone, who).unwrap().success);
    assert!(store.numbers(index(1), None).unwrap().is_empty());
    assert_eq!(store.leases().unwrap(), 0);
    assert_eq!(store.dirs.shares.read_dir().unwrap().count(), 0);
    store.space.set_bounds(bounds(10 << 20));
    assert_eq!(store.figures().used, 0);
}

#[test]
fn an_immutable_file_is_not_changed() {
    let (_dir, store, account) = new();
    put(&store, account, 1, b"for ever");
    let changed = store.read_test_write(index(1), &swap(&[1], b"", b"x"), writer(account, "e"));
    assert!(matches!(changed, Err(Fault::Conflict)));
}

#[test]
fn what_is_damaged_is_set_aside_and_told() {
    let (_dir, store, account) = new();
    for n in 1..4 {
        put(&store, account, n, b"as it was written");
    }
    let file = |n: u8| store.dirs.shares.join(place(n, 0).file());
    let change = |n: u8, bytes: &[u8]| {
        std::fs::remove_file(file(n)).unwrap();
        std::fs::write(file(n), bytes).unwrap();
    };
    change(1, b"as it was writteN");
    change(2, b"short");
    std::fs::remove_file(file(3)).unwrap();
    assert!(get(&store, place(1, 0), Kind::Immutable).is_some());
    assert_eq!(
        get(&store, place(2, 0), Kind::Immutable),
        None,
        "it is short"
    );
    assert_eq!(store.next_to_scrub(0).unwrap(), [place(2, 0)]);
    store.advise(place(1, 0), account, "hash is wrong").unwrap();
    assert_eq!(store.next_to_scrub(0).unwrap(), [place(1, 0)]);
    for n in 1..4 {
        let found = store.scrub(place(n, 0), u64::MAX).unwrap();
        assert!(matches!(found, Finding::Corrupt(_)), "{found:?}");
        assert_eq!(store.numbers(index(n), None).unwrap().len(), 0);
        assert_eq!(
            store.scrub(place(n, 0), u64::MAX).unwrap(),
            Finding::Changed
        );
    }
    let (count, list) = store.advisories(10).unwrap();
    assert_eq!(count, 4);
    assert_eq!(list[3].by.as_deref(), Some("everybody"));
    assert_eq!(list[0].by, None);
    assert_eq!(store.dirs.corrupt.read_dir().unwrap().count(), 2);
    assert_eq!(store.count().unwrap(), 0);
}
