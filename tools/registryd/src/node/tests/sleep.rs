//! Boxes that sleep for longer than the records of boxes live.
use super::*;

const SLEEP: Duration = Duration::from_secs(40 * 24 * 3600);

#[test]
fn who_wakes_up_looks_for_others_than_the_first_who_does_not_answer() {
    let mut town = Town::new(2);
    let now = town.now(0);
    let home = |n: usize| Home {
        name: format!("gone{n}"),
        zone: "vic".into(),
    };
    for n in 0..20 {
        let gone = Signer::new(100 + n as u8).key();
        let admission = town.node(0).admit(gone, None, &home(n), now);
        assert!(matches!(admission, Admission::Member(_)));
    }
    town.run(SECOND * 90);
    (0..2).for_each(|n| town.kill(n));
    town.at += SLEEP;
    (0..2).for_each(|n| town.boot(n));
    town.run(SECOND * 180);
    assert!((0..2).all(|n| town.node(n).synced()));
}

#[test]
fn halves_that_woke_up_apart_find_together() {
    let mut town = Town::new(4);
    town.run(SECOND * 90);
    (0..4).for_each(|n| town.kill(n));
    town.at += SLEEP;
    town.cut(&[0, 1], &[2, 3]);
    (0..4).for_each(|n| town.boot(n));
    town.run(SECOND * 300);
    let known = |town: &mut Town, n: usize| town.node(n).others().count();
    assert!((0..4).all(|n| known(&mut town, n) == 1));
    town.cut.clear();
    town.run(SECOND * 900);
    assert!((0..4).all(|n| known(&mut town, n) == 3));
}
