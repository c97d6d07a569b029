//! A share that is being written: nobody sees it before it is whole.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crc32fast::Hasher;
use guifi_tahoe::gbs::Range;

use super::ranges::Ranges;
use super::{Account, Fault, Place, Result, Secret, Store, now};
use crate::door::Client;

/// Parts that do not touch which a share may have come in so far.
const MAX_PARTS: usize = 1024;
/// Bytes that are compared at once.
const CHUNK: usize = 64 << 10;

/// An open upload.
#[derive(Debug)]
pub struct Upload {
    /// Which share.
    pub(super) place: Place,
    /// How long it will be, in bytes.
    pub size: u64,
    /// Opens the upload.
    pub(super) secret: Secret,
    /// Of the lease that it gets.
    pub(super) lease: Secret,
    pub(super) account: Account,
    /// Who began it.
    pub(super) client: Client,
    /// Its file in `incoming/`, there from the first byte on.
    pub(super) name: String,
    /// When something last came, in seconds since 1970.
    pub(super) touched: AtomicI64,
    pub(super) received: Mutex<Received>,
    /// One writes at a time.
    pub turn: Arc<tokio::sync::Mutex<()>>,
}

/// What has come.
#[derive(Debug, Default)]
pub(super) struct Received {
    ranges: Ranges,
    /// Sum of the bytes from the first on, as long as they come in order.
    sum: Option<(u64, Hasher)>,
    /// Bytes in the file.
    pub(super) written: u64,
    /// Whole, or given up: nothing more is taken.
    pub(super) closed: bool,
}

/// How far an upload is.
#[derive(Debug)]
pub enum Progress {
    /// These parts are missing.
    Missing(Vec<Range>),
    /// It is a share now.
    Whole,
}

impl Upload {
    fn received(&self) -> std::sync::MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.received().ranges.missing(self.size).is_empty()
    }
}

impl Store {
    /// Opens the file of an upload, to write into it.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open_upload(&self, upload: &Upload) -> Result<File> {
        Ok(OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.dirs.incoming.join(&upload.name))?)
    }

    /// Writes a part. What is there already must be the same.
    ///
    /// # Errors
    /// [`Fault::Conflict`], [`Fault::OutOfRange`], [`Fault::NotFound`] if it has ended;
    /// [`Fault::NoSpace`] and those of the disk.
    pub fn write(&self, upload: &Upload, file: &File, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset
            .checked_add(bytes.len() as u64)
            .filter(|end| *end <= upload.size)
            .ok_or(Fault::OutOfRange)?;
        let mut received = upload.received();
        if received.closed {
            return Err(Fault::NotFound);
        }
        let mut repeated = 0;
        for there in received.ranges.within(offset, end) {
            repeated += there.end - there.begin;
            let from = usize::try_from(there.begin - offset).unwrap_or(usize::MAX);
            let to = usize::try_from(there.end - offset).unwrap_or(usize::MAX);
            let new = bytes.get(from..to).ok_or(Fault::OutOfRange)?;
            if !is_same(file, there.begin, new)? {
                return Err(Fault::Conflict);
            }
        }
        if repeated == bytes.len() as u64 {
            return Ok(());
        }
        if received.ranges.count() >= MAX_PARTS {
            return Err(Fault::TooMany);
        }
        file.write_all_at(bytes, offset)?;
        received.ranges.add(offset, end);
        let summed = received.sum.get_or_insert_with(|| (0, Hasher::new()));
        if summed.0 == offset {
            summed.1.update(bytes);
            summed.0 = end;
        }
        let new = bytes.len() as u64 - repeated;
        received.written += new;
        drop(received);
        upload.touched.store(now(), Ordering::Relaxed);
        self.space.wrote(new);
        Ok(())
    }

    /// How far an upload is; one of which nothing is missing becomes a share, which is on disk
    /// when this returns.
    ///
    /// # Errors
    /// [`Fault::NotFound`] if it has ended; those of the disk.
    pub fn progress(&self, upload: &Arc<Upload>, file: &File) -> Result<Progress> {
        let missing = upload.received().ranges.missing(upload.size);
        if !missing.is_empty() {
            return Ok(Progress::Missing(missing));
        }
        let done = self.complete(upload, file);
        if done.is_err() {
            self.drop_upload(upload);
        }
        done.map(|()| Progress::Whole)
    }

    fn complete(&self, upload: &Arc<Upload>, file: &File) -> Result<()> {
        let sum = match upload.received().sum.take() {
            Some((end, hasher)) if end == upload.size => Some(hasher.finalize()),
            _ => None,
        };
        let path = self.dirs.incoming.join(&upload.name);
        let sum = match sum {
            Some(sum) => sum,
            None => super::sum::of_file(&path, |_| ())?.1,
        };
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o400))?;
        file.sync_all()?;
        self.enter_share(upload, sum)
    }
}

/// Whether these bytes are in the file there.
fn is_same(file: &File, mut at: u64, bytes: &[u8]) -> std::io::Result<bool> {
    let mut buffer = vec![0; CHUNK.min(bytes.len())];
    for piece in bytes.chunks(CHUNK) {
        let Some(there) = buffer.get_mut(..piece.len()) else {
            return Ok(false);
        };
        file.read_exact_at(there, at)?;
        if there != piece {
            return Ok(false);
        }
        at += piece.len() as u64;
    }
    Ok(true)
}
