//! Reading shares again, so that damage is found while others still have the file.
//!
//! A share that is not what was written is set aside, into `corrupt/`, and noted: clients then
//! see that it is missing, and repair.

use std::fs;
use std::io;
use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use super::space::cost;
use super::{Place, Result, Store, advisories, now, sum};

/// Shares looked at before the books are changed.
const BATCH: u32 = 64;

/// Suspects looked at before others have their turn.
const SUSPECTS: usize = 16;
/// Damaged shares that are kept, for who wants to know what happened.
const KEPT: usize = 100;

/// What of a share is known.
struct Known {
    size: u64,
    sum: u32,
}

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// It is what was written.
    Sound {
        /// Bytes read.
        size: u64,
    },
    /// It was set aside, for this reason.
    Corrupt(String),
    /// It has changed or gone meanwhile.
    Changed,
}

impl Store {
    /// Some shares to look at next: a few that somebody suspects, and those not looked at for
    /// longest, if that was before `before` (seconds since 1970). So whoever suspects everything
    /// keeps nothing from its turn.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn next_to_scrub(&self, before: i64) -> Result<Vec<Place>> {
        let mut suspects = self
            .suspects
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let few = suspects.len().min(SUSPECTS);
        let mut places: Vec<Place> = suspects.drain(..few).collect();
        drop(suspects);
        let due: Vec<Place> = self.reader.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT idx, number FROM share WHERE checked < ? ORDER BY checked LIMIT ?",
                )?
                .query_map(params![before, BATCH], |row| {
                    Ok(Place {
                        index: row.get(0)?,
                        number: row.get(1)?,
                    })
                })?
                .collect()
        })?;
        places.extend(due);
        Ok(places)
    }

    /// Reads a share at no more than so many bytes a second, and sets it aside if it is damaged.
    ///
    /// # Errors
    /// Those of the disk, other than of this one file.
    pub fn scrub(&self, place: Place, per_second: u64) -> Result<Finding> {
        let known = {
            // Between the row and the file of a change there is a moment.
            let _lock = self.lock(place.index);
            self.known(place)?
        };
        let Some(known) = known else {
            return Ok(Finding::Changed);
        };
        let path = self.dirs.shares.join(place.file());
        let seen = sum::of_file(&path, |bytes| {
            let wait = sum::pause(bytes, per_second);
            if wait > Duration::from_micros(100) {
                std::thread::sleep(wait);
            }
        });
        let reason = match seen {
            Ok((size, sum)) if (size, sum) == (known.size, known.sum) => {
                return Ok(Finding::Sound { size });
            }
            Ok((size, _)) if size != known.size => {
                format!("it has {size} bytes and should have {}", known.size)
            }
            Ok(_) => "its bytes are not those that were written".to_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => "its file is missing".to_owned(),
            Err(e) => format!("it cannot be read: {e}"),
        };
        self.set_aside(place, &known, reason)
    }

    fn known(&self, place: Place) -> Result<Option<Known>> {
        self.reader.read(|connection| {
            connection
                .prepare_cached("SELECT size, sum FROM share WHERE idx = ? AND number = ?")?
                .query_row(params![place.index, place.number], |row| {
                    Ok(Known {
                        size: row.get(0)?,
                        sum: row.get(1)?,
                    })
                })
                .optional()
        })
    }

    /// Notes that these were looked at, and are sound.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn note_sound(&self, places: Vec<Place>) -> Result<()> {
        self.clerk.run(move |connection, _| {
            let mut note = connection
                .prepare_cached("UPDATE share SET checked = ? WHERE idx = ? AND number = ?")?;
            for place in places {
                note.execute(params![now(), place.index, place.number])?;
            }
            Ok(())
        })
    }

    fn set_aside(&self, place: Place, known: &Known, reason: String) -> Result<Finding> {
        let _lock = self.lock(place.index);
        let same = self.known(place)?;
        let same = same.is_some_and(|now| (now.size, now.sum) == (known.size, known.sum));
        // A change in the meantime has other bytes, and another row.
        if !same {
            return Ok(Finding::Changed);
        }
        let file = self.dirs.shares.join(place.file());
        let aside = format!("{}.{}", place.index, place.number);
        let moved = if fs::read_dir(&self.dirs.corrupt)?.count() < KEPT {
            fs::rename(file, self.dirs.corrupt.join(aside))
        } else {
            fs::remove_file(file)
        };
        match moved {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let words = reason.clone();
        self.clerk.run(move |connection, _| {
            connection.execute(
                "DELETE FROM share WHERE idx = ? AND number = ?",
                params![place.index, place.number],
            )?;
            advisories::enter(connection, place, None, &words)?;
            Ok(())
        })?;
        self.space.free(cost(known.size));
        log::warn!("share {place} is damaged and was set aside: {reason}");
        Ok(Finding::Corrupt(reason))
    }

    /// When the share that was not looked at for longest was looked at, in seconds since 1970.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn oldest_check(&self) -> Result<Option<i64>> {
        self.reader.read(|connection| {
            connection.query_row("SELECT min(checked) FROM share", [], |row| row.get(0))
        })
    }
}
