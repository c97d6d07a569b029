//! Leases: who wants the shares of a file kept, and how long. A lease is for all shares of a
//! file. Of its secret only the hash is kept; to cancel one is not in the protocol.

use guifi_tahoe::hash::tagged;
use rusqlite::{Connection, params};

use super::{Account, Fault, Index, Result, Store, now};

/// How long one lasts, in seconds: 31 days.
pub const LEASE: i64 = 31 * 86_400;

/// Hash of a secret that a client has sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Secret(pub [u8; 32]);

impl Secret {
    /// Hashes it.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(tagged(b"guifi-storaged-secret-v1", secret))
    }
}

/// Renews a lease or adds one.
pub(super) fn renew(
    connection: &Connection,
    index: Index,
    secret: Secret,
    account: Account,
    most: u64,
) -> Result<()> {
    let expires = now() + LEASE;
    let renewed = connection
        .prepare_cached("UPDATE lease SET expires = max(expires, ?) WHERE idx = ? AND secret = ?")?
        .execute(params![expires, index, secret.0])?;
    if renewed > 0 {
        return Ok(());
    }
    let counted = connection
        .prepare_cached("UPDATE account SET leases = leases + 1 WHERE id = ? AND leases < ?")?
        .execute(params![account, most])?;
    if counted == 0 {
        return Err(Fault::TooMany);
    }
    connection
        .prepare_cached("INSERT INTO lease (idx, secret, account, expires) VALUES (?, ?, ?, ?)")?
        .execute(params![index, secret.0, account, expires])?;
    Ok(())
}

/// Ends the leases of a file that has no shares any more.
pub(super) fn drop_all(connection: &Connection, index: Index) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE account SET leases = leases -
             (SELECT count(*) FROM lease WHERE idx = ?1 AND lease.account = account.id)
             WHERE id IN (SELECT account FROM lease WHERE idx = ?1)",
        )?
        .execute([index])?;
    connection
        .prepare_cached("DELETE FROM lease WHERE idx = ?")?
        .execute([index])?;
    Ok(())
}

impl Store {
    /// Renews a lease on all shares of a file, or adds one.
    ///
    /// # Errors
    /// [`Fault::NotFound`] if there is no share, [`Fault::TooMany`], those of the disk.
    pub fn renew(&self, index: Index, secret: Secret, account: Account) -> Result<()> {
        let most = self.limits().leases;
        let _lock = self.lock(index);
        if self.numbers(index, None)?.is_empty() {
            return Err(Fault::NotFound);
        }
        self.clerk
            .run(move |connection, _| renew(connection, index, secret, account, most))
    }

    /// How many leases there are.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn leases(&self) -> Result<u64> {
        self.reader.read(|connection| {
            connection.query_row("SELECT coalesce(sum(leases), 0) FROM account", [], |row| {
                row.get(0)
            })
        })
    }
}
