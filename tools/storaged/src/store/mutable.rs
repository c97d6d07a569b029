//! Changing mutable shares: tests over all of them, reads of all, and writes only if every test
//! holds; of the writes all are seen after a crash, or none.
//!
//! Each share that changes is written anew into `incoming/`; one transaction then puts them all
//! in the place of the old ones (see [`super::clerk`]).

mod content;

use std::collections::BTreeMap;
use std::fs::File;

use guifi_tahoe::gbs::{MAX_BODY, ReadTestWrite, ReadTestWritten, ShareNumber, TestWrite};
use rusqlite::{OptionalExtension as _, params};
use subtle::ConstantTimeEq as _;

use super::clerk::Move;
use super::leases::{drop_all, renew};
use super::space::cost;
use super::{Account, Fault, Index, Place, Result, Secret, Store, now};
use content::{New, read, write_new};

/// The longest mutable share, in bytes.
pub(crate) const MAX_MUTABLE: u64 = 1 << 30;

/// Who changes, and what they prove.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    /// Hash of the write enabler.
    pub enabler: Secret,
    /// Hash of the lease's secret.
    pub lease: Secret,
    /// Whose account.
    pub account: Account,
}

/// A share before the change.
struct Old {
    size: u64,
    file: File,
}

impl Store {
    /// Tests, reads and writes the shares of a file.
    ///
    /// # Errors
    /// [`Fault::WrongSecret`] if the write enabler is another, [`Fault::Conflict`] if the file is
    /// immutable, [`Fault::OutOfRange`], [`Fault::TooLarge`], [`Fault::NoSpace`], those of the disk.
    pub fn read_test_write(
        &self,
        index: Index,
        wish: &ReadTestWrite,
        writer: Writer,
    ) -> Result<ReadTestWritten> {
        let _lock = self.lock(index);
        let old = self.old(index, writer.enabler)?;
        let success = tests_hold(wish, &old)?;
        let data = reads(wish, &old)?;
        if success && !wish.vectors.is_empty() {
            let mut made = Vec::new();
            let changed = self.change(index, wish, &old, writer, &mut made);
            if changed.is_err() {
                for name in made {
                    // What stays goes at the next start.
                    let _ = std::fs::remove_file(self.dirs.incoming.join(name));
                }
            }
            changed?;
        }
        Ok(ReadTestWritten { success, data })
    }

    /// The shares as they are, if the write enabler is that of all of them.
    fn old(&self, index: Index, enabler: Secret) -> Result<BTreeMap<ShareNumber, Old>> {
        type Row = (ShareNumber, bool, u64, Option<[u8; 32]>);
        let rows: Vec<Row> = self.reader.read(|connection| {
            connection
                .prepare_cached("SELECT number, mutable, size, enabler FROM share WHERE idx = ?")?
                .query_map([index], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?
                .collect()
        })?;
        if rows.iter().any(|row| !row.1) {
            return Err(Fault::Conflict);
        }
        // After a loss of the books it is not known, and the next who writes says it.
        let is_other = |known: &[u8; 32]| !bool::from(known.ct_eq(&enabler.0));
        if rows.iter().filter_map(|row| row.3.as_ref()).any(is_other) {
            return Err(Fault::WrongSecret);
        }
        let mut old = BTreeMap::new();
        for (number, _, size, _) in rows {
            let place = Place { index, number };
            match self.open_share(place) {
                Ok((file, length)) if length == size => {
                    old.insert(number, Old { size, file });
                }
                // As if it were not there; writing it anew mends it.
                _ => self.suspect(place),
            }
        }
        Ok(old)
    }

    fn change(
        &self,
        index: Index,
        wish: &ReadTestWrite,
        old: &BTreeMap<ShareNumber, Old>,
        writer: Writer,
        made: &mut Vec<String>,
    ) -> Result<()> {
        let mut news = Vec::new();
        let mut pledge = Pledge {
            store: self,
            cost: 0,
        };
        for (number, vector) in &wish.vectors {
            let before = old.get(number);
            if vector.new_length == Some(0) {
                news.push((*number, None));
                continue;
            }
            let size = new_size(vector, before.map_or(0, |old| old.size))?;
            pledge.add(cost(size))?;
            let name = self.name();
            made.push(name.clone());
            let path = self.dirs.incoming.join(&name);
            let sum = write_new(&path, before.map(|old| &old.file), vector, size)?;
            news.push((*number, Some(New { name, size, sum })));
        }
        let [was, is] = self.enter_change(index, news, writer)?;
        drop(pledge);
        self.space.free(was);
        self.space.settle(0, 0, is);
        Ok(())
    }

    /// Puts new shares in the place of old ones; returns what they took and take.
    fn enter_change(
        &self,
        index: Index,
        news: Vec<(ShareNumber, Option<New>)>,
        writer: Writer,
    ) -> Result<[u64; 2]> {
        let most = self.limits().leases;
        self.clerk.run(move |connection, moves| {
            let (mut was, mut is, mut any) = (0, 0, false);
            for (number, new) in news {
                let old: Option<u64> = connection
                    .prepare_cached(
                        "DELETE FROM share WHERE idx = ? AND number = ? RETURNING size",
                    )?
                    .query_row(params![index, number], |row| row.get(0))
                    .optional()?;
                was += old.map_or(0, cost);
                if let Some(new) = &new {
                    any = true;
                    is += cost(new.size);
                    connection
                        .prepare_cached(
                            "INSERT INTO share
                             (idx, number, mutable, size, sum, account, enabler, checked)
                             VALUES (?, ?, 1, ?, ?, ?, ?, ?)",
                        )?
                        .execute(params![
                            index,
                            number,
                            new.size,
                            new.sum,
                            writer.account,
                            writer.enabler.0,
                            now()
                        ])?;
                }
                if new.is_some() || old.is_some() {
                    moves.push(Move {
                        place: Place { index, number },
                        name: new.map(|new| new.name),
                    });
                }
            }
            let left: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM share WHERE idx = ?)",
                [index],
                |row| row.get(0),
            )?;
            if any {
                renew(connection, index, writer.lease, writer.account, most)?;
            } else if !left {
                drop_all(connection, index)?;
            }
            Ok([was, is])
        })
    }
}

/// Space set aside for the time of a change.
struct Pledge<'a> {
    store: &'a Store,
    cost: u64,
}

impl Pledge<'_> {
    fn add(&mut self, cost: u64) -> Result<()> {
        self.store.space.pledge(cost)?;
        self.cost += cost;
        Ok(())
    }
}

impl Drop for Pledge<'_> {
    fn drop(&mut self) {
        self.store.space.settle(self.cost, 0, 0);
    }
}

fn tests_hold(wish: &ReadTestWrite, old: &BTreeMap<ShareNumber, Old>) -> Result<bool> {
    for (number, vector) in &wish.vectors {
        for test in &vector.tests {
            // One byte more than there should be says as much as all of them.
            let most = test.size.min(test.specimen.len() as u64 + 1);
            let there = match old.get(number) {
                Some(old) => read(&old.file, old.size, test.offset, most)?,
                None => Vec::new(),
            };
            if there != test.specimen {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn reads(
    wish: &ReadTestWrite,
    old: &BTreeMap<ShareNumber, Old>,
) -> Result<BTreeMap<ShareNumber, Vec<Vec<u8>>>> {
    let mut left = MAX_BODY as u64;
    let mut data = BTreeMap::new();
    for (number, old) in old {
        let mut of_share = Vec::with_capacity(wish.reads.len());
        for vector in &wish.reads {
            let length = vector.size.min(old.size.saturating_sub(vector.offset));
            left = left.checked_sub(length).ok_or(Fault::TooLarge)?;
            of_share.push(read(&old.file, old.size, vector.offset, length)?);
        }
        data.insert(*number, of_share);
    }
    Ok(data)
}

/// How long a share is after its writes.
fn new_size(vector: &TestWrite, old: u64) -> Result<u64> {
    let mut size = old;
    for write in &vector.writes {
        let end = write.offset.checked_add(write.data.len() as u64);
        size = size.max(end.ok_or(Fault::OutOfRange)?);
    }
    if size > MAX_MUTABLE {
        return Err(Fault::OutOfRange);
    }
    Ok(vector.new_length.map_or(size, |length| size.min(length)))
}
