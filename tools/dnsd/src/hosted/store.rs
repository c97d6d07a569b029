//! Hosted zones on the disk: each with its last good records, and the changes since, so that
//! nothing acknowledged is lost and others can fetch changes alone (RFC 1995).

use std::fs;
use std::path::PathBuf;

use guifi_core::{Error, Root};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::View;
use super::blob::{self, Delta};
use super::rrset::Record;
use crate::name::Name;

/// The database.
const FILE: &str = "/var/lib/guifi/dnsd/zones.db";
/// Octets of changes that are kept for others even when they are small beside the zone.
const KEPT: i64 = 1 << 20;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS zone (
        id INTEGER PRIMARY KEY,
        name BLOB NOT NULL,
        view INTEGER NOT NULL,
        source BLOB NOT NULL,
        refreshed INTEGER NOT NULL,
        records BLOB NOT NULL,
        applied INTEGER NOT NULL, -- the last change that is in the records
        behind INTEGER NOT NULL DEFAULT 0, -- octets of the changes that are not
        UNIQUE (name, view)
    );
    CREATE TABLE IF NOT EXISTS journal (
        zone INTEGER NOT NULL REFERENCES zone (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        before INTEGER NOT NULL,
        after INTEGER NOT NULL,
        removed BLOB NOT NULL,
        added BLOB NOT NULL,
        PRIMARY KEY (zone, number)
    ) WITHOUT ROWID;";

/// A zone as it was kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// Hash of the source that it was made of.
    pub source: Vec<u8>,
    /// When its primary said last that it is right: seconds since 1970.
    pub refreshed: u64,
    /// Its records.
    pub records: Vec<Record>,
    /// What changed since they were written.
    pub changes: Vec<Delta>,
}

/// A zone, and who sees it.
pub type Key<'a> = (&'a Name, View);

/// The open database.
#[derive(Debug)]
pub struct Store {
    db: Connection,
}

fn failed(e: rusqlite::Error) -> Error {
    Error::failed(format!("cannot use {FILE}: {e}"))
}

fn number(view: View) -> i64 {
    i64::from(view == View::External)
}

impl Store {
    /// Opens the database. One that is damaged is set aside: zones then come from their files
    /// and primaries anew.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if there can be none.
    pub fn open(root: &Root) -> Result<Self, Error> {
        let path = root.join(FILE);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .map_err(|e| Error::failed(format!("cannot make {}: {e}", parent.display())))?;
        }
        match Self::at(&path) {
            Ok(store) => Ok(store),
            Err(e)
                if e.sqlite_error_code().is_some_and(|code| {
                    matches!(
                        code,
                        rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt
                    )
                }) =>
            {
                let aside = path.with_extension(format!("db.bad-{}", crate::state::now()));
                log::error!(
                    "{FILE} is damaged ({e}); it is set aside as {}",
                    aside.display()
                );
                for suffix in ["-wal", "-shm"] {
                    let mut beside = path.clone().into_os_string();
                    beside.push(suffix);
                    let _ = fs::remove_file(PathBuf::from(beside)); // absent, mostly
                }
                fs::rename(&path, &aside)
                    .map_err(|e| Error::failed(format!("cannot set {FILE} aside: {e}")))?;
                Self::at(&path).map_err(failed)
            }
            Err(e) => Err(failed(e)),
        }
    }

    fn at(path: &std::path::Path) -> rusqlite::Result<Self> {
        let db = Connection::open(path)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // An acknowledged update survives a power cut.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.execute_batch(SCHEMA)?;
        let sound: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(sound),
            ));
        }
        Ok(Self { db })
    }

    /// The zone as kept; `None` if it never was, or cannot be read.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the database cannot be read.
    pub fn load(&self, key: Key<'_>) -> Result<Option<Kept>, Error> {
        let run = || -> rusqlite::Result<Option<Kept>> {
            let row = self.db.query_row(
                "SELECT id, source, refreshed, records, applied FROM zone WHERE name = ? AND view = ?",
                params![key.0.wire(), number(key.1)],
                |row| {
                    let records: Vec<u8> = row.get(3)?;
                    Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, records, row.get(4)?))
                },
            );
            let Some((id, source, refreshed, records, applied)) = row.optional()? else {
                return Ok(None);
            };
            let changes = self.journal(id, applied)?;
            let Some(records) = blob::read(&records) else {
                return Ok(None);
            };
            Ok(Some(Kept {
                source,
                refreshed: refreshed.cast_unsigned(),
                records,
                changes,
            }))
        };
        run().map_err(failed)
    }

    /// The changes behind a number.
    fn journal(&self, zone: i64, after: i64) -> rusqlite::Result<Vec<Delta>> {
        let mut rows = self.db.prepare_cached(
            "SELECT before, after, removed, added FROM journal WHERE zone = ? AND number > ? ORDER BY number",
        )?;
        let rows = rows.query_map([zone, after], |row| {
            let records = |index| -> rusqlite::Result<Vec<Record>> {
                Ok(blob::read(&row.get::<_, Vec<u8>>(index)?).unwrap_or_default())
            };
            Ok(Delta {
                from: row.get(0)?,
                to: row.get(1)?,
                removed: records(2)?,
                added: records(3)?,
            })
        })?;
        rows.collect()
    }

    /// The changes from a serial to the present; `None` if they are not known any more.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the database cannot be read.
    pub fn since(&self, key: Key<'_>, serial: u32) -> Result<Option<Vec<Delta>>, Error> {
        let run = || -> rusqlite::Result<Option<Vec<Delta>>> {
            let found = self.db.query_row(
                "SELECT journal.zone, max(journal.number) FROM journal JOIN zone ON zone.id = journal.zone
                 WHERE name = ? AND view = ? AND before = ? GROUP BY journal.zone",
                params![key.0.wire(), number(key.1), serial],
                |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)),
            );
            match found.optional()? {
                Some((zone, number)) => self.journal(zone, number - 1).map(Some),
                None => Ok(None),
            }
        };
        run().map_err(failed)
    }

    /// Keeps a zone whole, made of `source`. With `delta`, the way from the state before,
    /// others can still fetch changes alone.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if it could not be written: then nothing was.
    pub fn replace(
        &mut self,
        key: Key<'_>,
        (source, refreshed): (&[u8], u64),
        records: &[Record],
        delta: Option<&Delta>,
    ) -> Result<(), Error> {
        let mut run = || -> rusqlite::Result<()> {
            let change = self.db.transaction()?;
            let zone: i64 = change.query_row(
                "INSERT INTO zone (name, view, source, refreshed, records, applied) VALUES (?, ?, ?, ?, ?, 0)
                 ON CONFLICT (name, view) DO UPDATE SET source = excluded.source,
                    refreshed = excluded.refreshed, records = excluded.records
                 RETURNING id",
                params![
                    key.0.wire(), number(key.1), source, refreshed.cast_signed(), blob::write(records)
                ],
                |row| row.get(0),
            )?;
            match delta {
                Some(delta) => drop(append(&change, zone, delta)?),
                None => drop(change.execute("DELETE FROM journal WHERE zone = ?", [zone])?),
            }
            applied(&change, zone)?;
            change.commit()
        };
        run().map_err(failed)
    }

    /// Keeps changes of zones, all or none of them. `records` gives a zone whole, for when so
    /// many changes stand behind it that it is better written anew.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if they could not be written: then nothing was.
    pub fn append(
        &mut self,
        changes: &[(Key<'_>, &Delta)],
        records: impl Fn(Key<'_>) -> Vec<Record>,
    ) -> Result<(), Error> {
        let mut run = || -> rusqlite::Result<()> {
            let change = self.db.transaction()?;
            for (key, delta) in changes {
                let (zone, size): (i64, i64) = change
                    .prepare_cached(
                        "SELECT id, length(records) FROM zone WHERE name = ? AND view = ?",
                    )?
                    .query_row(params![key.0.wire(), number(key.1)], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?;
                let behind = append(&change, zone, delta)?;
                if behind > size.max(KEPT) {
                    change.execute(
                        "UPDATE zone SET records = ? WHERE id = ?",
                        params![blob::write(&records(*key)), zone],
                    )?;
                    applied(&change, zone)?;
                }
            }
            change.commit()
        };
        run().map_err(failed)
    }

    /// Notes that a primary said that the zone is right.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if it could not be written.
    pub fn refreshed(&mut self, key: Key<'_>, time: u64) -> Result<(), Error> {
        let change = self.db.execute(
            "UPDATE zone SET refreshed = ? WHERE name = ? AND view = ?",
            params![time.cast_signed(), key.0.wire(), number(key.1)],
        );
        change.map(drop).map_err(failed)
    }

    /// Forgets a zone.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if it could not be written.
    pub fn remove(&mut self, key: Key<'_>) -> Result<(), Error> {
        let change = self.db.execute(
            "DELETE FROM zone WHERE name = ? AND view = ?",
            params![key.0.wire(), number(key.1)],
        );
        change.map(drop).map_err(failed)
    }

    /// The zones that are kept.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the database cannot be read.
    pub fn zones(&self) -> Result<Vec<(Name, View)>, Error> {
        let run = || -> rusqlite::Result<Vec<(Name, View)>> {
            let mut rows = self.db.prepare("SELECT name, view FROM zone ORDER BY id")?;
            let rows = rows.query_map([], |row| {
                let view = if row.get::<_, i64>(1)? == 0 {
                    View::Internal
                } else {
                    View::External
                };
                Ok((Name::from_wire(&row.get::<_, Vec<u8>>(0)?), view))
            })?;
            rows.collect()
        };
        run().map_err(failed)
    }
}

/// Adds a change; gives the octets of all that are not in the records.
fn append(change: &Transaction<'_>, zone: i64, delta: &Delta) -> rusqlite::Result<i64> {
    let mut insert = change.prepare_cached(
        "INSERT INTO journal (zone, number, before, after, removed, added)
         SELECT ?1, 1 + coalesce((SELECT max(number) FROM journal WHERE zone = ?1),
                                 (SELECT applied FROM zone WHERE id = ?1)), ?2, ?3, ?4, ?5",
    )?;
    let (removed, added) = (blob::write(&delta.removed), blob::write(&delta.added));
    insert.execute(params![zone, delta.from, delta.to, removed, added])?;
    let size = (removed.len() + added.len()) as i64; // far below its end
    let mut grown = change
        .prepare_cached("UPDATE zone SET behind = behind + ? WHERE id = ? RETURNING behind")?;
    grown.query_row(params![size, zone], |row| row.get(0))
}

/// Notes that all changes are in the records. The newest stay for others, as long as they are
/// small; of the rest nobody needs to know.
fn applied(change: &Transaction<'_>, zone: i64) -> rusqlite::Result<()> {
    change.execute(
        "UPDATE zone SET behind = 0,
            applied = coalesce((SELECT max(number) FROM journal WHERE zone = ?1), applied) WHERE id = ?1",
        [zone],
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

#[cfg(test)]
mod tests;
