//! Two boxes with one key.
use super::*;
use crate::book::box_key;

/// A `box` record of box 1 that it has not signed itself, by one that knows of it or not.
fn foreign(town: &mut Town, knows: bool) {
    let now = town.now(1);
    let version = town.node(1).community_time(now) + 5;
    let mut body =
        json!({"spine": {"name": "box1", "zone": "vic", "addresses": ["10.9.9.9"], "port": 7656}});
    if knows {
        body["spine"]["twin"] = true.into();
    }
    let record = town.signers[1].record(town.founding.hash, "box", "box", version, body);
    let now = town.now(2);
    town.node(2).merge(vec![record], now);
    town.run(SECOND * 2);
}

#[test]
fn one_word_of_before_is_a_backup_and_an_answer_is_a_twin() {
    let mut town = Town::new(3);
    town.run(SECOND * 60);
    let now = town.now(1);
    assert_eq!(town.node(1).twin(now), None);
    foreign(&mut town, false);
    town.run(SECOND * 60);
    let now = town.now(1);
    assert_eq!(town.node(1).twin(now), None);
    let written = |town: &mut Town| town.node(1).counters().records_written;
    let before = written(&mut town);
    foreign(&mut town, false);
    let now = town.now(1);
    let there: Vec<IpAddr> = vec!["10.9.9.9".parse().unwrap()];
    assert_eq!(town.node(1).twin(now), Some(there.as_slice()));
    // The other needs to hear it too, as long as it does not say that it knows.
    for answers in 1..5 {
        town.run(SECOND * 60);
        assert_eq!(written(&mut town) - before, answers);
        assert_eq!(own_record(&mut town)["spine"]["twin"], true);
        foreign(&mut town, false);
    }
    town.run(SECOND * 60);
    let answered = written(&mut town);
    foreign(&mut town, true);
    town.run(SECOND * 60);
    assert_eq!(written(&mut town), answered, "both know: silence");
    // The other fell silent.
    town.run(Duration::from_secs(4 * 3600));
    let now = town.now(1);
    assert_eq!(town.node(1).twin(now), None);
    assert_eq!(own_record(&mut town)["spine"].get("twin"), None);
}

#[test]
fn one_that_knows_of_this_box_is_believed_at_once() {
    let mut town = Town::new(3);
    town.run(SECOND * 60);
    let before = town.node(1).counters().records_written;
    foreign(&mut town, true);
    let now = town.now(1);
    assert!(town.node(1).twin(now).is_some());
    town.run(SECOND * 60);
    assert_eq!(town.node(1).counters().records_written - before, 1);
    assert_eq!(own_record(&mut town)["spine"]["twin"], true);
}

/// The `box` record of box 1 as it has it.
fn own_record(town: &mut Town) -> Value {
    let own = town.node(1).own;
    let record = town.node(1).book.get(&box_key(own)).unwrap().json();
    Value::Object(record)
}
