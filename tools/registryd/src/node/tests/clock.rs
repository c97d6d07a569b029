//! Clocks that are set while the box runs, as NTP does some time after a start.
use super::*;

const DAY_MS: i64 = 86_400_000;

#[test]
fn a_clock_that_is_set_changes_no_community_time() {
    for wrong in [DAY_MS, -DAY_MS] {
        let mut town = Town::new(4);
        town.skew_ms[3] = wrong;
        town.run(SECOND * 90);
        let off = |town: &mut Town| {
            let (now, truth) = (town.now(3), town.now(0));
            town.node(3).community_time(now).abs_diff(truth.clock_ms)
        };
        assert!(off(&mut town) < 1000, "{wrong}");
        town.skew_ms[3] = 0;
        town.put(3, "at once", 1);
        assert!(off(&mut town) < 1000, "{wrong}");
        town.run(SECOND * 5);
        assert_eq!(town.agree().len(), 1, "{wrong}");
        // The others know of it, too: no measure of the wrong clock is left.
        for n in 0..4 {
            let now = town.now(n);
            assert!(town.node(n).clock_offset(now).abs() < 1000, "box {n}");
        }
        town.put(0, "later", 2);
        town.run(SECOND * 5);
        assert_eq!(town.agree().len(), 2, "{wrong}");
    }
}

#[test]
fn what_is_removed_by_a_box_alone_without_a_battery_stays_removed() {
    let mut town = Town::new(4);
    town.put(3, "s", 1);
    town.run(SECOND * 90);
    assert_eq!(town.agree().len(), 1);
    town.cut(&[3], &[0, 1, 2]);
    town.skew_ms[3] = -3650 * DAY_MS;
    town.run(SECOND * 90);
    let now = town.now(3);
    town.node(3).remove("service", "s", now).unwrap();
    town.run(SECOND * 180);
    // The clock is right again before anybody is reached.
    town.skew_ms[3] = 0;
    town.run(SECOND * 180);
    town.cut.clear();
    town.run(SECOND * 180);
    assert_eq!(town.agree(), []);
}
