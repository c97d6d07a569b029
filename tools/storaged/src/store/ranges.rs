//! Which parts of a share have come.

use guifi_tahoe::gbs::Range;

/// Parts that do not touch, in order; how many there may be is for who adds them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    /// How many parts there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds a part, and joins those that it touches.
    pub(super) fn add(&mut self, begin: u64, end: u64) {
        if begin >= end {
            return;
        }
        let first = self.0.partition_point(|range| range.end < begin);
        let last = self.0.partition_point(|range| range.begin <= end);
        let touched = self.0.get(first..last).unwrap_or_default();
        let joined = Range {
            begin: touched
                .first()
                .map_or(begin, |range| range.begin.min(begin)),
            end: touched.last().map_or(end, |range| range.end.max(end)),
        };
        self.0.splice(first..last, [joined]);
    }

    /// What of a part is there.
    pub(super) fn within(&self, begin: u64, end: u64) -> impl Iterator<Item = Range> + '_ {
        let first = self.0.partition_point(|range| range.end <= begin);
        let there = self.0.iter().skip(first);
        there
            .take_while(move |range| range.begin < end)
            .map(move |range| Range {
                begin: range.begin.max(begin),
                end: range.end.min(end),
            })
    }

    /// What is missing of a share of this size.
    pub(super) fn missing(&self, size: u64) -> Vec<Range> {
        let mut at = 0;
        let mut missing = Vec::new();
        for range in &self.0 {
            if at < range.begin {
                missing.push(Range {
                    begin: at,
                    end: range.begin,
                });
            }
            at = range.end;
        }
        if at < size {
            missing.push(Range {
                begin: at,
                end: size,
            });
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_as_a_list_of_bytes_has_them(
            parts in proptest::collection::vec((0_usize..60, 0_usize..60), 0..20),
            ask in (0_usize..60, 0_usize..60),
        ) {
            let (mut ranges, mut there) = (Ranges::default(), [false; 64]);
            for (begin, end) in parts {
                ranges.add(begin as u64, end as u64);
                if begin < end {
                    there[begin..end].fill(true);
                }
            }
            let mut all = [true; 64];
            for range in ranges.missing(64) {
                all[usize::try_from(range.begin).unwrap()..usize::try_from(range.end).unwrap()].fill(false);
            }
            prop_assert_eq!(all, there);
            let inside: u64 = ranges.within(ask.0 as u64, ask.0.max(ask.1) as u64).map(|r| r.end - r.begin).sum();
            let expected = (ask.0..ask.0.max(ask.1)).filter(|at| there[*at]).count();
            prop_assert_eq!(inside, expected as u64);
            prop_assert!(ranges.0.windows(2).all(|pair| pair[0].end < pair[1].begin));
        }
    }
}
