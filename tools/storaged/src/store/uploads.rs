//! The open uploads: beginning, finding, ending them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use guifi_tahoe::gbs::{Allocate, Allocated};
use rusqlite::params;
use subtle::ConstantTimeEq as _;

use super::clerk::Move;
use super::leases::renew;
use super::space::cost;
use super::upload::Received;
use super::{Account, Fault, Index, Place, Result, Secret, Store, Upload, now};
use crate::door::Client;

/// An upload to which nothing comes for so many seconds is dropped.
const IDLE: i64 = 30 * 60;

/// All that are open.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    open: HashMap<Place, Arc<Upload>>,
    counts: HashMap<Whose, usize>,
}

/// Of whom uploads are counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Whose {
    Account(Account),
    Client(Client),
}

impl Upload {
    fn whose(&self) -> [Whose; 2] {
        [Whose::Account(self.account), Whose::Client(self.client)]
    }
}

impl Uploads {
    fn add(&mut self, upload: Arc<Upload>) {
        for whose in upload.whose() {
            *self.counts.entry(whose).or_default() += 1;
        }
        self.open.insert(upload.place, upload);
    }

    /// Takes one out, if it is still there.
    fn remove(&mut self, upload: &Upload) -> bool {
        let is_it = |open: &Arc<Upload>| open.name == upload.name;
        if !self.open.get(&upload.place).is_some_and(is_it) {
            return false;
        }
        self.open.remove(&upload.place);
        for whose in upload.whose() {
            if let Some(count) = self.counts.get_mut(&whose) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&whose);
                }
            }
        }
        true
    }

    /// Whether no more may be opened: in all, by an account, or by a client.
    fn is_full(&self, account: Account, client: Client, most: [usize; 3]) -> bool {
        let count = |whose| self.counts.get(&whose).copied().unwrap_or_default();
        self.open.len() >= most[0]
            || count(Whose::Account(account)) >= most[1]
            || count(Whose::Client(client)) >= most[2]
    }
}

impl Store {
    /// Begins the upload of some shares of a file, as far as there is room for them, and renews
    /// the lease on those that are there.
    ///
    /// # Errors
    /// [`Fault::TooMany`] leases; those of the disk.
    pub fn allocate(
        &self,
        index: Index,
        wish: &Allocate,
        [secret, lease]: [Secret; 2],
        (account, client): (Account, Client),
    ) -> Result<Allocated> {
        let limits = self.limits();
        let _lock = self.lock(index);
        let already_have = self.numbers(index, None)?;
        if !already_have.is_empty() {
            self.clerk.run(move |connection, _| {
                renew(connection, index, lease, account, limits.leases)
            })?;
        }
        let cost = cost(wish.size);
        let mut answer = Allocated {
            already_have,
            ..Allocated::default()
        };
        let mut uploads = self.uploads();
        for number in wish.shares.difference(&answer.already_have) {
            let place = Place {
                index,
                number: *number,
            };
            let full = uploads.is_full(account, client, limits.uploads);
            if full || uploads.open.contains_key(&place) || wish.size == 0 {
                continue;
            }
            match self.space.pledge(cost) {
                Ok(()) => {}
                Err(Fault::NoSpace) => break,
                Err(e) => return Err(e),
            }
            uploads.add(Arc::new(Upload {
                place,
                size: wish.size,
                secret,
                lease,
                account,
                client,
                name: self.name(),
                touched: AtomicI64::new(now()),
                received: Mutex::new(Received::default()),
                turn: Arc::default(),
            }));
            answer.allocated.insert(*number);
        }
        Ok(answer)
    }

    /// An open upload, for who has its secret.
    ///
    /// # Errors
    /// [`Fault::WrongSecret`], [`Fault::NotFound`], [`Fault::Complete`].
    pub fn upload(&self, place: Place, secret: Secret) -> Result<Arc<Upload>> {
        let open = self.uploads().open.get(&place).cloned();
        match open {
            Some(upload) if bool::from(upload.secret.0.ct_eq(&secret.0)) => Ok(upload),
            Some(_) => Err(Fault::WrongSecret),
            None if self.numbers(place.index, None)?.contains(&place.number) => {
                Err(Fault::Complete)
            }
            None => Err(Fault::NotFound),
        }
    }

    /// Gives an upload up.
    pub fn drop_upload(&self, upload: &Upload) {
        let mut received = upload
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.uploads().remove(upload) {
            received.closed = true;
            self.space.settle(cost(upload.size), received.written, 0);
            // It may have no byte yet; what stays goes at the next start.
            let _ = std::fs::remove_file(self.dirs.incoming.join(&upload.name));
        }
    }

    /// Drops what nobody goes on with; returns the seconds until the next may be due, if any.
    pub fn drop_idle(&self) -> Option<i64> {
        let now = now();
        let open: Vec<Arc<Upload>> = self.uploads().open.values().cloned().collect();
        let mut next = None;
        for upload in open {
            let age = now - upload.touched.load(Ordering::Relaxed);
            // A clock that was put back: counted from now on.
            if age < 0 {
                upload.touched.store(now, Ordering::Relaxed);
            }
            let turn = upload.turn.try_lock();
            if age >= IDLE && turn.is_ok() {
                log::debug!("share {} was begun and not finished; dropped", upload.place);
                self.drop_upload(&upload);
            } else {
                let left = (IDLE - age.max(0)).max(1);
                next = Some(next.map_or(left, |next: i64| next.min(left)));
            }
        }
        next
    }

    /// How many uploads are open.
    pub fn open_uploads(&self) -> usize {
        self.uploads().open.len()
    }

    /// Makes a whole upload a share.
    pub(super) fn enter_share(&self, upload: &Arc<Upload>, sum: u32) -> Result<()> {
        let _lock = self.lock(upload.place.index);
        let limits = self.limits();
        let whole = upload.clone();
        if !whole.is_whole() {
            return Err(Fault::NotFound);
        }
        self.clerk.run(move |connection, moves| {
            let place = whole.place;
            connection
                .prepare_cached(
                    "INSERT INTO share (idx, number, mutable, size, sum, account, checked)
                     VALUES (?, ?, 0, ?, ?, ?, ?)",
                )?
                .execute(params![
                    place.index,
                    place.number,
                    whole.size,
                    sum,
                    whole.account,
                    now()
                ])?;
            renew(
                connection,
                place.index,
                whole.lease,
                whole.account,
                limits.leases,
            )?;
            moves.push(Move {
                place,
                name: Some(whole.name.clone()),
            });
            Ok(())
        })?;
        let mut received = upload
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        received.closed = true;
        let taken = cost(upload.size);
        if self.uploads().remove(upload) {
            self.space.settle(taken, received.written, taken);
        }
        Ok(())
    }
}
