//! Who begins a reconciliation, and when.

use super::super::syncs::Syncs;
use super::*;

/// Reconciliations that each of two boxes has begun and ended.
fn begun(town: &mut Town) -> [u64; 2] {
    [0, 1].map(|n| town.node(n).counters().syncs)
}

/// Two boxes at rest, of which none has a record to renew soon, the one with the smaller key first.
fn two() -> (Town, [usize; 2]) {
    let mut town = Town::new(2);
    town.run(Duration::from_secs(300));
    let first = usize::from(town.signers[1].key() < town.signers[0].key());
    (town, [first, 1 - first])
}

/// Both become neighbours now, with their turns of every minute far away.
fn meet(town: &mut Town) {
    for n in [0, 1] {
        let (own, peer) = (town.signers[n].key(), town.signers[1 - n].key());
        let now = town.now(n).at;
        let node = town.node(n);
        node.syncs = Syncs::new(now + Duration::from_secs(3600));
        node.syncs.neighbour(own, peer, now);
    }
}

#[test]
fn of_two_new_neighbours_one_begins() {
    let (mut town, [first, second]) = two();
    let before = begun(&mut town);
    meet(&mut town);
    town.run(Duration::from_secs(30));
    let after = begun(&mut town);
    assert_eq!(after[first], before[first] + 1);
    assert_eq!(
        after[second], before[second],
        "what has just been done is not done again"
    );
}

#[test]
fn the_second_begins_if_nothing_comes_of_the_first() {
    let (mut town, [first, second]) = two();
    let before = begun(&mut town);
    town.cut.insert((first, second));
    meet(&mut town);
    town.run(Duration::from_secs(30));
    let after = begun(&mut town);
    assert_eq!(after[first], before[first]);
    assert_eq!(after[second], before[second] + 1);
}

#[test]
fn what_a_peer_has_begun_is_not_begun_beside_it() {
    let (mut town, [first, second]) = two();
    let peer = town.signers[second].key();
    town.cut.insert((second, first));
    let (before, now) = (begun(&mut town), town.now(first));
    assert!(town.node(first).sync_asked(peer, now));
    meet_one(&mut town, first, peer);
    // Many of its turns pass.
    town.run(Duration::from_secs(600));
    assert_eq!(begun(&mut town)[first], before[first]);
    let now = town.now(first);
    town.node(first).sync_answered(peer, false, now);
    town.run(Duration::from_secs(10));
    assert!(
        begun(&mut town)[first] > before[first],
        "nothing came of it"
    );
}

#[test]
fn what_had_begun_before_two_were_neighbours_does_not_count() {
    let (mut town, [first, second]) = two();
    // The one that would wait for the other; the other answers, but does not begin.
    let (own, peer) = (town.signers[second].key(), town.signers[first].key());
    town.cut.insert((first, second));
    let now = town.now(second);
    let node = town.node(second);
    node.syncs = Syncs::new(now.at + Duration::from_secs(3600));
    assert!(node.sync_asked(peer, now));
    node.syncs
        .neighbour(own, peer, now.at + Duration::from_millis(1));
    let before = begun(&mut town)[second];
    let now = town.now(second);
    town.node(second).sync_answered(peer, true, now);
    town.run(Duration::from_secs(10));
    assert_eq!(begun(&mut town)[second], before + 1);
}

#[test]
fn each_new_neighbour_has_its_turn_though_one_is_under_way() {
    let mut town = Town::new(4);
    town.run(Duration::from_secs(300));
    let keys: Vec<Key> = town.signers.iter().map(|s| s.key()).collect();
    let now = town.now(0);
    let node = town.node(0);
    node.syncs = Syncs::new(now.at + Duration::from_secs(3600));
    let begun = |node: &mut Node| {
        let effects = node.effects().into_iter();
        let dialled = effects.filter_map(|effect| match effect {
            Effect::Dial(peer, Protocol::Sync) => Some(peer),
            _ => None,
        });
        dialled.collect::<Vec<_>>()
    };
    for peer in &keys[1..] {
        node.syncs.with(*peer, now.at);
    }
    let mut met = Vec::new();
    for _ in 0..3 {
        node.start_sync(now);
        let dialled = begun(node);
        assert_eq!(dialled.len(), 1);
        node.start_sync(now);
        assert!(begun(node).is_empty(), "one at a time");
        node.sync_ended(dialled[0], true, now);
        met.extend(dialled);
    }
    met.sort();
    let mut others = keys[1..].to_vec();
    others.sort();
    assert_eq!(met, others);
}

fn meet_one(town: &mut Town, n: usize, peer: Key) {
    let (own, now) = (town.signers[n].key(), town.now(n).at);
    town.node(n).syncs.neighbour(own, peer, now);
}

/// Lets a box begin a reconciliation with `peer`, and forget any other.
fn begin(node: &mut Node, peer: Key, now: Now) {
    node.syncs = Syncs::new(now.at + Duration::from_secs(3600));
    node.syncs.with(peer, now.at);
    node.start_sync(now);
}

#[test]
fn who_takes_in_a_book_answers_nobody_until_it_has_it_or_has_waited_long() {
    let (mut town, [first, second]) = two();
    let peer = town.signers[second].key();
    let now = town.now(first);
    let later = |seconds| Now {
        at: now.at + Duration::from_secs(seconds),
        clock_ms: now.clock_ms + seconds * 1000,
    };
    let node = town.node(first);
    begin(node, peer, now);
    node.sync_goes_on(100_000, now);
    assert!(
        node.sync_asked(peer, now),
        "a box that has its book answers"
    );
    node.sync_answered(peer, true, now);
    node.sync_ended(peer, true, now);
    node.synced = false;
    node.sync_goes_on(100_000, now);
    assert!(node.sync_asked(peer, now), "another box has begun it");
    node.sync_answered(peer, true, now);
    begin(node, peer, now);
    node.sync_goes_on(10, now);
    assert!(node.sync_asked(peer, now), "a few records are no book");
    node.sync_answered(peer, true, now);
    node.sync_goes_on(100_000, now);
    assert!(!node.sync_asked(peer, now));
    node.sync_goes_on(100_000, later(599));
    assert!(!node.sync_asked(peer, later(599)));
    assert!(
        node.sync_asked(peer, later(601)),
        "nobody may keep it from the others for ever"
    );
    node.sync_answered(peer, true, later(601));
    node.sync_ended(peer, false, later(601));
    begin(node, peer, later(602));
    node.sync_goes_on(100_000, later(602));
    assert!(!node.sync_asked(peer, later(602)));
    node.sync_ended(peer, true, later(603));
    assert!(node.sync_asked(peer, later(603)));
}

#[test]
fn peerd_is_told_rarely_while_a_book_is_taken_in_and_at_once_after_it() {
    let (mut town, [first, second]) = two();
    let peer = town.signers[second].key();
    let now = town.now(first);
    let later = |seconds| Now {
        at: now.at + Duration::from_secs(seconds),
        clock_ms: now.clock_ms + seconds * 1000,
    };
    let node = town.node(first);
    // As if members had come with each of the looks below.
    let told = |node: &mut Node, at| {
        node.configuration = None;
        node.configure_soon(at);
        node.tick(later(at.duration_since(now.at).as_secs()));
        let effects = node.effects();
        effects.iter().any(|e| matches!(e, Effect::Configure(_)))
    };
    assert!(told(node, now.at));
    assert!(told(node, later(1).at), "few members are told at once");
    node.synced = false;
    begin(node, peer, later(1));
    node.sync_goes_on(100_000, later(1));
    assert!(!told(node, later(2).at) && !told(node, later(9).at));
    node.sync_ended(peer, true, later(9));
    assert!(told(node, later(9).at));
}
