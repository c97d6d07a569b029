//! How much may be kept, and how much is: the quota, and what is reserved for others.
//!
//! Shares count in blocks of 4 KiB and one block more, for their directory and the books, so
//! that many small ones do not take more of the disk than was given.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Fault, Result};

/// What the disk is counted in, in bytes.
const BLOCK: u64 = 4096;
/// How long an answer for people may be old.
const FRESH: Duration = Duration::from_secs(1);

/// What a share of this size takes, in bytes.
#[must_use]
pub(crate) fn cost(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK)
}

/// How much the owner gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Given {
    /// So many bytes.
    Bytes(u64),
    /// So much of the disk.
    Percent(u8),
}

/// What is given, and what is to stay free on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// For shares.
    pub given: Given,
    /// For everything else, in bytes.
    pub reserved: u64,
}

/// The figures of a moment, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// What the owner gives.
    pub given: u64,
    /// What shares take.
    pub used: u64,
    /// What open uploads will take.
    pub pledged: u64,
    /// What further shares may take.
    pub available: u64,
}

#[derive(Debug)]
struct Sums {
    bounds: Bounds,
    used: u64,
    pledged: u64,
    /// How much of what was pledged is on the disk.
    written: u64,
    seen: Option<(Instant, Figures)>,
}

/// The book of space.
#[derive(Debug)]
pub(crate) struct Space {
    directory: PathBuf,
    sums: Mutex<Sums>,
}

impl Space {
    pub(super) fn new(directory: &Path, bounds: Bounds, used: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            sums: Mutex::new(Sums {
                bounds,
                used,
                pledged: 0,
                written: 0,
                seen: None,
            }),
        }
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_bounds(&self, bounds: Bounds) {
        let mut sums = self.sums();
        sums.bounds = bounds;
        sums.seen = None;
    }

    fn look(&self, sums: &Sums) -> Result<Figures> {
        let disk = rustix::fs::statvfs(&self.directory).map_err(std::io::Error::from)?;
        let all = disk.f_blocks.saturating_mul(disk.f_frsize);
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let given = match sums.bounds.given {
            Given::Bytes(bytes) => bytes.min(all),
            Given::Percent(percent) => all / 100 * u64::from(percent),
        };
        let in_quota = given.saturating_sub(sums.used).saturating_sub(sums.pledged);
        let on_disk = free
            .saturating_sub(sums.bounds.reserved)
            .saturating_sub(sums.pledged.saturating_sub(sums.written));
        Ok(Figures {
            given,
            used: sums.used,
            pledged: sums.pledged,
            available: in_quota.min(on_disk),
        })
    }

    /// The figures, at most a second old.
    pub(crate) fn figures(&self) -> Figures {
        let mut sums = self.sums();
        if let Some((_, figures)) = sums.seen.filter(|(at, _)| at.elapsed() < FRESH) {
            return figures;
        }
        let figures = self.look(&sums).unwrap_or_else(|e| {
            log::warn!("cannot see how much space is left: {e}");
            Figures::default()
        });
        sums.seen = Some((Instant::now(), figures));
        figures
    }

    /// Sets space aside for an upload.
    pub(super) fn pledge(&self, cost: u64) -> Result<()> {
        let mut sums = self.sums();
        if self.look(&sums)?.available < cost {
            return Err(Fault::NoSpace);
        }
        sums.pledged += cost;
        Ok(())
    }

    /// Some of what was pledged is on the disk now.
    pub(super) fn wrote(&self, bytes: u64) {
        self.sums().written += bytes;
    }

    /// Ends a pledge, of which so many bytes were written; `kept` of them stay as a share.
    pub(super) fn settle(&self, pledge: u64, written: u64, kept: u64) {
        let mut sums = self.sums();
        sums.pledged = sums.pledged.saturating_sub(pledge);
        sums.written = sums.written.saturating_sub(written);
        sums.used += kept;
    }

    /// A share takes this much no more.
    pub(super) fn free(&self, cost: u64) {
        let mut sums = self.sums();
        sums.used = sums.used.saturating_sub(cost);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_pledged_counts_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            given: Given::Bytes(100 * BLOCK),
            reserved: 0,
        };
        let space = Space::new(dir.path(), bounds, 10 * BLOCK);
        space.pledge(60 * BLOCK).unwrap();
        assert!(matches!(space.pledge(31 * BLOCK), Err(Fault::NoSpace)));
        space.pledge(30 * BLOCK).unwrap();
        space.settle(60 * BLOCK, 0, 5 * BLOCK);
        assert_eq!(space.figures().available, 55 * BLOCK);
        space.free(15 * BLOCK);
        space.set_bounds(Bounds {
            given: Given::Bytes(100 * BLOCK),
            reserved: u64::MAX,
        });
        assert_eq!(space.figures().available, 0);
        assert_eq!(
            (cost(0), cost(1), cost(4097)),
            (BLOCK, 2 * BLOCK, 3 * BLOCK)
        );
        assert_eq!(cost(u64::MAX), u64::MAX);
    }
}
