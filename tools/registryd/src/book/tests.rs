#![allow(clippy::unwrap_used)]
use super::*;
use crate::testing::Signer;
use crate::view::Question;
use proptest::prelude::*;
use serde_json::json;

const T: u64 = 1_795_000_000_000;

fn signers<const N: usize>() -> [Signer; N] {
    std::array::from_fn(|n| Signer::new(u8::try_from(n + 1).unwrap()))
}

fn book(admin: &Signer) -> Book {
    Book::new(admin.found("open", &[]), admin.key(), "e".to_owned()).unwrap()
}

fn lines(book: &Book, question: &Question) -> (bool, Vec<Value>) {
    let (whole, text) = book.view().list(question, book.own);
    (
        whole,
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect(),
    )
}

#[test]
fn a_service_is_seen_once_its_owner_is_a_member_whatever_came_first() {
    let [admin, a] = signers();
    let mut book = book(&admin);
    let id = book.community();
    let service = a.record(id, "service", "_http._tcp/Photos", T, json!({"port": 80}));
    let merged = book.merge(vec![service.clone()], T);
    assert!(merged.accepted.is_empty() && merged.refused.len() == 1);
    let member = admin.record(id, "member", "0", T, json!({"key": a.key()}));
    let merged = book.merge(vec![member], T);
    assert_eq!(merged.accepted.len(), 2, "the service waited");
    assert!(book.view().get(&service.key).is_some());
}

#[test]
fn removed_expired_forged_foreign_and_future_records_are_not_seen() {
    let [admin, reader] = signers();
    let mut book = Book::new(admin.found("open", &[]), reader.key(), "e".into()).unwrap();
    let id = book.community();
    let service = |version, body| admin.record(id, "service", "s", version, body);
    let held = service(T, json!({"n": 1}));
    book.merge(vec![held.clone()], T);
    let mut forged = service(T + 1, json!({"n": 2}));
    forged.signature[0] ^= 1;
    let foreign = admin.record([9; 32], "service", "s", T + 2, json!({}));
    let future = service(T + TOLERANCE_MS + 1, json!({"n": 3}));
    for record in [forged, foreign, future.clone()] {
        assert_eq!(book.merge(vec![record], T).refused.len(), 1);
        assert_eq!(book.view().get(&held.key).unwrap().record.hash, held.hash);
    }
    book.sweep(T + 2);
    assert_eq!(
        book.view().get(&held.key).unwrap().record.hash,
        future.hash,
        "its time has come"
    );
    let removal = service(T + TOLERANCE_MS + 2, Value::Null);
    book.merge(vec![removal.clone()], T + 2);
    assert!(book.view().get(&held.key).is_none());
    assert!(
        book.merge(vec![held.clone()], T + 2).accepted.is_empty(),
        "it does not come back"
    );
    book.sweep(removal.expires);
    assert!(book.get(&held.key).is_none());
    assert!(
        book.merge(vec![held], removal.expires).accepted.is_empty(),
        "nor after the removal"
    );
}

#[test]
fn of_what_was_stored_the_signature_is_checked_if_that_is_not_sure() {
    let [admin, reader] = signers();
    let book = || Book::new(admin.found("open", &[]), reader.key(), "e".into()).unwrap();
    let mut forged = admin.record(book().community(), "service", "s", T, json!({}));
    forged.signature[0] ^= 1;
    let unsure = HashSet::from([forged.hash]);
    let mut trusting = book();
    trusting.load(vec![forged.clone()], HashSet::new(), T);
    assert!(trusting.get(&forged.key).is_some());
    assert_eq!(
        book().load(vec![forged.clone()], unsure, T).refused.len(),
        1
    );
    let mut again = admin.record(book().community(), "service", "t", T, json!({}));
    again.signature[0] ^= 1;
    assert_eq!(
        trusting.merge(vec![again], T).refused.len(),
        1,
        "what comes is"
    );
}

#[test]
fn what_was_taken_by_a_clock_ahead_is_not_shown_and_yields_to_what_is_in_time() {
    let [admin, reader, a] = signers();
    let mut book = Book::new(admin.found("open", &[]), reader.key(), "e".into()).unwrap();
    let id = book.community();
    let day = 24 * 3_600_000;
    let alone = admin.record(id, "service", "alone", T + day, json!({}));
    let early = admin.record(id, "service", "s", T + day, json!({"n": 1}));
    let member = admin.record(id, "member", "0", T + day, json!({"key": a.key()}));
    book.merge(vec![alone.clone(), early.clone(), member], T + day);
    assert!(
        book.doubt(T, false).kinds.is_empty(),
        "one clock is no proof"
    );
    assert!(book.view().get(&alone.key).is_some());
    assert_eq!(book.doubt(T, true).kinds, ["service"]);
    assert!(book.view().get(&alone.key).is_none() && book.get(&alone.key).is_some());
    assert!(
        book.ruling().is_member(a.key()),
        "who is a member stays one"
    );
    let other = admin.record(id, "service", "other", T, json!({}));
    let timely = admin.record(id, "service", "s", T, json!({"n": 2}));
    book.merge(vec![other, timely.clone()], T);
    assert_eq!(
        book.view().get(&early.key).unwrap().record.hash,
        timely.hash
    );
    assert!(book.view().get(&alone.key).is_none());
    book.merge(vec![early.clone()], T);
    assert_eq!(book.get(&early.key).unwrap().hash, timely.hash);
    // Their time comes, whoever is there to say so.
    book.sweep(T + day);
    book.doubt(T + day, false);
    assert_eq!(book.view().get(&early.key).unwrap().record.hash, early.hash);
    assert!(book.view().get(&alone.key).is_some());
}

#[test]
fn an_own_removal_is_kept_while_something_taken_back_may_return() {
    let [admin] = signers();
    let mut book = book(&admin);
    let id = book.community();
    let (late, early) = (T + 1_000_000, T);
    let removal = admin.record(id, "service", "s", early, Value::Null);
    book.merge(vec![removal.clone()], T);
    book.set_taken_back(late);
    book.sweep(removal.expires);
    assert!(book.get(&removal.key).is_some());
    book.sweep(late + MAX_LIFE_MS);
    assert!(book.get(&removal.key).is_none());
}

#[test]
fn readers_catch_up_by_sequence_and_unknown_epochs_get_everything() {
    let [admin] = signers();
    let mut book = book(&admin);
    let id = book.community();
    let put = |n: u64, body| admin.record(id, "service", &n.to_string(), T + n, body);
    book.merge(vec![put(1, json!({})), put(2, json!({}))], T);
    let (epoch, at) = (book.view().at().0.to_owned(), book.view().at().1);
    let since = |at| Question {
        since: Some((epoch.clone(), at)),
        ..Question::default()
    };
    assert_eq!(lines(&book, &since(at)), (false, vec![]));
    book.merge(
        vec![
            admin.record(id, "service", "1", T + 10, Value::Null),
            put(3, json!({})),
        ],
        T,
    );
    let (whole, got) = lines(&book, &since(at));
    assert!(!whole);
    assert_eq!(got[0]["removed"], true);
    assert_eq!(got[1]["name"], "3");
    assert_eq!(got.len(), 2);
    let other = Question {
        since: Some(("other".into(), at)),
        ..Question::default()
    };
    assert!(lines(&book, &other).0);
}

#[test]
fn an_absent_box_makes_its_services_stale_and_its_next_word_makes_them_live() {
    let [admin, a, b] = signers();
    let mut book = book(&admin);
    let id = book.community();
    let boxed = |version| {
        let spine =
            json!({"spine": {"name": "a", "zone": "vic", "neighbours": [admin.key(), b.key()]}});
        a.record(id, "box", "box", version, spine)
    };
    let service = a.record(id, "service", "s", T, json!({}));
    let absent = |by: &Signer| {
        let body = json!({"key": a.key(), "version": T});
        by.record(id, "absent", &a.key().to_string(), T + 1, body)
    };
    book.merge(
        vec![
            admin.record(id, "member", "0", T, json!({"key": a.key()})),
            admin.record(id, "member", "1", T, json!({"key": b.key()})),
            boxed(T),
            service.clone(),
            absent(&admin),
        ],
        T + 1,
    );
    let stale = |book: &Book| book.view().get(&service.key).unwrap().standing.stale;
    assert!(!stale(&book));
    let merged = book.merge(vec![absent(&b)], T + 1);
    assert!(stale(&book) && merged.kinds.contains(&"service".to_owned()));
    book.merge(vec![boxed(T + 2)], T + 2);
    assert!(!stale(&book));
}

#[test]
fn a_ban_takes_everything_the_key_has_said() {
    let [admin, a] = signers();
    let mut book = book(&admin);
    let id = book.community();
    let service = a.record(id, "service", "s", T, json!({}));
    book.merge(
        vec![
            admin.record(id, "member", "0", T, json!({"key": a.key()})),
            service.clone(),
        ],
        T,
    );
    let merged = book.merge(
        vec![admin.record(id, "ban", &a.key().to_string(), T + 1, json!({}))],
        T,
    );
    assert!(book.get(&service.key).is_none() && book.view().get(&service.key).is_none());
    assert!(
        merged
            .changes
            .iter()
            .any(|c| matches!(c, Change::Drop(k) if *k == service.key))
    );
    assert!(book.merge(vec![service], T).accepted.is_empty());
}

#[test]
fn what_does_not_count_is_not_kept_for_others() {
    let [admin, a] = signers();
    let mut book = book(&admin);
    let id = book.community();
    let mut records = vec![admin.record(id, "member", "0", T, json!({"key": a.key()}))];
    records
        .extend((0..25).map(|n| a.record(id, "service", &format!("_x._tcp/{n:02}"), T, json!({}))));
    book.merge(records, T);
    assert_eq!(book.of_owner(a.key()).count(), rules::MAX_SERVICES_PER_TYPE);
}

/// Every kind of rule at once, for the permutations below.
fn history() -> Vec<Record> {
    let [admin, second, a, b, c] = signers();
    let founding = admin.found("open", &[]);
    let id = founding.hash;
    let key = |s: &Signer| s.key().to_string();
    let mut records = vec![
        admin.record(id, "admin", "0", T, json!({"key": key(&second)})),
        second.record(id, "member", "0", T, json!({"key": key(&a)})),
        second.record(id, "confirm", &format!("member/{}", key(&a)), T, json!({})),
        a.record(id, "member", "0", T, json!({"key": key(&b)})),
        a.record(id, "member", "1", T, json!({"key": key(&c)})),
        admin.record(id, "ban", &key(&c), T + 9, json!({})),
        second.record(id, "ban", &key(&admin), T + 9, json!({})),
        b.record(
            id,
            "claim",
            "dns/0",
            T,
            json!({"space": "dns", "name": "x", "zone": "", "time": T}),
        ),
        a.record(
            id,
            "claim",
            "dns/0",
            T,
            json!({"space": "dns", "name": "x", "zone": "", "time": T - 1}),
        ),
        b.record(
            id,
            "box",
            "box",
            T,
            json!({"spine": {"name": "x", "zone": "", "neighbours": [key(&a)]}}),
        ),
        a.record(
            id,
            "box",
            "box",
            T,
            json!({"spine": {"name": "x", "zone": "", "neighbours": []}}),
        ),
        a.record(
            id,
            "absent",
            &key(&b),
            T + 1,
            json!({"key": key(&b), "version": T}),
        ),
        b.record(id, "service", "s", T, json!({"n": 1})),
        b.record(id, "service", "s", T + 1, json!({"n": 2})),
        b.record(id, "service", "t", T, json!({"n": 1})),
        b.record(id, "service", "t", T + 1, Value::Null),
        c.record(id, "service", "s", T, json!({"n": 1})),
    ];
    records.insert(0, founding);
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn two_boxes_with_the_same_records_agree_whatever_the_order(
        order in Just((1..history().len()).collect::<Vec<_>>()).prop_shuffle(),
        batch in 1usize..6,
    ) {
        let records = history();
        let [reader] = signers();
        let build = |order: &[usize], batch: usize| {
            let mut book = Book::new(records[0].clone(), reader.key(), "e".into()).unwrap();
            // Twice, as reconciliation brings again what could not be taken at first.
            for _ in 0..2 {
                for part in order.chunks(batch) {
                    book.merge(part.iter().map(|n| records[*n].clone()).collect(), T + 20);
                }
            }
            let (_, mut seen) = lines(&book, &Question::default());
            seen.sort_by_key(ToString::to_string);
            let hashes: BTreeSet<Hash> = book.records().map(|r| r.hash).collect();
            (book.ruling().clone(), seen, hashes)
        };
        let straight: Vec<usize> = (1..records.len()).collect();
        prop_assert_eq!(build(&order, batch), build(&straight, records.len()));
    }
}

#[test]
fn the_longest_life_ends_a_removal_too() {
    let [admin] = signers();
    let id = book(&admin).community();
    let removal = admin.record(id, "service", "s", T, Value::Null);
    assert_eq!(removal.expires, T + MAX_LIFE_MS);
}
