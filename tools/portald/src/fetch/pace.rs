//! When to ask again: at the interval and a spread of one's own after an answer; after a
//! failure soon, then less and less often, never in step with others.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(60);
/// Never less often.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// The longest wait that the portal may ask for.
const ASKED: Duration = Duration::from_secs(24 * 3600);

/// The interval with the spread of a number: up to half of it more, as the portal's own
/// clients have it with `60 + ID mod 30` minutes.
#[must_use]
pub fn interval(interval: Duration, id: u64) -> Duration {
    interval + interval * u32::try_from(id % 30).unwrap_or_default() / 60
}

/// The pause after so many failures in a row, with `chance` of 0 to 255 making it up to a
/// quarter shorter or longer; not shorter than the portal asked for.
#[must_use]
pub fn pause(failures: u32, chance: u8, asked: Option<Duration>) -> Duration {
    let doubled = FIRST * 2u32.saturating_pow(failures.saturating_sub(1).min(20));
    let base = doubled.min(LONGEST);
    let pause = base * 3 / 4 + base / 2 * u32::from(chance) / 255;
    pause.max(asked.unwrap_or_default().min(ASKED))
}

/// The pause with a chance of its own.
#[must_use]
pub fn next(failures: u32, asked: Option<Duration>) -> Duration {
    let mut chance = [128];
    // Without chance it is the middle.
    let _ = getrandom::fill(&mut chance);
    pause(failures, chance[0], asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_hours_and_differ_by_chance() {
        let minutes = |failures| pause(failures, 128, None).as_secs() / 60;
        assert_eq!((minutes(1), minutes(2), minutes(3)), (1, 2, 4));
        assert_eq!((minutes(9), minutes(40)), (256, 360));
        assert_eq!(pause(1, 0, None), Duration::from_secs(45));
        assert_eq!(pause(1, 255, None), Duration::from_secs(75));
        assert_eq!(pause(u32::MAX, 255, None), LONGEST * 5 / 4);
    }

    #[test]
    fn the_portal_may_ask_for_a_day_and_not_more() {
        let hour = Duration::from_secs(3600);
        assert_eq!(pause(1, 0, Some(hour)), hour);
        assert_eq!(pause(1, 0, Some(hour * 1000)), ASKED);
    }

    #[test]
    fn intervals_are_spread_by_number() {
        let hour = Duration::from_secs(3600);
        assert_eq!(interval(hour, 30), hour);
        assert_eq!(interval(hour, 9509), Duration::from_secs(89 * 60));
    }
}
