//! The bytes of one share that a segment needs.

use std::ops::Range;

use bytes::Bytes;
use futures_util::future::try_join_all;
use guifi_tahoe::chk::{HEAD, Need, Part};
use guifi_tahoe::{ShareNumber, StorageIndex};

use crate::server::{Failure, Kind, Server};

/// Parts that lie no further apart are read at once, in bytes.
const NEAR: u64 = 4 << 10;

/// The beginning of a share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window(Bytes);

impl Window {
    /// Reads the head, and with it what will probably be needed.
    pub(crate) async fn read(
        server: &Server,
        index: &StorageIndex,
        share: ShareNumber,
        length: u64,
    ) -> Result<Self, Failure> {
        let bytes = server
            .read(Kind::Immutable, index, share, 0, length)
            .await?;
        Ok(Self(bytes))
    }

    /// The bytes that say where the rest is.
    pub(crate) fn head(&self) -> &[u8] {
        self.0.get(..HEAD as usize).unwrap_or(&self.0)
    }

    fn part(&self, range: &Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(range.start).ok()?;
        let end = usize::try_from(range.end).ok()?;
        (end <= self.0.len() && start <= end).then(|| self.0.slice(start..end))
    }

    /// The UEB is asked for longer than it may be: the share's end is enough.
    fn end(&self, need: &Need, asked: u64) -> Option<Bytes> {
        let short = (self.0.len() as u64) < asked;
        let start = usize::try_from(need.range.start).ok()?;
        (short && need.part == Part::Ueb && start <= self.0.len()).then(|| self.0.slice(start..))
    }
}

/// Reads what is needed, parts next to each other at once. `asked` is the length of the window
/// that was asked for.
pub(crate) async fn read_needs(
    server: &Server,
    index: &StorageIndex,
    share: ShareNumber,
    needs: Vec<Need>,
    window: &Window,
    asked: u64,
) -> Result<Vec<(Need, Bytes)>, Failure> {
    let local = |need: &Need| window.part(&need.range).or_else(|| window.end(need, asked));
    let remote = needs.iter().filter(|need| local(need).is_none());
    let runs = runs(remote.map(|need| need.range.clone()));
    let read = |run: Range<u64>| async move {
        let length = run.end - run.start;
        let bytes = server
            .read(Kind::Immutable, index, share, run.start, length)
            .await?;
        Ok::<_, Failure>((run.start, bytes))
    };
    let read = try_join_all(runs.into_iter().map(read)).await?;
    let cut = |need: &Need| {
        local(need).unwrap_or_else(|| {
            let of = read.iter().rfind(|(start, _)| *start <= need.range.start);
            of.map_or_else(Bytes::new, |(start, bytes)| {
                slice(bytes, *start, &need.range)
            })
        })
    };
    Ok(needs.iter().map(|need| (need.clone(), cut(need))).collect())
}

fn slice(bytes: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let place = |at: u64| {
        usize::try_from(at.saturating_sub(start)).map_or(bytes.len(), |at| at.min(bytes.len()))
    };
    bytes.slice(place(range.start)..place(range.end).max(place(range.start)))
}

/// Ranges, in order, put together where little lies between them.
fn runs(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_by_key(|range| range.start);
    let mut runs: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(run) if range.start <= run.end + NEAR => run.end = run.end.max(range.end),
            _ => runs.push(range),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_read_at_once() {
        let ranges = [10_000..10_032, 0..36, 36..400, 10_100..12_000];
        assert_eq!(runs(ranges.into_iter()), [0..400, 10_000..12_000]);
        let far = [0..10, 5_000..5_010];
        assert_eq!(runs(far.clone().into_iter()), far);
    }

    #[test]
    fn a_cut_stays_within_what_came() {
        let bytes = Bytes::from_static(b"0123456789");
        assert_eq!(slice(&bytes, 100, &(102..104)), "23");
        assert_eq!(slice(&bytes, 100, &(108..130)), "89");
        assert_eq!(slice(&bytes, 100, &(120..130)), "");
    }
}
