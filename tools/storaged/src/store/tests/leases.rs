//! Leases, their end, and clocks that are wrong.

use super::*;

const DAY: i64 = 86_400;

#[test]
fn a_file_goes_when_its_last_lease_is_over_and_grace_has_passed() {
    let (_dir, store, account) = new();
    put(&store, account, 1, b"nobody wants it");
    put(&store, account, 2, b"wanted");
    assert!(matches!(
        store.renew(index(9), secret("x"), account),
        Err(Fault::NotFound)
    ));
    let start = now();
    assert_eq!(
        store.collect_at(7 * DAY, start).unwrap(),
        Collected::default()
    );
    // Time goes on, seen day by day.
    for day in 1..=38 {
        let done = store.collect_at(7 * DAY, start + day * DAY).unwrap();
        assert_eq!(done, Collected::default(), "day {day}");
    }
    store
        .clerk
        .run(move |books, _| {
            let sql = "UPDATE lease SET expires = expires + 10 * 86400 WHERE idx = ?";
            books.execute(sql, [index(2)])?;
            Ok(())
        })
        .unwrap();
    let done = store.collect_at(7 * DAY, start + 39 * DAY).unwrap();
    assert_eq!((done.files, done.size_bytes), (1, 8192));
    assert_eq!(get(&store, place(1, 0), Kind::Immutable), None);
    assert!(get(&store, place(2, 0), Kind::Immutable).is_some());
    assert_eq!(store.leases().unwrap(), 1);
    assert_eq!(store.figures().used, 8192);
}

#[test]
fn a_clock_that_jumps_costs_nobody_anything_at_once() {
    let (_dir, store, account) = new();
    put(&store, account, 1, b"x");
    let start = now();
    store.collect_at(7 * DAY, start).unwrap();
    let year = store.collect_at(7 * DAY, start + 365 * DAY).unwrap();
    assert_eq!((year.files, year.wait_seconds), (0, 7 * DAY));
    let back = store.collect_at(7 * DAY, start).unwrap();
    assert_eq!((back.files, back.wait_seconds), (0, 7 * DAY));
    // Right or wrong: whoever wants it has had a week to say so.
    store.collect_at(7 * DAY, start + 365 * DAY).unwrap();
    for day in 366..372 {
        let done = store.collect_at(7 * DAY, start + day * DAY).unwrap();
        assert_eq!(done.files, 0, "day {day}");
    }
    let done = store.collect_at(7 * DAY, start + 372 * DAY).unwrap();
    assert_eq!(done.files, 1);
}

#[test]
fn an_account_has_so_many_leases_and_no_more() {
    let (_dir, store, account) = new();
    put(&store, account, 1, b"x");
    for n in 1..100 {
        store
            .renew(index(1), secret(&n.to_string()), account)
            .unwrap();
    }
    let more = store.renew(index(1), secret("more"), account);
    assert!(matches!(more, Err(Fault::TooMany)));
    store.renew(index(1), secret("7"), account).unwrap();
    assert_eq!(store.leases().unwrap(), 100);
    let other = store.enter("b", "b").unwrap();
    store.renew(index(1), secret("more"), other).unwrap();
    assert_eq!(store.accounts().unwrap()[1]["leases"], 1);
}
