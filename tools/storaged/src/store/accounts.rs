//! Accounts: who has put what here. One is everybody's, the others belong to keys.

use std::collections::HashMap;
use std::sync::PoisonError;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Fault, Result, Store, now};

/// Number of an account.
pub type Account = i64;

/// Owner of the account that is everybody's.
pub const PUBLIC: &str = "";

/// How many accounts there may be.
const MAX: usize = 20_000;

/// Secrets are compared by their hash, so that nothing is learnt from how long it takes.
fn hash(swissnum: &str) -> [u8; 32] {
    Sha256::digest(swissnum.as_bytes()).into()
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<HashMap<[u8; 32], Account>> {
    connection
        .prepare("SELECT swissnum, id FROM account")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

impl Store {
    /// The account of an owner, which has this swissnum from now on.
    ///
    /// # Errors
    /// Those of the disk, and [`Fault::TooMany`].
    pub fn enter(&self, owner: &str, swissnum: &str) -> Result<Account> {
        let hash = hash(swissnum);
        if let Some(account) = self.account(swissnum) {
            return Ok(account);
        }
        let known = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX {
            return Err(Fault::TooMany);
        }
        drop(known);
        let owner = owner.to_owned();
        let (account, old) = self.clerk.run(move |connection, _| {
            let old: Option<[u8; 32]> = connection
                .query_row(
                    "SELECT swissnum FROM account WHERE owner = ?",
                    [&owner],
                    |row| row.get(0),
                )
                .optional()?;
            let account: Account = connection.query_row(
                "INSERT INTO account (owner, swissnum, since) VALUES (?, ?, ?)
                 ON CONFLICT (owner) DO UPDATE SET swissnum = excluded.swissnum RETURNING id",
                params![owner, hash, now()],
                |row| row.get(0),
            )?;
            Ok((account, old))
        })?;
        let mut known = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = old {
            known.remove(&old);
        }
        known.insert(hash, account);
        Ok(account)
    }

    /// The account that a swissnum opens.
    pub fn account(&self, swissnum: &str) -> Option<Account> {
        let known = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&hash(swissnum)).copied()
    }

    /// Every account with what it has here, for people.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn accounts(&self) -> Result<Vec<Value>> {
        self.reader.read(|connection| {
            connection
                .prepare(
                    "SELECT owner, since, leases, count(share.idx), coalesce(sum(size), 0)
                     FROM account LEFT JOIN share ON share.account = account.id
                     GROUP BY account.id ORDER BY owner",
                )?
                .query_map([], |row| {
                    let owner: String = row.get(0)?;
                    Ok(json!({
                        "owner": Some(owner).filter(|owner| owner != PUBLIC),
                        "since": jiff::Timestamp::from_second(row.get(1)?).ok(),
                        "leases": row.get::<_, u64>(2)?,
                        "shares": row.get::<_, u64>(3)?,
                        "size_bytes": row.get::<_, u64>(4)?,
                    }))
                })?
                .collect()
        })
    }
}
