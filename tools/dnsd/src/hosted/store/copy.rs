//! What is kept of copies of other servers' zones: beside their records how old they are.

use rusqlite::{OptionalExtension as _, Transaction, params};

use guifi_core::Error;

use super::{Key, Store, failed, number, put};
use crate::hosted::blob::Delta;
use crate::secondary::timers::{Age, Moment};

impl Store {
    /// Keeps a copy with its age. With `delta`, the way from the state before, others can still
    /// fetch changes alone.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if it could not be written: then nothing was.
    pub fn replace_copy(
        &mut self,
        key: Key<'_>,
        source: &[u8],
        records: &[u8],
        delta: Option<&Delta>,
        age: &Age,
    ) -> Result<(), Error> {
        let mut run = || -> rusqlite::Result<()> {
            let change = self.db.transaction()?;
            let zone = put(&change, key, source, records, delta, None)?;
            put_age(&change, zone, age)?;
            change.commit()
        };
        let done = run().map_err(failed);
        self.places.remove(&(key.0.clone(), key.1));
        done
    }

    /// How old a copy is; `None` if there is none.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the database cannot be read.
    pub fn age(&self, key: Key<'_>) -> Result<Option<Age>, Error> {
        let row = self.db.query_row(
            "SELECT age, boot, up, wall FROM copy JOIN zone ON zone.id = copy.zone
             WHERE name = ? AND view = ?",
            params![key.0.wire(), number(key.1)],
            |row| {
                let seconds = |column| row.get::<_, i64>(column).map(|n| n.max(0) as u64); // not negative
                Ok(Age {
                    seconds: seconds(0)?,
                    at: Moment {
                        boot: row.get(1)?,
                        up: seconds(2)?,
                        wall: seconds(3)?,
                    },
                })
            },
        );
        row.optional().map_err(failed)
    }

    /// Keeps how old a copy is and where it comes from, if there is one.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if it could not be written.
    pub fn set_age(&mut self, key: Key<'_>, source: &[u8], age: &Age) -> Result<(), Error> {
        let mut run = || -> rusqlite::Result<()> {
            let change = self.db.transaction()?;
            let zone = change.query_row(
                "UPDATE zone SET source = ? WHERE name = ? AND view = ? RETURNING id",
                params![source, key.0.wire(), number(key.1)],
                |row| row.get(0),
            );
            if let Some(zone) = zone.optional()? {
                put_age(&change, zone, age)?;
            }
            change.commit()
        };
        run().map_err(failed)
    }
}

fn put_age(change: &Transaction<'_>, zone: i64, age: &Age) -> rusqlite::Result<()> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let Age { seconds, at } = age;
    change.execute(
        "INSERT OR REPLACE INTO copy (zone, age, boot, up, wall) VALUES (?, ?, ?, ?, ?)",
        params![
            zone,
            number(*seconds),
            at.boot,
            number(at.up),
            number(at.wall)
        ],
    )?;
    Ok(())
}
