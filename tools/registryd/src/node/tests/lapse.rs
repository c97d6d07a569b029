//! Names of boxes that are gone; a day has ten minutes here, and twelve of them suffice.
use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// A `box` record's life, then the days of absence, and some.
const LONG: Duration = Duration::from_secs(60 * (90 + 12 * 10 + 20));

impl Town {
    /// Host label of box `of`, as box `at` sees it.
    fn label(&mut self, at: usize, of: usize) -> String {
        let owner = self.signers[of].key();
        let view = self.node(at).book().view();
        view.of_owner(owner).next().unwrap().standing.label.clone()
    }

    fn lapses(&mut self, at: usize) -> usize {
        let records = self.node(at).book().records();
        records.filter(|r| r.key.kind == "lapse").count()
    }

    /// All clocks go on by more than a day: what stands for so long is confirmed.
    fn skip_a_day(&mut self) {
        for skew in &mut self.skew_ms {
            *skew += 25 * 3_600_000;
        }
        self.run(MINUTE * 13);
    }

    fn call(&mut self, n: usize, name: &str) {
        let now = self.now(n);
        let home = Home {
            name: name.into(),
            zone: "vic".into(),
        };
        self.node(n).set_home(home, now);
    }
}

#[test]
fn the_name_of_a_box_long_gone_is_free_and_stays_with_who_took_it() {
    let mut town = Town::new(3);
    town.run(MINUTE);
    town.skip_a_day();
    town.kill(2);
    town.run(MINUTE * 100);
    assert_eq!(town.lapses(0), 0, "not yet");
    // The count survives a restart.
    town.kill(0);
    town.boot(0);
    town.run(MINUTE * 100);
    assert_eq!((town.lapses(0), town.lapses(1)), (1, 1));
    town.call(1, "box2");
    town.run(MINUTE);
    assert_eq!(town.label(0, 1), "box2");
    // Confirmed anew, for its new holder: whoever held it does not get it back.
    town.skip_a_day();
    town.boot(2);
    town.run(MINUTE * 15);
    assert_eq!(town.label(2, 1), "box2");
    assert!(town.label(2, 2).starts_with("b-"));
}

#[test]
fn a_box_that_comes_back_claims_its_free_name_anew() {
    let mut town = Town::new(3);
    town.run(MINUTE);
    town.kill(2);
    town.run(LONG);
    assert_eq!(town.lapses(1), 1);
    town.boot(2);
    town.run(MINUTE * 2);
    for n in 0..3 {
        assert_eq!(town.label(n, 2), "box2");
    }
    town.run(LONG);
    assert_eq!(town.lapses(0), 1, "it lives");
    assert_eq!(town.label(0, 2), "box2");
}

#[test]
fn days_on_which_the_administrators_box_met_nobody_do_not_count() {
    let mut town = Town::new(3);
    town.run(MINUTE);
    town.kill(2);
    // Off for long, then back: what it missed is no absence of others.
    town.kill(0);
    town.run(LONG);
    town.boot(0);
    town.run(LONG / 3);
    assert_eq!(town.lapses(0), 0);
    // Cut off from everybody: they are all away, and none of them is.
    town.cut(&[0], &[1]);
    town.run(LONG * 2);
    assert_eq!(town.lapses(0), 0);
    town.cut.clear();
    town.run(LONG);
    assert_eq!(town.lapses(0), 1, "the box that is away for good");
    assert_eq!(town.label(1, 1), "box1");
}

#[test]
fn whoever_comes_back_in_time_begins_anew() {
    let mut town = Town::new(3);
    town.run(MINUTE);
    for _ in 0..3 {
        town.kill(2);
        town.run(MINUTE * 100);
        town.boot(2);
        town.run(MINUTE * 5);
    }
    assert_eq!(town.lapses(0), 0);
}
