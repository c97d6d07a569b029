//! Who asked to be let in, on an administrator's box.

use std::net::IpAddr;

use guifi_streams::Key;
use rusqlite::{Connection, params};

use super::Store;
use crate::node::Home;

/// The table, part of the schema.
pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS request (
        key BLOB PRIMARY KEY,
        name TEXT NOT NULL,
        zone TEXT NOT NULL,
        address TEXT,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        refused INTEGER NOT NULL
    ) WITHOUT ROWID;
";

/// A stranger's request to be admitted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The stranger's key, proved by its stream or vouched for by the member that passed it on.
    pub key: Key,
    /// What it calls itself.
    pub home: Home,
    /// Where it was seen.
    pub address: Option<IpAddr>,
    /// Community time of its first word, in milliseconds.
    pub first: u64,
    /// Community time of its last word, in milliseconds.
    pub last: u64,
    /// The administrator has said no.
    pub refused: bool,
}

impl Store {
    /// Makes `requests` the ones that are kept, all or none.
    ///
    /// # Errors
    /// A sentence (disk full, …).
    pub fn set_requests(&mut self, requests: &[Request]) -> Result<(), String> {
        let mut replace = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            transaction.execute("DELETE FROM request", [])?;
            for request in requests {
                transaction.execute(
                    "INSERT INTO request (key, name, zone, address, first, last, refused)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        request.key.0,
                        request.home.name,
                        request.home.zone,
                        request.address.map(|a| a.to_string()),
                        request.first.cast_signed(),
                        request.last.cast_signed(),
                        request.refused
                    ],
                )?;
            }
            transaction.commit()
        };
        replace().map_err(|e| format!("cannot write who waits at the door: {e}"))
    }
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<Request>> {
    let mut statement =
        connection.prepare("SELECT key, name, zone, address, first, last, refused FROM request")?;
    let rows = statement.query_map([], |row| {
        let address: Option<String> = row.get(3)?;
        Ok(Request {
            key: Key(row.get(0)?),
            home: Home {
                name: row.get(1)?,
                zone: row.get(2)?,
            },
            address: address.and_then(|a| a.parse().ok()),
            first: row.get::<_, i64>(4)?.cast_unsigned(),
            last: row.get::<_, i64>(5)?.cast_unsigned(),
            refused: row.get(6)?,
        })
    })?;
    rows.collect()
}
