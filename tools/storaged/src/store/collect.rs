//! Garbage collection: the shares of a file go when its last lease has been over for a while.
//!
//! A clock that is wrong must not cost anybody their files. After every gap in what this program
//! has seen of time, forward or back, nothing is collected for the time of grace, in which those
//! who still want their files renew their leases.

use rusqlite::{OptionalExtension as _, params};

use super::clerk::Move;
use super::leases::drop_all;
use super::space::cost;
use super::{Index, Place, Result, Store, now};

/// Files collected at once, so that others come in between.
const BATCH: u32 = 50;
/// Time that passes unseen without being a gap, in seconds.
const GAP: i64 = 3 * 86_400;

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    /// Files whose shares went.
    pub files: u64,
    /// What they took, in bytes.
    pub size_bytes: u64,
    /// Seconds until anything may be collected, after a gap in time.
    pub wait_seconds: i64,
}

impl Store {
    /// Collects what nobody wants; `grace` are the seconds after the end of the last lease.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn collect(&self, grace: i64) -> Result<Collected> {
        self.collect_at(grace, now())
    }

    pub(super) fn collect_at(&self, grace: i64, now: i64) -> Result<Collected> {
        let mut done = Collected {
            wait_seconds: self.wait(grace, now)?,
            ..Collected::default()
        };
        while done.wait_seconds == 0 {
            let over = self.over(now - grace)?;
            for index in &over {
                let freed = self.forget(*index, now - grace)?;
                done.files += u64::from(freed > 0);
                done.size_bytes += freed;
            }
            if over.len() < BATCH as usize {
                break;
            }
        }
        Ok(done)
    }

    /// Notes the time; returns how long to wait.
    fn wait(&self, grace: i64, now: i64) -> Result<i64> {
        self.clerk.run(move |connection, _| {
            let known: Option<(i64, i64)> = connection
                .query_row("SELECT seen, collect_after FROM clock", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let after = match known {
                Some((seen, after)) if (seen..=seen + GAP).contains(&now) => after,
                Some(_) => now + grace,
                // Nothing is old yet.
                None => now,
            };
            connection.execute(
                "INSERT OR REPLACE INTO clock (one, seen, collect_after) VALUES (1, ?, ?)",
                params![now, after],
            )?;
            Ok((after - now).max(0))
        })
    }

    /// Some files all of whose leases ended before a time.
    fn over(&self, end: i64) -> Result<Vec<Index>> {
        self.reader.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT old.idx FROM lease AS old WHERE old.expires < ?1
                     AND NOT EXISTS
                     (SELECT 1 FROM lease WHERE lease.idx = old.idx AND lease.expires >= ?1)
                     LIMIT ?2",
                )?
                .query_map(params![end, BATCH], |row| row.get(0))?
                .collect()
        })
    }

    /// Deletes the shares of a file, unless a lease has come since; returns what they took.
    fn forget(&self, index: Index, end: i64) -> Result<u64> {
        let _lock = self.lock(index);
        let freed = self.clerk.run(move |connection, moves| {
            let wanted: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM lease WHERE idx = ? AND expires >= ?)",
                params![index, end],
                |row| row.get(0),
            )?;
            if wanted {
                return Ok(0);
            }
            let shares: Vec<(u8, u64)> = connection
                .prepare_cached("DELETE FROM share WHERE idx = ? RETURNING number, size")?
                .query_map([index], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            drop_all(connection, index)?;
            moves.extend(shares.iter().map(|(number, _)| Move {
                place: Place {
                    index,
                    number: *number,
                },
                name: None,
            }));
            Ok(shares.iter().map(|(_, size)| cost(*size)).sum())
        })?;
        self.space.free(freed);
        Ok(freed)
    }
}
