//! When a copy is asked about again, and when it is too old to answer from (RFC 1035
//! section 3.3.13). All of it is arithmetic: whoever uses it brings the time.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::hosted::rrset::Soa;
use crate::state::now;

/// Bounds of refresh and retry, in seconds: what an SOA record says by mistake must neither keep
/// two servers busy nor let a change wait for weeks.
const REFRESH: [u32; 2] = [30, 7 * 86_400];
const RETRY: [u32; 2] = [15, 86_400];
/// Seconds after the first failure of a zone of which there is no copy yet, doubled up to the
/// longest.
const FIRST_RETRY: u64 = 5;
const LONGEST_FIRST_RETRY: u64 = 600;

/// The intervals of a zone, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Times {
    /// Between two questions for the serial.
    pub refresh: u64,
    /// Before the next one after a failure.
    pub retry: u64,
    /// How old a copy may become.
    pub expire: u64,
}

impl From<&Soa> for Times {
    fn from(soa: &Soa) -> Self {
        let refresh = u64::from(soa.refresh.clamp(REFRESH[0], REFRESH[1]));
        let retry = u64::from(soa.retry.clamp(RETRY[0], RETRY[1]));
        Self {
            refresh,
            retry,
            // One lost answer is no reason to stop (RFC 1912 section 2.2).
            expire: u64::from(soa.expire).max(refresh + retry),
        }
    }
}

/// A moment by all clocks of the box.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moment {
    /// What the kernel calls this run of it; empty if unknown.
    pub boot: String,
    /// Seconds since it began, those asleep included.
    pub up: u64,
    /// Seconds since 1970, as far as the box knows.
    pub wall: u64,
}

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        Self {
            boot: boot.unwrap_or_default().trim().to_owned(),
            up: u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0),
            wall: now(),
        }
    }

    /// Seconds from `earlier` to this moment. Within one run of the kernel its own clock counts,
    /// which nobody sets. Over a restart it is at least the time since then, and as much as the
    /// wall clock says: one that was set back hides the time without power and nothing else.
    pub fn since(&self, earlier: &Self) -> u64 {
        if self.boot == earlier.boot && !self.boot.is_empty() {
            return self.up.saturating_sub(earlier.up);
        }
        self.wall.saturating_sub(earlier.wall).max(self.up)
    }
}

/// How old a copy is, as it is kept on the disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Age {
    /// Seconds that it had at the moment below.
    pub seconds: u64,
    /// When that was.
    pub at: Moment,
}

impl Age {
    /// The primary has just been seen to have the same.
    pub fn confirmed(at: Moment) -> Self {
        Self { seconds: 0, at }
    }

    /// Seconds since the primary was last seen to have the same.
    pub fn seconds(&self, now: &Moment) -> u64 {
        self.seconds.saturating_add(now.since(&self.at))
    }

    /// The same age as of now, so that a clock that goes back later cannot undo it.
    #[must_use]
    pub fn counted(&self, now: &Moment) -> Self {
        Self {
            seconds: self.seconds(now),
            at: now.clone(),
        }
    }
}

/// How long to wait for the next question, `failures` after the last good answer. `times` and
/// age of the copy, if there is one; `chance` is any number: of many zones some ask sooner.
pub fn wait(copy: Option<(Times, u64)>, failures: u32, chance: u64) -> Duration {
    let seconds = match copy {
        None if failures == 0 => 0,
        None => {
            let doubled = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16));
            doubled.min(LONGEST_FIRST_RETRY)
        }
        Some((times, age)) if failures == 0 => times.refresh.saturating_sub(age),
        Some((times, _)) => times.retry,
    };
    // The last quarter of the time.
    let whole = seconds.saturating_mul(1000);
    Duration::from_millis(whole - chance % (whole / 4 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, up: u64, wall: u64) -> Moment {
        Moment {
            boot: boot.into(),
            up,
            wall,
        }
    }

    #[test]
    fn a_clock_that_is_set_changes_no_age_while_the_kernel_runs() {
        let start = moment("a", 100, 1_000_000);
        let age = Age::confirmed(start.clone());
        assert_eq!(age.seconds(&moment("a", 160, 1_000_060)), 60);
        assert_eq!(age.seconds(&moment("a", 160, 5)), 60, "set back");
        assert_eq!(age.seconds(&moment("a", 160, 9_000_000)), 60, "set forward");
        assert_eq!(age.seconds(&moment("a", 90, 1_000_000)), 0);
    }

    #[test]
    fn over_a_restart_the_time_without_power_is_the_wall_clocks() {
        let age = Age::confirmed(moment("a", 100, 1_000_000));
        assert_eq!(age.seconds(&moment("b", 10, 1_000_500)), 500);
        assert_eq!(
            age.seconds(&moment("b", 10, 5)),
            10,
            "a clock without battery"
        );
        assert_eq!(age.seconds(&moment("", 10, 1_000_020)), 20);
        // A dead zone dies in the end, however often the clock begins anew.
        let mut age = age;
        for _ in 0..100 {
            age = age
                .counted(&moment("b", 10, 5))
                .counted(&moment("c", 10, 5));
        }
        assert_eq!(age.seconds, 2000);
    }

    #[test]
    fn what_an_soa_record_says_is_taken_within_bounds() {
        let soa = |refresh, retry, expire| {
            let name = crate::name::Name::root();
            Times::from(&Soa {
                server: name.clone(),
                mailbox: name,
                serial: 1,
                refresh,
                retry,
                expire,
                minimum: 0,
            })
        };
        let times = soa(3600, 600, 604_800);
        assert_eq!(
            (times.refresh, times.retry, times.expire),
            (3600, 600, 604_800)
        );
        let times = soa(0, 0, 0);
        assert_eq!((times.refresh, times.retry, times.expire), (30, 15, 45));
        let times = soa(u32::MAX, u32::MAX, u32::MAX);
        assert_eq!((times.refresh, times.retry), (604_800, 86_400));
    }

    #[test]
    fn questions_are_asked_in_time_and_not_all_at_once() {
        let times = Times {
            refresh: 400,
            retry: 40,
            expire: 4000,
        };
        for chance in [0, 1, 7777, u64::MAX] {
            let seconds = |copy, failures| wait(copy, failures, chance).as_secs_f64();
            assert!((300.0..=400.0).contains(&seconds(Some((times, 0)), 0)));
            assert!((75.0..=100.0).contains(&seconds(Some((times, 300)), 0)));
            assert!((30.0..=40.0).contains(&seconds(Some((times, 300)), 9)));
            assert_eq!(seconds(Some((times, 500)), 0), 0.0);
            assert_eq!(seconds(None, 0), 0.0);
            assert!((3.7..=5.0).contains(&seconds(None, 1)));
            assert!((450.0..=600.0).contains(&seconds(None, u32::MAX)));
        }
        let waits: std::collections::BTreeSet<_> = (0..100)
            .map(|n| wait(Some((times, 0)), 0, n * 977))
            .collect();
        assert!(waits.len() > 90);
    }
}
