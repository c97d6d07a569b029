//! Opening a store that was left at an unlucky moment.

use super::*;
use rusqlite::Connection;

#[test]
fn what_was_decided_is_done_at_the_next_start() {
    let (dir, store, account) = new();
    store
        .read_test_write(index(1), &swap(&[0, 1], b"", b"old"), writer(account, "e"))
        .unwrap();
    let dirs = store.dirs.clone();
    drop(store);
    // As if it had been killed after the commit, one of two files being in its place.
    let books = Connection::open(dir.path().join("books.db")).unwrap();
    let sum = crc32fast::hash(b"newer");
    books
        .execute("UPDATE share SET size = 5, sum = ?", [sum])
        .unwrap();
    for (number, name) in [(0, "a"), (1, "b")] {
        books
            .execute(
                "INSERT INTO move VALUES (?, ?, ?, 1)",
                rusqlite::params![index(1), number, name],
            )
            .unwrap();
    }
    books
        .execute("INSERT INTO move VALUES (?, 2, NULL, 1)", [index(1)])
        .unwrap();
    drop(books);
    std::fs::write(dirs.shares.join(place(1, 0).file()), b"newer").unwrap();
    std::fs::write(dirs.incoming.join("b"), b"newer").unwrap();
    std::fs::write(dirs.incoming.join("half"), b"of something").unwrap();
    std::fs::write(dirs.shares.join(place(1, 2).file()), b"deleted").unwrap();
    let (store, _) = open(dir.path());
    for number in [0, 1] {
        let place = place(1, number);
        assert_eq!(get(&store, place, Kind::Mutable).unwrap(), b"newer");
        let found = store.scrub(place, u64::MAX).unwrap();
        assert_eq!(found, Finding::Sound { size: 5 });
    }
    assert_eq!(dirs.incoming.read_dir().unwrap().count(), 0);
    assert!(!dirs.shares.join(place(1, 2).file()).exists());
}

#[test]
fn lost_books_are_made_anew_from_the_files() {
    let (dir, store, account) = new();
    put(&store, account, 1, b"immutable");
    store
        .read_test_write(index(2), &swap(&[3], b"", b"mutable"), writer(account, "e"))
        .unwrap();
    drop(store);
    let path = dir.path().join("books.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..64].fill(7);
    std::fs::write(&path, bytes).unwrap();
    let (store, found) = Store::open(dir.path(), bounds(10 << 20), LIMITS).unwrap();
    let account = store.enter(PUBLIC, "swissnum").unwrap();
    assert!(found.set_aside.unwrap().exists());
    assert_eq!(found.rebuilt, Some(2));
    assert_eq!(
        get(&store, place(1, 0), Kind::Immutable).unwrap(),
        b"immutable"
    );
    assert_eq!(get(&store, place(2, 3), Kind::Mutable).unwrap(), b"mutable");
    assert_eq!(store.leases().unwrap(), 2);
    assert_eq!(store.figures().used, 4 * 4096);
    // Who writes next is the writer.
    let change = |new: &[u8], old: &[u8], enabler| {
        store.read_test_write(index(2), &swap(&[3], old, new), writer(account, enabler))
    };
    assert!(change(b"second", b"mutable", "new").unwrap().success);
    assert!(matches!(
        change(b"x", b"second", "e"),
        Err(Fault::WrongSecret)
    ));
    drop(store);
    let (store, found) = Store::open(dir.path(), bounds(10 << 20), LIMITS).unwrap();
    assert_eq!((found.set_aside, found.rebuilt), (None, None));
    assert_eq!(store.account("swissnum"), Some(account));
    assert_eq!(store.accounts().unwrap()[0]["shares"], 2);
}

#[test]
fn many_changes_at_once_are_all_there() {
    let (dir, store, account) = new();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..20_u8 {
                    let old = if round == 0 { vec![] } else { vec![round; 100] };
                    let new = vec![round + 1; 100];
                    let wish = swap(&[0, 1], &old, &new);
                    let done = store.read_test_write(index(thread), &wish, writer(account, "e"));
                    assert!(done.unwrap().success);
                }
            });
        }
    });
    drop(store);
    let (store, _) = open(dir.path());
    for thread in 0..8 {
        for number in 0..2 {
            let bytes = get(&store, place(thread, number), Kind::Mutable).unwrap();
            assert_eq!(bytes, [20; 100]);
        }
    }
    assert_eq!(store.figures().used, 16 * 8192);
}
