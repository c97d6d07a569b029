//! Witnesses for addresses.
use super::*;
use crate::witness::{Statement, message};

fn address(n: usize) -> IpAddr {
    IpAddr::from([10, 1, 0, u8::try_from(n).unwrap()])
}

impl Town {
    /// Box `n` has an address at which others meet it, and one at which nobody does.
    fn place(&mut self, n: usize) {
        let now = self.now(n);
        let reach = Reach {
            addresses: vec![address(n), IpAddr::from([172, 17, 0, 1])],
            port: 7656,
            ..Reach::default()
        };
        self.node(n).set_reach(reach, now);
    }

    /// Box `to` tells `from` where it meets it.
    pub(super) fn meet(&mut self, from: usize, to: usize) {
        let (subject, address) = (self.signers[from].key(), address(from));
        let now = self.now(to);
        let time = self.node(to).community_time(now);
        let message = message(&self.founding.hash, subject, address, time);
        let statement = Statement {
            address,
            by: self.signers[to].key(),
            time,
            signature: self.signers[to].sign("guifi-witness-v1", &message),
        };
        let now = self.now(from);
        self.node(from).witnessed(statement, now);
    }

    /// The witnessed addresses of box `of`, as box `at` shows them.
    fn witnessed(&mut self, at: usize, of: usize) -> Value {
        let owner = self.signers[of].key();
        let entry = self.node(at).book().view();
        let entry = entry.get(&crate::book::box_key(owner)).unwrap();
        entry.json(owner)["witnessed"].clone()
    }

    /// Who is the witness of box `of`, and since when.
    fn witness(&mut self, of: usize) -> (usize, u64) {
        let owner = self.signers[of].key();
        let mut statements = self.node(0).book().witnesses(owner);
        let (by, time) = statements.next().map(|s| (s.by, s.time)).unwrap();
        assert!(statements.next().is_none());
        drop(statements);
        (self.index(by), time)
    }
}

#[test]
fn an_address_has_a_witness_within_a_minute_and_a_new_one_each_month() {
    let mut town = Town::new(4);
    (0..4).for_each(|n| town.place(n));
    town.run(SECOND * 60);
    for at in 0..4 {
        assert_eq!(town.witnessed(at, 2), json!(["10.1.0.2"]));
    }
    let (_, before) = town.witness(2);
    let asked = town.asked;
    let written = town.node(2).counters().records_written;
    // The other address is asked for ever more rarely, and what comes of it is no news.
    town.run(SECOND * 3600);
    let per_box = (town.asked - asked) / 4;
    assert!(per_box <= 30, "{per_box} requests in an hour");
    let written = town.node(2).counters().records_written - written;
    assert!(written <= 8, "{written} records in an hour of six renewals");
    assert!(town.witness(2).1 - before < 3600 * 3000);
    for skew in &mut town.skew_ms {
        *skew += 31 * 24 * 3_600_000;
    }
    town.run(SECOND * 3600 * 2);
    assert!(town.witness(2).1 > before + 30 * 24 * 3_600_000);
    assert_eq!(town.witnessed(0, 2), json!(["10.1.0.2"]));
}

#[test]
fn the_word_of_a_banned_witness_is_worth_nothing_and_another_takes_its_place() {
    let mut town = Town::new(4);
    (0..4).for_each(|n| town.place(n));
    town.run(SECOND * 60);
    // One that is not the administrator.
    let (of, (witness, _)) = (0..4)
        .map(|of| (of, town.witness(of)))
        .find(|(_, (by, _))| *by != 0)
        .unwrap();
    town.ban(witness);
    town.run(SECOND * 3600);
    let (now, _) = town.witness(of);
    assert_ne!(now, witness);
    assert_eq!(town.witnessed(0, of), json!([address(of).to_string()]));
}

#[test]
fn a_box_alone_has_no_witness_and_statements_that_are_not_sound_are_dropped() {
    let mut town = Town::new(2);
    town.place(0);
    town.run(SECOND);
    town.kill(1);
    town.run(SECOND * 600);
    assert_eq!(town.witnessed(0, 0), json!([]));
    // Seen at an address that this box does not have.
    town.boot(1);
    town.run(SECOND);
    let now = town.now(0);
    let reach = Reach {
        addresses: vec![address(9)],
        ..Reach::default()
    };
    town.node(0).set_reach(reach, now);
    town.run(SECOND * 120);
    assert_eq!(town.witnessed(0, 0), json!([]));
}
