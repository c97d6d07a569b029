//! Reading shares that are whole.

use std::fs::File;
use std::io;

use guifi_tahoe::gbs::Shares;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::space::cost;
use super::{Index, Place, Result, Store};

/// The two kinds of shares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Written once.
    Immutable,
    /// Written by those who have its write enabler.
    Mutable,
}

impl Kind {
    pub(super) fn is_mutable(self) -> bool {
        self == Self::Mutable
    }
}

/// A share that may be read; what happens to it later does not change these bytes.
#[derive(Debug)]
pub struct Held {
    /// Its bytes.
    pub file: File,
    /// How many they are.
    pub size: u64,
}

/// What all shares take, in bytes.
pub(super) fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let mut used = 0_u64;
    let mut all = connection.prepare("SELECT size FROM share")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        used = used.saturating_add(cost(row.get(0)?));
    }
    Ok(used)
}

impl Store {
    /// The numbers of the shares of a file, of one kind or of both.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn numbers(&self, index: Index, kind: Option<Kind>) -> Result<Shares> {
        self.reader.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT number FROM share WHERE idx = ?1 AND mutable = coalesce(?2, mutable)",
                )?
                .query_map(params![index, kind.map(Kind::is_mutable)], |row| row.get(0))?
                .collect()
        })
    }

    /// Opens a share. One whose file is not as it should be is not there, and the scrubber is told.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn held(&self, place: Place, kind: Kind) -> Result<Option<Held>> {
        // Between the row and the file of a change there is a moment.
        let _lock = self.lock(place.index);
        let size: Option<u64> = self.reader.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT size FROM share WHERE idx = ? AND number = ? AND mutable = ?",
                )?
                .query_row(
                    params![place.index, place.number, kind.is_mutable()],
                    |row| row.get(0),
                )
                .optional()
        })?;
        let Some(size) = size else { return Ok(None) };
        match self.open_share(place) {
            Ok((file, length)) if length == size => Ok(Some(Held { file, size })),
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => {
                self.suspect(place);
                Ok(None)
            }
        }
    }

    pub(super) fn open_share(&self, place: Place) -> io::Result<(File, u64)> {
        let file = File::open(self.dirs.shares.join(place.file()))?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    /// How many shares there are.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn count(&self) -> Result<u64> {
        self.reader.read(|connection| {
            connection.query_row("SELECT count(*) FROM share", [], |row| row.get(0))
        })
    }
}
