//! The records on disk: SQLite in WAL mode with full synchronisation, so that what was
//! acknowledged survives a crash and a power cut.

mod requests;

pub use requests::Request;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use guifi_streams::Key;
use rusqlite::{Connection, OpenFlags, params};
use sha2::{Digest as _, Sha256};

use crate::record::{Hash, Record, RecordKey};

/// One change to the stored set.
#[derive(Clone, Debug)]
pub enum Change {
    /// Insert or replace.
    Put(Arc<Record>),
    /// Forget.
    Drop(RecordKey),
}

/// How long a member has been away, as an administrator's box counts it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Absence {
    /// Its first key.
    pub identity: Key,
    /// Days counted.
    pub days: u32,
    /// The last of them, as its number since 1970.
    pub last_day: u64,
}

/// The database of one community.
pub struct Store {
    connection: Connection,
}

/// What opening the store found.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Every record in it whose encoding is sound.
    pub records: Vec<Arc<Record>>,
    /// Those of them whose bytes may not be the ones that were stored: to be checked anew.
    pub unsure: HashSet<Hash>,
    /// Who is away, as kept by [`Store::set_absences`].
    pub absences: Vec<Absence>,
    /// As kept by [`Store::set_taken_back`], or 0.
    pub taken_back: u64,
    /// Who asked to be let in, as kept by [`Store::set_requests`].
    pub requests: Vec<Request>,
    /// Where a damaged database was set aside, if there was one.
    pub set_aside: Option<PathBuf>,
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -512;
    CREATE TABLE IF NOT EXISTS record (
        owner BLOB NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        encoded BLOB NOT NULL,
        sum BLOB,
        PRIMARY KEY (owner, kind, name)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS absence (
        identity BLOB PRIMARY KEY,
        days INTEGER NOT NULL,
        last_day INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS taken_back (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        highest INTEGER NOT NULL
    );
    PRAGMA user_version = 2;
";
/// What a table of version 1 lacks, which has four columns.
const SUM: &str = "ALTER TABLE record ADD COLUMN sum BLOB";
const COLUMNS: &str = "SELECT count(*) FROM pragma_table_info('record')";

impl Store {
    /// Opens or creates the database at `path`. A damaged one is renamed to
    /// `NAME.damaged-N` and replaced by an empty one: its records come back from the peers.
    ///
    /// # Errors
    /// A sentence if not even an empty database can be made there.
    pub fn open(path: &Path) -> Result<Opened, String> {
        match Self::try_open(path) {
            Ok(opened) => Ok(opened),
            Err(e) if is_damage(&e) => {
                let aside = set_aside(path).map_err(|e| describe(path, &e))?;
                let opened = Self::try_open(path).map_err(|e| describe(path, &e))?;
                Ok(Opened {
                    set_aside: Some(aside),
                    ..opened
                })
            }
            Err(e) => Err(describe(path, &e)),
        }
    }

    fn try_open(path: &Path) -> rusqlite::Result<Opened> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let columns: i64 = connection.query_row(COLUMNS, [], |row| row.get(0))?;
        if columns == 4 {
            connection.execute_batch(SUM)?;
        }
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(requests::TABLE)?;
        let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(damage(&sound));
        }
        let mut records = Vec::new();
        let mut unsure = HashSet::new();
        {
            let mut statement = connection.prepare("SELECT encoded, sum FROM record")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let encoded = row.get_ref(0)?.as_blob()?;
                match Record::decode(encoded) {
                    Ok(record) => {
                        if row.get_ref(1)?.as_blob_or_null()? != Some(&sum(encoded)) {
                            unsure.insert(record.hash);
                        }
                        records.push(record.shared());
                    }
                    Err(e) => return Err(damage(&e)),
                }
            }
        }
        let absences = read_absences(&connection)?;
        let taken_back: Option<i64> =
            connection.query_row("SELECT max(highest) FROM taken_back", [], |row| row.get(0))?;
        let requests = requests::read(&connection)?;
        Ok(Opened {
            store: Self { connection },
            records,
            unsure,
            absences,
            taken_back: taken_back.unwrap_or(0).cast_unsigned(),
            requests,
            set_aside: None,
        })
    }

    /// For one of thousands in one process, none of which survives it: writes the log into the
    /// database after each 256 KiB instead of 4 MiB, and waits for no disk.
    #[cfg(test)]
    pub(crate) fn simulate(&self) {
        for (name, value) in [("wal_autocheckpoint", 64), ("synchronous", 0)] {
            assert_eq!(self.connection.pragma_update(None, name, value), Ok(()));
        }
    }

    /// Notes the highest version, in milliseconds, that this box has signed and taken back.
    ///
    /// # Errors
    /// A sentence (disk full, …).
    pub fn set_taken_back(&mut self, version: u64) -> Result<(), String> {
        let version = version.cast_signed();
        self.connection
            .execute("REPLACE INTO taken_back VALUES (1, ?1)", [version])
            .map_err(|e| format!("cannot write what was taken back: {e}"))?;
        Ok(())
    }

    /// Makes `absences` the ones that are kept, all or none.
    ///
    /// # Errors
    /// A sentence (disk full, …).
    pub fn set_absences(&mut self, absences: &[&Absence]) -> Result<(), String> {
        let mut replace = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            transaction.execute("DELETE FROM absence", [])?;
            for absence in absences {
                transaction.execute(
                    "INSERT INTO absence (identity, days, last_day) VALUES (?1, ?2, ?3)",
                    params![
                        absence.identity.0,
                        absence.days,
                        absence.last_day.cast_signed()
                    ],
                )?;
            }
            transaction.commit()
        };
        replace().map_err(|e| format!("cannot write who is away: {e}"))
    }

    /// Applies all changes or none, durably.
    ///
    /// # Errors
    /// A sentence (disk full, …).
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), String> {
        self.try_apply(changes)
            .map_err(|e| format!("cannot write the registry: {e}"))
    }

    fn try_apply(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT OR REPLACE INTO record (owner, kind, name, encoded, sum)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut drop = transaction.prepare_cached(
                "DELETE FROM record WHERE owner = ?1 AND kind = ?2 AND name = ?3",
            )?;
            for change in changes {
                match change {
                    Change::Put(record) => {
                        let key = &record.key;
                        let encoded = record.encode();
                        let sum = sum(&encoded);
                        put.execute(params![key.owner.0, key.kind, key.name, encoded, sum])?
                    }
                    Change::Drop(key) => drop.execute(params![key.owner.0, key.kind, key.name])?,
                };
            }
        }
        transaction.commit()
    }
}

/// Tells whether the bytes of a record are the ones that were stored. They were checked when they
/// came, and to check a hundred thousand signatures takes half a minute.
fn sum(encoded: &[u8]) -> [u8; 8] {
    let hash: [u8; 32] = Sha256::digest(encoded).into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    [a, b, c, d, e, f, g, h]
}

fn read_absences(connection: &Connection) -> rusqlite::Result<Vec<Absence>> {
    let mut statement = connection.prepare("SELECT identity, days, last_day FROM absence")?;
    let rows = statement.query_map([], |row| {
        Ok(Absence {
            identity: Key(row.get(0)?),
            days: row.get(1)?,
            last_day: row.get::<_, i64>(2)?.cast_unsigned(),
        })
    })?;
    rows.collect()
}

fn damage(why: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        Some(why.to_owned()),
    )
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

fn set_aside(path: &Path) -> rusqlite::Result<PathBuf> {
    let moved = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
        }
        _ => Ok(()),
    };
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = (1..)
        .map(|n| named(&format!(".damaged-{n}")))
        .find(|p| !p.exists())
        .unwrap_or_else(|| named(".damaged"));
    moved(path, &aside)?;
    // A log that belongs to the damaged file must not be replayed into the new one.
    moved(
        &named("-wal"),
        &PathBuf::from(format!("{}-wal", aside.display())),
    )?;
    moved(
        &named("-shm"),
        &PathBuf::from(format!("{}-shm", aside.display())),
    )?;
    Ok(aside)
}

fn describe(path: &Path, error: &rusqlite::Error) -> String {
    format!("cannot open {}: {error}", path.display())
}

#[cfg(test)]
mod tests;
