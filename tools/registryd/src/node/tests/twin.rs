//! Two boxes with one key.
use super::*;

/// A `box` record of box 1 that it has not signed itself.
fn foreign(town: &mut Town) {
    let now = town.now(1);
    let version = town.node(1).community_time(now) + 5;
    let body =
        json!({"spine": {"name": "box1", "zone": "vic", "addresses": ["10.9.9.9"], "port": 7656}});
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
    foreign(&mut town);
    town.run(SECOND * 60);
    let now = town.now(1);
    assert_eq!(town.node(1).twin(now), None);
    let written = town.node(1).counters().records_written;
    foreign(&mut town);
    let now = town.now(1);
    let there: Vec<IpAddr> = vec!["10.9.9.9".parse().unwrap()];
    assert_eq!(town.node(1).twin(now), Some(there.as_slice()));
    // The other needs a second word too; after that there is no end to it but silence.
    town.run(SECOND * 60);
    let answers = town.node(1).counters().records_written - written;
    assert_eq!(answers, 1);
    foreign(&mut town);
    town.run(SECOND * 60);
    let more = town.node(1).counters().records_written - written;
    assert_eq!(more, 1);
    // The other fell silent.
    town.run(Duration::from_secs(4 * 3600));
    let now = town.now(1);
    assert_eq!(town.node(1).twin(now), None);
}
