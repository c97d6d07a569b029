//! Shares on the disk, and the books about them.
//!
//! In the state directory are `shares/AB/ABCD…/N` (the bytes of a share and nothing else),
//! `incoming/` (what is being written; emptied at the start), `corrupt/` (what the scrubber has
//! set aside) and `books.db` (sizes, sums, leases, accounts, advisories). A share is there when
//! its row is committed: [`clerk`] says how file and row go together. Immutable shares may be
//! read only, mutable ones written by their owner: so the files alone tell which is which.
//!
//! Everything here blocks, and is called from threads that may.

mod accounts;
mod advisories;
mod books;
mod clerk;
mod collect;
mod fault;
mod held;
mod leases;
mod mutable;
mod place;
mod ranges;
mod rebuild;
mod scrub;
pub mod space;
mod sum;
#[cfg(test)]
mod tests;
mod upload;
mod uploads;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use accounts::{Account, PUBLIC};
pub use advisories::Advisory;
pub use collect::Collected;
pub use fault::{Fault, Result};
pub use held::{Held, Kind};
pub use leases::{LEASE, Secret};
pub(crate) use mutable::MAX_MUTABLE;
pub use mutable::Writer;
pub use place::{Index, Place};
pub use scrub::Finding;
pub use space::{Bounds, Figures, Given};
pub use upload::{Progress, Upload};

use clerk::{Clerk, Dirs, Reader};
use space::Space;
use uploads::Uploads;

/// How many parts of the store are locked by themselves.
const STRIPES: usize = 256;

/// Bounds against those who ask for too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Open uploads in all, of one account, and of one client.
    pub uploads: [usize; 3],
    /// Leases of one account.
    pub leases: u64,
}

/// What opening the store found.
#[derive(Debug, Default)]
pub struct Found {
    /// Where a damaged database is now.
    pub set_aside: Option<PathBuf>,
    /// How many shares were entered anew, if the books were lost.
    pub rebuilt: Option<u64>,
}

/// The store.
pub struct Store {
    dirs: Dirs,
    clerk: Clerk,
    reader: Reader,
    space: Space,
    uploads: Mutex<Uploads>,
    limits: RwLock<Limits>,
    accounts: RwLock<HashMap<[u8; 32], Account>>,
    stripes: Vec<Mutex<()>>,
    names: AtomicU64,
    /// Shares that look damaged, for the scrubber.
    suspects: Mutex<Vec<Place>>,
    suspected: tokio::sync::Notify,
}

impl Store {
    /// Opens or makes the store in a directory.
    ///
    /// # Errors
    /// Those of the disk; a damaged database is none.
    pub fn open(top: &Path, bounds: Bounds, limits: Limits) -> Result<(Arc<Self>, Found)> {
        let below = |name: &str| top.join(name);
        let dirs = Dirs {
            top: top.to_owned(),
            shares: below("shares"),
            incoming: below("incoming"),
            corrupt: below("corrupt"),
        };
        for directory in [&dirs.shares, &dirs.incoming, &dirs.corrupt] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        let books = books::open(top)?;
        // Not before what was decided is done: it needs these files.
        let clerk = Clerk::start(books.writer, dirs.clone())?;
        for entry in fs::read_dir(&dirs.incoming)? {
            fs::remove_file(entry?.path())?;
        }
        let reader = Reader(Mutex::new(books.reader));
        let rebuilt = match books.new {
            true => Some(rebuild::rebuild(&dirs, &clerk)?).filter(|count| *count > 0),
            false => None,
        };
        let used = reader.read(held::used)?;
        let accounts = reader.read(accounts::all)?;
        let store = Self {
            space: Space::new(&dirs.top, bounds, used),
            dirs,
            clerk,
            reader,
            uploads: Mutex::default(),
            limits: RwLock::new(limits),
            accounts: RwLock::new(accounts),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            names: AtomicU64::new(0),
            suspects: Mutex::default(),
            suspected: tokio::sync::Notify::new(),
        };
        let found = Found {
            set_aside: books.set_aside,
            rebuilt,
        };
        Ok((Arc::new(store), found))
    }

    /// Takes other bounds.
    pub fn set_bounds(&self, bounds: Bounds, limits: Limits) {
        self.space.set_bounds(bounds);
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// How much space there is.
    pub fn figures(&self) -> Figures {
        self.space.figures()
    }

    fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the shares of a file to itself, with some others'.
    fn lock(&self, index: Index) -> Option<MutexGuard<'_, ()>> {
        let stripe = self.stripes.get(usize::from(index.0[15]) % STRIPES)?;
        Some(stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A name in `incoming/` that is not used.
    fn name(&self) -> String {
        self.names.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scrubber shall look at this share soon.
    fn suspect(&self, place: Place) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() < 1024 && !suspects.contains(&place) {
            suspects.push(place);
            self.suspected.notify_one();
        }
    }

    /// Waits until a share looks damaged.
    pub async fn suspected(&self) {
        self.suspected.notified().await;
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
