//! The books anew, from the files alone, after the database was lost.
//!
//! Whose shares they were is not known: they are everybody's, with a lease of 31 days. Who
//! may write a mutable one says the next writer, whose tests must hold.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::params;

use super::clerk::{Clerk, Dirs};
use super::leases::LEASE;
use super::{Index, PUBLIC, Place, Result, now, sum};

/// Shares entered at once.
const BATCH: usize = 200;

struct Entry {
    place: Place,
    mutable: bool,
    size: u64,
    sum: u32,
}

/// Enters every share that is there; returns how many.
pub(super) fn rebuild(dirs: &Dirs, clerk: &Clerk) -> Result<u64> {
    let (mut count, mut batch) = (0, Vec::new());
    for prefix in fs::read_dir(&dirs.shares)?.flatten() {
        let Ok(files) = fs::read_dir(prefix.path()) else {
            continue;
        };
        for directory in files.flatten() {
            let name = directory.file_name();
            let Some(index) = name.to_str().and_then(Index::parse) else {
                continue;
            };
            for share in fs::read_dir(directory.path())?.flatten() {
                let name = share.file_name();
                let number = name.to_str().and_then(|name| name.parse().ok());
                let Some(number) = number else { continue };
                let place = Place { index, number };
                if dirs.shares.join(place.file()) != share.path() {
                    continue;
                }
                match look(&share.path(), place) {
                    Ok(entry) => batch.push(entry),
                    Err(e) => log::warn!("share {place} cannot be read: {e}; left out"),
                }
                if batch.len() >= BATCH {
                    count += enter(clerk, std::mem::take(&mut batch))?;
                }
            }
        }
    }
    Ok(count + enter(clerk, batch)?)
}

fn look(path: &Path, place: Place) -> std::io::Result<Entry> {
    let (size, sum) = sum::of_file(path, |_| ())?;
    let mode = fs::metadata(path)?.permissions().mode();
    Ok(Entry {
        place,
        mutable: mode & 0o200 != 0,
        size,
        sum,
    })
}

fn enter(clerk: &Clerk, batch: Vec<Entry>) -> Result<u64> {
    if batch.is_empty() {
        return Ok(0);
    }
    clerk.run(move |connection, _| {
        // Its swissnum is told later.
        connection.execute(
            "INSERT OR IGNORE INTO account (owner, swissnum, since) VALUES (?, zeroblob(32), ?)",
            params![PUBLIC, now()],
        )?;
        let account: i64 = connection.query_row(
            "SELECT id FROM account WHERE owner = ?",
            [PUBLIC],
            |row| row.get(0),
        )?;
        for entry in &batch {
            let Place { index, number } = entry.place;
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO share
                     (idx, number, mutable, size, sum, account, checked) VALUES (?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    index,
                    number,
                    entry.mutable,
                    entry.size,
                    entry.sum,
                    account,
                    now()
                ])?;
            let added = connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO lease (idx, secret, account, expires)
                     VALUES (?, zeroblob(32), ?, ?)",
                )?
                .execute(params![index, account, now() + LEASE])?;
            connection
                .prepare_cached("UPDATE account SET leases = leases + ? WHERE id = ?")?
                .execute(params![added, account])?;
        }
        Ok(batch.len() as u64)
    })
}
