//! What is kept: one SQLite database in WAL mode with full synchronisation. Each import is one
//! transaction that replaces what was there of its source: a crash at any instant leaves the
//! old data or the new.

pub mod find;
mod graph;
pub mod list;
mod put;
mod take;
mod tree;

pub use take::{Meta, Refusal, Taken};

use std::fs;
use std::path::{Path, PathBuf};

use guifi_core::Error;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use crate::kind::Kind;

/// Where it is.
pub const PATH: &str = "/var/lib/guifi/portald/portal.db";
/// Tables with data of generations.
const TABLES: [&str; 11] = [
    "zone",
    "node",
    "device",
    "radio",
    "interface",
    "link",
    "service",
    "proxy",
    "member",
    "domains",
    "address",
];
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -4096;
    PRAGMA journal_size_limit = 1048576;
    PRAGMA temp_store = MEMORY;
";

/// A source of data: what was fetched or brought, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// Kind.
    pub kind: Kind,
    /// Zone or service; 0 for addresses.
    pub id: u64,
    /// When the data came.
    pub fetched: Timestamp,
    /// When the portal last said that they are current.
    pub checked: Timestamp,
    /// The portal's stamp.
    pub generated: String,
    /// For the next conditional request.
    pub etag: Option<String>,
    /// The same.
    pub modified: Option<String>,
    /// The refresh token that announced the data.
    pub token: Option<String>,
    /// Nodes, proxies, domains …
    pub entries: u64,
    /// Parts that were left out.
    pub faults: u64,
}

/// The database, with the right to change it.
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Opens or creates it. A damaged one is set aside: its data come again.
    ///
    /// # Errors
    /// If not even an empty one can be made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::failed(format!("cannot open {}: {e}", path.display()))
        };
        match Self::try_open(path) {
            Err(e) if is_damage(&e) => {
                let aside = set_aside(path).map_err(|e| failed(&e))?;
                log::error!("{}: {e}; set aside as {}", path.display(), aside.display());
                Self::try_open(path).map_err(|e| failed(&e))
            }
            opened => opened.map_err(|e| failed(&e)),
        }
    }

    fn try_open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(SETTINGS)?;
        let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(sound),
            ));
        }
        connection.execute_batch(include_str!("schema.sql"))?;
        Ok(Self { connection })
    }

    /// Everything that is held.
    ///
    /// # Errors
    /// Those of the database.
    pub fn sources(&self) -> rusqlite::Result<Vec<Source>> {
        sources(&self.connection)
    }

    /// The portal says that what is held is current; `token` is what it said it by, if it was one.
    ///
    /// # Errors
    /// Those of the database.
    pub fn confirm(
        &mut self,
        kind: Kind,
        id: u64,
        token: Option<&str>,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE source SET checked = ?3, token = coalesce(?4, token) WHERE kind = ?1 AND id = ?2",
            )?
            .execute(params![kind.word(), number(id), now.as_microsecond(), token])?;
        Ok(())
    }
}

/// Opens the database for reading only; a [`Store`] has made it.
///
/// # Errors
/// If there is none.
pub fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

fn sources(connection: &Connection) -> rusqlite::Result<Vec<Source>> {
    let time = |micros: i64| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut statement = connection.prepare_cached(
        "SELECT kind, id, fetched, checked, generated, etag, modified, token, entries, faults
         FROM source ORDER BY kind, id",
    )?;
    let rows = statement.query_map([], |row| {
        let kind: String = row.get(0)?;
        let Some(kind) = Kind::of(&kind) else {
            return Ok(None);
        };
        Ok(Some(Source {
            kind,
            id: row.get::<_, i64>(1)?.unsigned_abs(),
            fetched: time(row.get(2)?),
            checked: time(row.get(3)?),
            generated: row.get(4)?,
            etag: row.get(5)?,
            modified: row.get(6)?,
            token: row.get(7)?,
            entries: row.get::<_, i64>(8)?.unsigned_abs(),
            faults: row.get::<_, i64>(9)?.unsigned_abs(),
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// Numbers of the portal are far below the largest of the database.
fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        // Absent after a clean end.
        let _ = fs::remove_file(file);
    }
    Ok(aside.into())
}

#[cfg(test)]
mod tests;
