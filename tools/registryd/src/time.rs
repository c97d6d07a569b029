//! Community time: the own clock, corrected by the lower median of what the connected members'
//! clocks say, so that a town without Internet stays in agreement for months.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use guifi_streams::Key;

/// A clock before this (2026-11-01) has lost its battery: it is not asked. Package builds set
/// it to the date of the changelog.
pub const BUILT_MS: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(seconds) => parse(seconds.as_bytes()) * 1000,
    None => 1_793_491_200_000,
};

/// How far ahead of community time a record may be, in milliseconds.
pub const TOLERANCE_MS: u64 = 10 * 60 * 1000;

const fn parse(digits: &[u8]) -> u64 {
    let mut value = 0;
    let mut at = 0;
    while at < digits.len() {
        value = value * 10 + (digits[at] - b'0') as u64;
        at += 1;
    }
    value
}

/// The own clock, in milliseconds since 1970 UTC.
#[must_use]
pub fn own_clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// What is known of the connected members' clocks.
#[derive(Clone, Debug, Default)]
pub struct CommunityTime {
    /// Milliseconds by which each is ahead of the own clock.
    offsets: BTreeMap<Key, i64>,
}

impl CommunityTime {
    /// Notes that at `own_ms` a member's clock said `theirs_ms`.
    pub fn observe(&mut self, member: Key, own_ms: u64, theirs_ms: u64) {
        if !(BUILT_MS..=1 << 53).contains(&theirs_ms) {
            self.offsets.remove(&member);
            return;
        }
        self.offsets
            .insert(member, theirs_ms.cast_signed() - own_ms.cast_signed());
    }

    /// The own clock was set, by so many milliseconds: the others are as far as before.
    pub fn stepped(&mut self, by_ms: i64) {
        for offset in self.offsets.values_mut() {
            *offset = offset.saturating_sub(by_ms);
        }
    }

    /// A member is no longer connected.
    pub fn forget(&mut self, member: Key) {
        self.offsets.remove(&member);
    }

    /// Whether it rests on the own clock alone.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Whether it rests on three clocks or more, so that no single wrong one decides.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.offsets.len() >= 2
    }

    /// Milliseconds to add to the own clock.
    #[must_use]
    pub fn offset(&self, own_ms: u64) -> i64 {
        let mut offsets: Vec<i64> = self.offsets.values().copied().collect();
        if own_ms >= BUILT_MS || offsets.is_empty() {
            offsets.push(0);
        }
        offsets.sort_unstable();
        offsets[(offsets.len() - 1) / 2]
    }

    /// Community time when the own clock says `own_ms`.
    #[must_use]
    pub fn at(&self, own_ms: u64) -> u64 {
        own_ms.saturating_add_signed(self.offset(own_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = BUILT_MS + 1_000_000;

    fn key(n: u8) -> Key {
        Key([n; 32])
    }

    #[test]
    fn the_lower_median_counts_the_own_clock() {
        let mut time = CommunityTime::default();
        assert_eq!(time.at(NOW), NOW);
        assert!(time.is_alone());
        time.observe(key(1), NOW, NOW + 500);
        assert!(!time.is_alone());
        assert_eq!(time.offset(NOW), 0, "of two the lower");
        assert!(!time.is_sure());
        time.observe(key(2), NOW, NOW + 700);
        assert_eq!(time.offset(NOW), 500);
        assert!(time.is_sure());
        time.forget(key(2));
        assert_eq!(time.offset(NOW), 0);
    }

    #[test]
    fn a_clock_without_battery_is_not_asked() {
        let mut time = CommunityTime::default();
        time.observe(key(1), 1000, NOW);
        assert_eq!(time.at(1000), NOW, "the own clock stands in 1970");
        let mut time = CommunityTime::default();
        time.observe(key(1), NOW, 1000);
        assert_eq!(time.at(NOW), NOW, "the other's clock stands in 1970");
    }
}
