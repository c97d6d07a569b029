//! Response rate limiting: a stranger whose address is forged gets few answers that it never
//! asked for. Counted for each network of clients, in all and for each answer, in a table of
//! fixed size that one worker has for itself.

use std::net::IpAddr;

use crate::board::within;
use crate::table::join;

/// Places in the table, each of 8 octets.
const PLACES: usize = 1 << 14;
/// Units of the clock in a second: it wraps after half a day, which a place outlives unharmed.
const SECOND: u32 = 100_000;
/// Seconds' worth of answers that a bucket holds.
const DEPTH: u32 = 5;
/// The highest rate: a step of ten units is still exact enough.
pub const FASTEST: u32 = 10_000;

/// What is limited, and to what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Equal answers a second for one network; 0: no limit.
    pub per_answer: u32,
    /// Answers a second for one network; 0: no limit.
    pub per_network: u32,
    /// Every so many answers above a limit are sent without their records; 0: none.
    pub slip: u32,
    /// Whether clients that are resolved for are limited as well.
    pub known: bool,
    /// Networks that are never limited.
    pub except: Vec<(IpAddr, u8)>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            per_answer: 20,
            per_network: 1000,
            slip: 2,
            known: false,
            except: Vec::new(),
        }
    }
}

impl Rules {
    /// Whether the limits are for this client.
    pub fn concern(&self, client: IpAddr, known: bool) -> bool {
        (self.known || !known)
            && (self.per_answer != 0 || self.per_network != 0)
            && !self.except.iter().any(|&network| within(client, network))
    }
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is sent.
    Pass,
    /// It is sent without its records, so that who did ask comes again another way.
    Slip,
    /// It is not sent.
    Drop,
}

/// A bucket. When it will be full again stands for what is in it (GCRA, ITU-T I.371).
#[derive(Clone, Copy, Default)]
struct Bucket {
    tag: u32,
    full: u32,
}

/// The buckets of one worker.
#[derive(Default)]
pub struct Limiter {
    /// Empty until the first client comes that is limited.
    buckets: Vec<Bucket>,
    above: u32,
}

impl Limiter {
    /// Counts an answer of a class (any hash of what makes answers equal) to a client, at `now`
    /// in hundred-thousandths of a second.
    pub fn judge(&mut self, rules: &Rules, client: IpAddr, class: u64, now: u32) -> Verdict {
        let network = join(network(client), 0);
        let within = self.take(network, rules.per_network, now)
            && self.take(join(network, class), rules.per_answer, now);
        if within {
            return Verdict::Pass;
        }
        self.above = self.above.wrapping_add(1);
        if rules.slip != 0 && self.above.is_multiple_of(rules.slip) {
            Verdict::Slip
        } else {
            Verdict::Drop
        }
    }

    /// Takes one from a bucket; `false` if it is empty.
    fn take(&mut self, key: u64, rate: u32, now: u32) -> bool {
        if rate == 0 {
            return true;
        }
        if self.buckets.is_empty() {
            self.buckets.resize(PLACES, Bucket::default());
        }
        let (step, depth) = (SECOND / rate.min(FASTEST), SECOND * DEPTH);
        let first = key as usize % PLACES; // the lower bits; the upper ones are the tag
        let tag = (key >> 32) as u32;
        let lack = |bucket: Bucket| match bucket.full.wrapping_sub(now) {
            lack if lack <= depth => lack,
            _ => 0, // full for long
        };
        let (a, b) = (self.buckets[first], self.buckets[first ^ 1]);
        let (place, lacking) = if a.tag == tag {
            (first, lack(a))
        } else if b.tag == tag {
            (first ^ 1, lack(b))
        } else if lack(a) <= lack(b) {
            (first, 0) // the fuller of two makes room
        } else {
            (first ^ 1, 0)
        };
        if lacking + step > depth {
            return false;
        }
        let full = now.wrapping_add(lacking + step);
        self.buckets[place] = Bucket { tag, full };
        true
    }
}

/// The network of a client: /24 or /56.
fn network(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(ip) => u64::from(ip.to_bits() >> 8),
        IpAddr::V6(ip) => (ip.to_bits() >> 72) as u64 | 1 << 63, // 56 bits, and the family
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `count` answers, `gap` units apart, pass.
    fn passing(
        limiter: &mut Limiter,
        rules: &Rules,
        count: u32,
        gap: u32,
        class: impl Fn(u32) -> u64,
    ) -> usize {
        let judge = |n: &u32| {
            limiter.judge(rules, ip("192.0.2.7"), class(*n), 77 + n * gap) == Verdict::Pass
        };
        (0..count).filter(judge).count()
    }

    #[test]
    fn a_flood_of_one_answer_gets_five_seconds_worth_and_then_the_rate() {
        let rules = Rules::default();
        // 1,000 a second for 10 seconds.
        let passed = passing(
            &mut Limiter::default(),
            &rules,
            10_000,
            SECOND / 1000,
            |_| 1,
        );
        assert!((295..=300).contains(&passed), "{passed}");
    }

    #[test]
    fn a_network_has_a_limit_for_all_its_answers() {
        let rules = Rules {
            per_network: 100,
            ..Rules::default()
        };
        let passed = passing(
            &mut Limiter::default(),
            &rules,
            10_000,
            SECOND / 1000,
            u64::from,
        );
        assert!((1490..=1500).contains(&passed), "{passed}");
    }

    #[test]
    fn a_household_is_never_limited() {
        // Thirty devices behind one address, each with a page of forty names every two seconds.
        let rules = Rules::default();
        let passed = passing(&mut Limiter::default(), &rules, 6000, SECOND / 600, |n| {
            u64::from(n % 200)
        });
        assert_eq!(passed, 6000);
    }

    #[test]
    fn networks_do_not_harm_each_other_and_memory_is_bounded() {
        let rules = Rules::default();
        let mut limiter = Limiter::default();
        let mut passed = 0;
        for n in 0..1_000_000u32 {
            let forged = IpAddr::from(n.wrapping_mul(0x9e37_79b9).to_be_bytes());
            limiter.judge(&rules, forged, 1, n / 10);
            if n % 10_000 == 0 {
                passed +=
                    u32::from(limiter.judge(&rules, ip("2001:db8::1"), 1, n / 10) == Verdict::Pass);
            }
        }
        assert_eq!(passed, 100);
        assert_eq!(limiter.buckets.len(), PLACES);
    }

    #[test]
    fn every_second_answer_above_the_limit_slips() {
        let rules = Rules {
            per_answer: 1,
            slip: 2,
            ..Rules::default()
        };
        let mut limiter = Limiter::default();
        let verdicts: Vec<_> = (0..9)
            .map(|_| limiter.judge(&rules, ip("192.0.2.1"), 1, 5))
            .collect();
        assert_eq!(verdicts[..5], [Verdict::Pass; 5]);
        assert_eq!(
            verdicts[5..],
            [Verdict::Drop, Verdict::Slip, Verdict::Drop, Verdict::Slip]
        );
        let silent = Rules { slip: 0, ..rules };
        assert_eq!(
            limiter.judge(&silent, ip("192.0.2.2"), 1, 5),
            Verdict::Drop,
            "the same network"
        );
    }

    #[test]
    fn an_old_bucket_is_full_whatever_the_clock_says() {
        let rules = Rules {
            per_answer: 1,
            ..Rules::default()
        };
        for later in [SECOND * 6, 1 << 30, 1 << 31, u32::MAX - SECOND] {
            let mut limiter = Limiter::default();
            for _ in 0..9 {
                limiter.judge(&rules, ip("192.0.2.1"), 1, 0);
            }
            let verdict = limiter.judge(&rules, ip("192.0.2.1"), 1, later);
            assert_eq!(verdict, Verdict::Pass, "{later}");
        }
    }

    #[test]
    fn strangers_are_concerned_unless_they_are_excepted() {
        let mut rules = Rules {
            except: vec![(ip("198.51.100.0"), 24)],
            ..Rules::default()
        };
        assert!(rules.concern(ip("192.0.2.1"), false) && !rules.concern(ip("192.0.2.1"), true));
        assert!(!rules.concern(ip("198.51.100.9"), false));
        rules.known = true;
        assert!(rules.concern(ip("192.0.2.1"), true));
        (rules.per_answer, rules.per_network) = (0, 0);
        assert!(!rules.concern(ip("192.0.2.1"), true));
    }
}
