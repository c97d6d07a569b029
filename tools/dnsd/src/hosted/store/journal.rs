//! The changes of zones: added in groups, folded into the records now and then, forgotten when
//! they are old and many.

use guifi_core::Error;
use rusqlite::{Connection, Transaction, params};

use super::super::blob::{self, Delta};
use super::{Key, Store, failed, number};

/// Octets of changes that are kept for others, and of those that are not folded, even when they
/// are small beside the zone.
const KEPT: i64 = 1 << 20;

/// What is known of a zone in the database without asking it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    id: i64,
    /// Number of the last change.
    last: i64,
    /// Octets of the records.
    records: i64,
    /// Octets of the changes since.
    open: i64,
}

/// A change of one zone.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The zone.
    pub key: Key<'a>,
    /// What it lost and gained.
    pub delta: &'a Delta,
    /// How many updates made it.
    pub updates: u32,
}

impl Store {
    /// Keeps one change of each of several zones, all or none; what it costs depends on them alone.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if they could not be written, or if a zone is not kept: then
    /// nothing was.
    pub fn append(&mut self, steps: &[Step<'_>]) -> Result<(), Error> {
        let mut places = Vec::with_capacity(steps.len());
        for step in steps {
            places.push(self.place(step.key).map_err(failed)?);
        }
        let mut run = || -> rusqlite::Result<()> {
            let change = self.db.transaction()?;
            for (step, place) in steps.iter().zip(&mut places) {
                place.last = add(&change, place.id, place.last + 1, step.delta, step.updates)?;
                place.open += size(step.delta);
            }
            change.commit()
        };
        run().map_err(failed)?;
        for (step, place) in steps.iter().zip(places) {
            self.places.insert((step.key.0.clone(), step.key.1), place);
        }
        Ok(())
    }

    /// Whether the changes of a zone have become many beside its records.
    pub fn is_due(&self, key: Key<'_>) -> bool {
        let place = self.places.get(&(key.0.clone(), key.1));
        place.is_some_and(|place| place.open > place.records.max(KEPT))
    }

    /// Writes the records of a zone as they are now, with all its changes and `updates` updates;
    /// old changes are forgotten.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if they could not be written: then nothing was.
    pub fn fold(&mut self, key: Key<'_>, records: &[u8], updates: u32) -> Result<(), Error> {
        let place = self.place(key).map_err(failed)?;
        let mut run = || -> rusqlite::Result<()> {
            let change = self.db.transaction()?;
            change.execute(
                "UPDATE zone SET records = ? WHERE id = ?",
                params![records, place.id],
            )?;
            folded(&change, place.id, place.last, updates)?;
            change.commit()
        };
        let done = run().map_err(failed);
        self.places.remove(&(key.0.clone(), key.1));
        done
    }

    fn place(&self, key: Key<'_>) -> rusqlite::Result<Place> {
        if let Some(place) = self.places.get(&(key.0.clone(), key.1)) {
            return Ok(*place);
        }
        let (id, folded, records): (i64, i64, i64) = self.db.query_row(
            "SELECT id, folded, length(records) FROM zone WHERE name = ? AND view = ?",
            params![key.0.wire(), number(key.1)],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let (last, open) = self.db.query_row(
            "SELECT max(?2, coalesce(max(number), 0)),
                    coalesce(sum(length(removed) + length(added)) FILTER (WHERE number > ?2), 0)
             FROM journal WHERE zone = ?1",
            [id, folded],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(Place {
            id,
            last,
            records,
            open,
        })
    }

    /// The changes behind one of a zone, and how many updates made them.
    pub(super) fn after(&self, id: i64, from: i64) -> rusqlite::Result<(Vec<Delta>, u32)> {
        let mut rows = self.db.prepare(
            "SELECT before, after, removed, added, updates, number FROM journal
             WHERE zone = ? AND number > ? ORDER BY number",
        )?;
        let mut rows = rows.query([id, from])?;
        let (mut changes, mut sum) = (Vec::new(), 0u32);
        while let Some(row) = rows.next()? {
            let (removed, added): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
            let Some((removed, added)) = blob::read(&removed).zip(blob::read(&added)) else {
                log::error!("a change of a zone is damaged; it and those after it are lost");
                let damaged: i64 = row.get(5)?;
                self.db.execute(
                    "DELETE FROM journal WHERE zone = ? AND number >= ?",
                    [id, damaged],
                )?;
                break;
            };
            changes.push(Delta {
                from: row.get(0)?,
                to: row.get(1)?,
                removed,
                added,
            });
            sum = sum.saturating_add(row.get(4)?);
        }
        Ok((changes, sum))
    }
}

fn size(delta: &Delta) -> i64 {
    let records = delta.removed.iter().chain(&delta.added);
    records.map(|record| record.size() as i64).sum() // in memory
}

/// Number of the last change of a zone; 0 if there was none.
pub(super) fn last(db: &Connection, zone: i64) -> rusqlite::Result<i64> {
    db.query_row(
        "SELECT max(folded, coalesce((SELECT max(number) FROM journal WHERE zone = ?1), 0))
         FROM zone WHERE id = ?1",
        [zone],
        |row| row.get(0),
    )
}

/// Adds a change as number `at`.
pub(super) fn add(
    change: &Transaction<'_>,
    zone: i64,
    at: i64,
    delta: &Delta,
    updates: u32,
) -> rusqlite::Result<i64> {
    let (removed, added) = (blob::write(&delta.removed), blob::write(&delta.added));
    let mut insert = change.prepare_cached(
        "INSERT INTO journal (zone, number, before, after, removed, added, updates)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    insert.execute(params![
        zone, at, delta.from, delta.to, removed, added, updates
    ])?;
    Ok(at)
}

/// Says that the records have all changes up to one. The newest stay, as long as they are small;
/// who is behind the rest gets the whole zone.
pub(super) fn folded(
    change: &Transaction<'_>,
    zone: i64,
    last: i64,
    updates: u32,
) -> rusqlite::Result<()> {
    change.execute(
        "UPDATE zone SET folded = ?, updates = ? WHERE id = ?",
        params![last, updates, zone],
    )?;
    change.execute(
        "DELETE FROM journal WHERE zone = ?1 AND number <= coalesce((
            SELECT max(number) FROM (
                SELECT number, sum(length(removed) + length(added)) OVER (ORDER BY number DESC) AS size
                FROM journal WHERE zone = ?1
            ) WHERE size > max(?2, (SELECT length(records) / 2 FROM zone WHERE id = ?1))), 0)",
        params![zone, KEPT],
    )?;
    Ok(())
}
