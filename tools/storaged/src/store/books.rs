//! The database: everything about shares but their bytes.
//!
//! SQLite in WAL mode with full synchronisation. A database that is lost or damaged is set
//! aside and made anew from the files; see [`super::rebuild`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::Result;

/// The database in the state directory.
const NAME: &str = "books.db";

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -512;
    CREATE TABLE IF NOT EXISTS account (
        id INTEGER PRIMARY KEY,
        owner TEXT NOT NULL UNIQUE,
        swissnum BLOB NOT NULL,
        leases INTEGER NOT NULL DEFAULT 0,
        since INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS share (
        idx BLOB NOT NULL,
        number INTEGER NOT NULL,
        mutable INTEGER NOT NULL,
        size INTEGER NOT NULL,
        sum INTEGER NOT NULL,
        account INTEGER NOT NULL,
        enabler BLOB,
        checked INTEGER NOT NULL,
        PRIMARY KEY (idx, number)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS share_checked ON share (checked);
    CREATE TABLE IF NOT EXISTS lease (
        idx BLOB NOT NULL,
        secret BLOB NOT NULL,
        account INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (idx, secret)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS lease_expires ON lease (expires);
    CREATE TABLE IF NOT EXISTS advisory (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        idx BLOB NOT NULL,
        number INTEGER NOT NULL,
        owner TEXT,
        reason TEXT NOT NULL,
        at INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS move (
        idx BLOB NOT NULL,
        number INTEGER NOT NULL,
        name TEXT,
        seq INTEGER NOT NULL,
        PRIMARY KEY (idx, number)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS clock (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        seen INTEGER NOT NULL,
        collect_after INTEGER NOT NULL
    );
    PRAGMA user_version = 1;
";

/// The open database.
pub(super) struct Books {
    /// For the one who writes.
    pub(super) writer: Connection,
    /// For those who read.
    pub(super) reader: Connection,
    /// Whether there was none, or a damaged one.
    pub(super) new: bool,
    /// Where a damaged one is now.
    pub(super) set_aside: Option<PathBuf>,
}

/// Opens the database in a directory; sets a damaged one aside and makes a new one.
///
/// # Errors
/// If not even a new one can be made.
pub(super) fn open(directory: &Path) -> Result<Books> {
    let path = directory.join(NAME);
    let there = path.exists();
    match connect(&path) {
        Ok((writer, reader)) => Ok(Books {
            writer,
            reader,
            new: !there,
            set_aside: None,
        }),
        Err(e) if is_damage(&e) => {
            let aside = set_aside(&path)?;
            let (writer, reader) = connect(&path)?;
            Ok(Books {
                writer,
                reader,
                new: true,
                set_aside: Some(aside),
            })
        }
        Err(e) => Err(e.into()),
    }
}

fn connect(path: &Path) -> rusqlite::Result<(Connection, Connection)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let writer = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_CREATE)?;
    writer.execute_batch(SCHEMA)?;
    let verdict: String = writer.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(error, Some(verdict)));
    }
    let reader = Connection::open_with_flags(path, flags)?;
    reader.execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -512;")?;
    Ok((writer, reader))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Renames a database, with its log, to a name that is free.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let numbered = |n: u32| path.with_file_name(format!("{NAME}.damaged-{n}"));
    let aside = (1..)
        .map(numbered)
        .find(|aside| !aside.exists())
        .ok_or(io::ErrorKind::AlreadyExists)?;
    for end in ["", "-wal", "-shm"] {
        let with = |base: &Path| {
            let mut name = base.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        match fs::rename(with(path), with(&aside)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(aside)
}
