//! Hosted zones on the disk: each with its records as they once were, and the changes before
//! and after that. Those after it lead to the present, so that a small change of a large zone is
//! a small write; those before it let others fetch changes alone (RFC 1995).

mod copy;
mod journal;

pub use journal::Step;

use std::collections::BTreeMap;
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
/// What was added to the tables since they were first made.
const ADDED: &str = "
    ALTER TABLE zone ADD COLUMN folded INTEGER NOT NULL DEFAULT 0; -- of the last change in records
    ALTER TABLE zone ADD COLUMN updates INTEGER NOT NULL DEFAULT 0; -- in records, not in the source
    ALTER TABLE journal ADD COLUMN updates INTEGER NOT NULL DEFAULT 0; -- that made the change
    UPDATE zone SET folded = coalesce((SELECT max(number) FROM journal WHERE zone = id), 0);
    CREATE TABLE base ( -- what the source says, where updates stay when it changes
        zone INTEGER PRIMARY KEY REFERENCES zone (id) ON DELETE CASCADE,
        records BLOB NOT NULL
    );
    PRAGMA user_version = 1;";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS zone (
        id INTEGER PRIMARY KEY,
        name BLOB NOT NULL,
        view INTEGER NOT NULL,
        source BLOB NOT NULL,
        records BLOB NOT NULL,
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
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS copy (
        zone INTEGER PRIMARY KEY REFERENCES zone (id) ON DELETE CASCADE,
        age INTEGER NOT NULL,
        boot TEXT NOT NULL,
        up INTEGER NOT NULL,
        wall INTEGER NOT NULL
    );";

/// A zone as it was kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// Hash of the source that it was made of.
    pub source: Vec<u8>,
    /// Its records as they once were.
    pub records: Vec<Record>,
    /// What has changed since, in the order of the changes.
    pub changes: Vec<Delta>,
    /// Number of updates that were made to what the source says.
    pub updates: u32,
}

/// A zone, and who sees it.
pub type Key<'a> = (&'a Name, View);

/// The open database.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    places: BTreeMap<(Name, View), journal::Place>,
}

fn failed(e: rusqlite::Error) -> Error {
    Error::failed(format!("cannot use {FILE}: {e}"))
}

fn number(view: View) -> i64 {
    i64::from(view == View::External)
}

impl Store {
    /// Opens the database. One that is damaged is set aside: zones then come from their sources
    /// anew.
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
        // What was said to followers survives a power cut.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.execute_batch(SCHEMA)?;
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            db.execute_batch(&format!("BEGIN; {ADDED} COMMIT;"))?;
        }
        let sound: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(sound),
            ));
        }
        Ok(Self {
            db,
            places: BTreeMap::new(),
        })
    }

    /// The zone as kept; `None` if it never was, or cannot be read.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the database cannot be read.
    pub fn load(&self, key: Key<'_>) -> Result<Option<Kept>, Error> {
        let row = self.db.query_row(
            "SELECT source, records, id, folded, updates FROM zone WHERE name = ? AND view = ?",
            params![key.0.wire(), number(key.1)],
            |row| {
                let kept = (row.get(0)?, row.get::<_, Vec<u8>>(1)?);
                Ok((kept, row.get(2)?, row.get(3)?, row.get::<_, u32>(4)?))
            },
        );
        let Some(((source, records), id, from, folded)) = row.optional().map_err(failed)? else {
            return Ok(None);
        };
        let Some(records) = blob::read(&records) else {
            return Ok(None);
        };
        let (changes, updates) = self.after(id, from).map_err(failed)?;
        Ok(Some(Kept {
            source,
            records,
            changes,
            updates: folded.saturating_add(updates),
        }))
    }

    /// The changes from a serial to the present; `None` if they are not known any more.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the database cannot be read.
    pub fn since(&self, key: Key<'_>, serial: u32) -> Result<Option<Vec<Delta>>, Error> {
        let run = || -> rusqlite::Result<Option<Vec<Delta>>> {
            let mut rows = self.db.prepare_cached(
                "SELECT before, after, removed, added FROM journal JOIN zone ON zone.id = journal.zone
                 WHERE name = ?1 AND view = ?2 AND number >= (
                    SELECT max(number) FROM journal JOIN zone ON zone.id = journal.zone
                    WHERE name = ?1 AND view = ?2 AND before = ?3)
                 ORDER BY number",
            )?;
            let rows = rows.query_map(params![key.0.wire(), number(key.1), serial], |row| {
                let (removed, added): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
                let (from, to) = (row.get(0)?, row.get(1)?);
                Ok(blob::read(&removed)
                    .zip(blob::read(&added))
                    .map(|(removed, added)| Delta {
                        from,
                        to,
                        removed,
                        added,
                    }))
            })?;
            // One that is damaged: a client then gets the whole zone.
            let changes: Option<Vec<Delta>> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(changes.filter(|changes| !changes.is_empty()))
        };
        run().map_err(failed)
    }

    /// Keeps a zone, made of `source` alone. With `delta`, the way from the state before, others
    /// can still fetch changes alone.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if it could not be written: then nothing was.
    pub fn replace(
        &mut self,
        key: Key<'_>,
        source: &[u8],
        records: &[Record],
        delta: Option<&Delta>,
    ) -> Result<(), Error> {
        self.rebase(key, source, records, delta, None)
    }

    /// The same with updates upon what the source says: that, and how many there were.
    ///
    /// # Errors
    /// As [`Store::replace`].
    pub fn rebase(
        &mut self,
        key: Key<'_>,
        source: &[u8],
        records: &[Record],
        delta: Option<&Delta>,
        base: Option<(&[Record], u32)>,
    ) -> Result<(), Error> {
        let mut run = || -> rusqlite::Result<()> {
            let change = self.db.transaction()?;
            put(&change, key, source, &blob::write(records), delta, base)?;
            change.commit()
        };
        let done = run().map_err(failed);
        self.places.remove(&(key.0.clone(), key.1));
        done
    }

    /// The source of a zone that was updated since it was taken from that; `None` if it was not.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the database cannot be read.
    pub fn has_updates(&self, key: Key<'_>) -> Result<Option<Vec<u8>>, Error> {
        let row = self.db.query_row(
            "SELECT source FROM zone WHERE name = ? AND view = ? AND (updates > 0 OR EXISTS (
                SELECT 1 FROM journal WHERE zone = id AND number > folded AND journal.updates > 0))",
            params![key.0.wire(), number(key.1)],
            |row| row.get(0),
        );
        row.optional().map_err(failed)
    }

    /// What the source of a zone says, if updates stay when that changes.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the database cannot be read.
    pub fn base(&self, key: Key<'_>) -> Result<Option<Vec<Record>>, Error> {
        let row = self.db.query_row(
            "SELECT base.records FROM base JOIN zone ON zone.id = base.zone WHERE name = ? AND view = ?",
            params![key.0.wire(), number(key.1)],
            |row| row.get::<_, Vec<u8>>(0),
        );
        let records = row.optional().map_err(failed)?;
        Ok(records.and_then(|records| blob::read(&records)))
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
        self.places.remove(&(key.0.clone(), key.1));
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

/// Writes a zone and the change that led to it, with what it is without updates and how many
/// there were; gives its number.
fn put(
    change: &Transaction<'_>,
    key: Key<'_>,
    source: &[u8],
    records: &[u8],
    delta: Option<&Delta>,
    base: Option<(&[Record], u32)>,
) -> rusqlite::Result<i64> {
    let zone: i64 = change.query_row(
        "INSERT INTO zone (name, view, source, records) VALUES (?, ?, ?, ?)
         ON CONFLICT (name, view) DO UPDATE SET source = excluded.source, records = excluded.records
         RETURNING id",
        params![key.0.wire(), number(key.1), source, records],
        |row| row.get(0),
    )?;
    let last = journal::last(change, zone)?;
    let last = match delta {
        Some(delta) => journal::add(change, zone, last + 1, delta, 0)?,
        None => {
            change.execute("DELETE FROM journal WHERE zone = ?", [zone])?;
            last
        }
    };
    match base {
        Some((records, _)) => change.execute(
            "INSERT OR REPLACE INTO base (zone, records) VALUES (?, ?)",
            params![zone, blob::write(records)],
        )?,
        None => change.execute("DELETE FROM base WHERE zone = ?", [zone])?,
    };
    let updates = base.map_or(0, |(_, updates)| updates);
    journal::folded(change, zone, last, updates)?;
    Ok(zone)
}

#[cfg(test)]
mod tests;
