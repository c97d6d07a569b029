#![allow(clippy::unwrap_used)]
use super::*;
use crate::testing::Signer;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeSet, VecDeque};

const T: u64 = 1_795_000_000_000;

fn records(count: u64) -> Vec<Arc<Record>> {
    let signer = Signer::new(1);
    (0..count)
        .map(|n| Arc::new(signer.record([7; 32], "service", &n.to_string(), T + n, json!({}))))
        .collect()
}

/// Runs a session between two sets; gives what each side gained and the bytes of the frames.
fn run(left: &[Arc<Record>], right: &[Arc<Record>]) -> (Vec<Arc<Record>>, Vec<Arc<Record>>, usize) {
    let mut sides = [
        Session::new([7; 32], left.iter().cloned(), true).unwrap(),
        Session::new([7; 32], right.iter().cloned(), false).unwrap(),
    ];
    let mut gained = [Vec::new(), Vec::new()];
    let mut bytes = 0;
    let mut queues = [VecDeque::new(), VecDeque::from(sides[0].start(T).unwrap())];
    let mut over = [false, false];
    while let Some(at) = (0..2).find(|at| !queues[*at].is_empty()) {
        let frame = queues[at].pop_front().unwrap();
        bytes += frame.payload.len() + 5;
        let reaction = sides[at].receive(&frame, T).unwrap();
        let other = 1 - at;
        queues[other].extend(reaction.frames);
        queues[other].extend(
            reaction
                .records
                .iter()
                .map(|r| Frame::new(kind::RECORD, r.encode())),
        );
        if reaction.done {
            queues[other].push_back(Frame::new(kind::DONE, []));
        }
        gained[at].extend(reaction.arrived);
        over[at] |= reaction.finished;
    }
    assert_eq!(over, [true, true], "both sides know the end");
    let [left, right] = gained;
    (left, right, bytes)
}

#[test]
fn equal_sets_cost_little() {
    let all = records(500);
    let (left, right, bytes) = run(&all, &all);
    assert!(
        left.is_empty() && right.is_empty() && bytes < 1000,
        "{bytes} bytes"
    );
}

#[test]
fn a_newcomer_learns_first_who_is_a_member() {
    let signers: Vec<Signer> = (1..100).map(Signer::new).collect();
    let record = |signer: &Signer, kind: &str, name: &str, version| {
        Arc::new(signer.record([7; 32], kind, name, version, json!({"key": "x"})))
    };
    let mut all = Vec::new();
    for (n, signer) in (0..).zip(&signers) {
        // Each is sponsored by the one before, and has published since.
        all.push(record(signer, "service", "_http._tcp/Photos", T + n));
        all.push(record(signer, "box", "box", T + n));
        all.push(record(signer, "member", "0", T + n));
    }
    for (left, right) in [(&all[..], &[][..]), (&[][..], &all[..])] {
        let (one, other, _) = run(left, right);
        let gained = [one, other].concat();
        let kinds: Vec<&str> = gained.iter().map(|r| &*r.key.kind).collect();
        let expected = ["member", "box", "service"].map(|kind| vec![kind; signers.len()]);
        assert_eq!(kinds, expected.concat());
        assert!(gained[..signers.len()].is_sorted_by_key(|r| r.version));
    }
}

#[test]
fn frames_out_of_place_end_the_session() {
    for frame in [
        Frame::new(kind::DONE, []),
        Frame::new(kind::WANT, [0; 32]),
        Frame::new(99, []),
    ] {
        let mut session = Session::new([7; 32], std::iter::empty(), false).unwrap();
        assert!(session.receive(&frame, T).is_err());
    }
    let mut session = Session::new([7; 32], std::iter::empty(), true).unwrap();
    session.start(T).unwrap();
    session.receive(&Frame::hello(&[7; 32], T), T).unwrap();
    assert!(
        session.receive(&Frame::new(kind::DONE, []), T).is_err(),
        "before the ranges"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn each_side_gains_exactly_what_it_lacked(
        sides in prop::collection::vec((any::<bool>(), any::<bool>()), 0..300),
    ) {
        let all = records(sides.len() as u64);
        let part = |pick: &dyn Fn(&(bool, bool)) -> bool| -> Vec<Arc<Record>> {
            all.iter().zip(&sides).filter(|(_, s)| pick(s)).map(|(r, _)| r.clone()).collect()
        };
        let (left, right) = (part(&|s| s.0), part(&|s| s.1));
        let (gained_left, gained_right, _) = run(&left, &right);
        let names = |list: &[Arc<Record>]| -> BTreeSet<String> {
            list.iter().map(|r| r.key.name.clone()).collect()
        };
        let lacked = |a: &[Arc<Record>], b: &[Arc<Record>]| -> BTreeSet<String> {
            b.iter().filter(|r| !a.contains(r)).map(|r| r.key.name.clone()).collect()
        };
        prop_assert_eq!(names(&gained_left), lacked(&left, &right));
        prop_assert_eq!(names(&gained_right), lacked(&right, &left));
        prop_assert_eq!(gained_left.len() + gained_right.len(), names(&gained_left).len() + names(&gained_right).len());
    }

    #[test]
    fn garbage_is_refused_without_panic(
        frames in prop::collection::vec((0u8..12, prop::collection::vec(any::<u8>(), 0..100)), 1..6),
        initiator: bool,
    ) {
        let mut session = Session::new([7; 32], records(3).into_iter(), initiator).unwrap();
        let _ = session.start(T);
        let _ = session.receive(&Frame::hello(&[7; 32], T), T);
        for (kind, payload) in frames {
            let _ = session.receive(&Frame::new(kind, payload), T);
        }
    }
}
