//! What clients and the scrubber say of damaged shares.

use rusqlite::{Connection, params};

use super::{Index, Place, Result, Store, now};

/// How many are kept; the oldest go first.
const KEPT: i64 = 1000;
/// How much of a reason is kept, in characters.
const MAX_REASON: usize = 500;
/// How often one share may be spoken of.
const PER_SHARE: i64 = 10;

/// One of them.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Advisory {
    /// The file.
    pub storage_index: String,
    /// The share.
    pub share: u8,
    /// Who says it: the key of an owner, `everybody`, or null for the scrubber.
    pub by: Option<String>,
    /// Their words.
    pub reason: String,
    /// When.
    pub at: Option<jiff::Timestamp>,
}

/// Enters one.
pub(super) fn enter(
    connection: &Connection,
    place: Place,
    owner: Option<&str>,
    reason: &str,
) -> rusqlite::Result<()> {
    let reason: String = reason.chars().take(MAX_REASON).collect();
    connection.execute(
        "INSERT INTO advisory (idx, number, owner, reason, at) VALUES (?, ?, ?, ?, ?)",
        params![place.index, place.number, owner, reason, now()],
    )?;
    connection.execute(
        "DELETE FROM advisory WHERE idx = ?1 AND number = ?2 AND id NOT IN
         (SELECT id FROM advisory WHERE idx = ?1 AND number = ?2 ORDER BY id DESC LIMIT ?3)",
        params![place.index, place.number, PER_SHARE],
    )?;
    connection.execute(
        "DELETE FROM advisory WHERE id <= (SELECT max(id) FROM advisory) - ?",
        [KEPT],
    )?;
    Ok(())
}

impl Store {
    /// Keeps what a client says of a share, and has the scrubber look at it.
    ///
    /// # Errors
    /// [`super::Fault::NotFound`] if there is no such share; those of the disk.
    pub fn advise(&self, place: Place, account: super::Account, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        self.clerk.run(move |connection, _| {
            let owner: String = connection.query_row(
                "SELECT owner FROM account WHERE id = ?",
                [account],
                |row| row.get(0),
            )?;
            let known = if owner.is_empty() {
                "everybody"
            } else {
                owner.as_str()
            };
            enter(connection, place, Some(known), &reason)?;
            Ok(())
        })?;
        self.suspect(place);
        Ok(())
    }

    /// The latest ones, the latest first, and how many there are.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn advisories(&self, most: u32) -> Result<(u64, Vec<Advisory>)> {
        self.reader.read(|connection| {
            let count = connection.query_row("SELECT count(*) FROM advisory", [], |r| r.get(0))?;
            let list = connection
                .prepare(
                    "SELECT idx, number, owner, reason, at FROM advisory ORDER BY id DESC LIMIT ?",
                )?
                .query_map([most], |row| {
                    let index: Index = row.get(0)?;
                    Ok(Advisory {
                        storage_index: index.to_string(),
                        share: row.get(1)?,
                        by: row.get(2)?,
                        reason: row.get(3)?,
                        at: jiff::Timestamp::from_second(row.get(4)?).ok(),
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok((count, list))
        })
    }
}
