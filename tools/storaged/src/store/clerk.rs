//! The one who writes into the books: a thread that takes together what comes at once, so that
//! many changes cost one synchronisation.
//!
//! A change may also move files from `incoming/` to their places, or delete shares. It says so
//! to the clerk, which writes it into the table `move` in the same transaction and does it when
//! that is on disk: from then on the change has happened, whatever ends the program. Whoever
//! opens the store does again what stands in `move`, the last word for each share. Rows go when
//! the file system has been synchronised, which a thread of its own does for many at a time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, params};

use super::{Fault, Place, Result};

/// How many changes are taken together at most.
const BATCH: usize = 256;
/// After so many files have moved, the file system is synchronised.
const SETTLE: u64 = 64;

/// The directories of the store.
#[derive(Clone, Debug)]
pub(crate) struct Dirs {
    /// All of it.
    pub(crate) top: PathBuf,
    /// Whole shares.
    pub(crate) shares: PathBuf,
    /// What is being written.
    pub(crate) incoming: PathBuf,
    /// Shares that were found damaged.
    pub(crate) corrupt: PathBuf,
}

/// A file's way, after the commit.
#[derive(Clone, Debug)]
pub(super) struct Move {
    /// The share.
    pub(super) place: Place,
    /// Its file in `incoming/`; none deletes the share.
    pub(super) name: Option<String>,
}

type Answer = Box<dyn FnOnce(Option<&str>) + Send>;
type Job = Box<dyn FnOnce(&Connection, &mut Vec<Move>) -> Answer + Send>;

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Clerk {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Clerk {
    /// Finishes what was begun, and starts the thread.
    pub(super) fn start(connection: Connection, dirs: Dirs) -> Result<Self> {
        recover(&connection, &dirs)?;
        let (jobs, queue) = channel();
        let thread = std::thread::Builder::new()
            .name("clerk".to_owned())
            .spawn(move || Desk::new(connection, dirs).work(&queue))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Changes the books; returns when the change is on disk. A change that fails leaves nothing.
    pub(super) fn run<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection, &mut Vec<Move>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || Fault::Disk("the books are closed".to_owned());
        let (tell, told) = sync_channel(1);
        let job: Job = Box::new(move |connection, moves| {
            let done = within(connection, moves, change);
            Box::new(move |fault| {
                let done = match fault {
                    None => done,
                    Some(why) => Err(Fault::Disk(why.to_owned())),
                };
                // Nobody waits any more only if the program ends.
                let _ = tell.send(done);
            })
        });
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).map_err(|_| gone())?;
        told.recv().map_err(|_| gone())?
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It ends with the queue.
            let _ = thread.join();
        }
    }
}

/// Does one change of several, and undoes it alone if it fails.
fn within<T>(
    connection: &Connection,
    moves: &mut Vec<Move>,
    change: impl FnOnce(&Connection, &mut Vec<Move>) -> Result<T>,
) -> Result<T> {
    connection.execute_batch("SAVEPOINT change")?;
    let mut own = Vec::new();
    let done = change(connection, &mut own);
    if done.is_ok() {
        connection.execute_batch("RELEASE change")?;
        moves.append(&mut own);
    } else {
        connection.execute_batch("ROLLBACK TO change; RELEASE change")?;
    }
    done
}

struct Desk {
    connection: Connection,
    dirs: Dirs,
    /// The last move, counted since the start.
    last: u64,
    /// Up to this one the file system was, or is being, synchronised.
    asked: u64,
    /// Up to this one it is done, and the rows may go.
    synced: Option<u64>,
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// A move failed; all rows stay until the next start.
    stuck: bool,
}

impl Desk {
    fn new(connection: Connection, dirs: Dirs) -> Self {
        Self {
            connection,
            dirs,
            last: 0,
            asked: 0,
            synced: None,
            syncing: None,
            stuck: false,
        }
    }

    fn work(&mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut batch = vec![first];
            while let Some(next) = (batch.len() < BATCH)
                .then(|| queue.try_recv().ok())
                .flatten()
            {
                batch.push(next);
            }
            let mut answers = Vec::with_capacity(batch.len());
            let done = self.write(batch, &mut answers);
            let fault = done.err().map(|e| {
                log::error!("{e}; what was asked for is not done");
                e.to_string()
            });
            for answer in answers {
                answer(fault.as_deref());
            }
        }
        if let Err(e) = self.finish() {
            log::warn!("{e}; moved files are looked at again at the next start");
        }
    }

    fn write(&mut self, batch: Vec<Job>, answers: &mut Vec<Answer>) -> Result<()> {
        let mut moves = Vec::new();
        if let Err(e) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            // Their waiting ends with their jobs.
            drop(batch);
            return Err(e.into());
        }
        for job in batch {
            answers.push(job(&self.connection, &mut moves));
        }
        if let Err(e) = self.commit(&moves) {
            // Nothing of it stays; an error of this would say the same again.
            let _ = self.connection.execute_batch("ROLLBACK");
            return Err(e);
        }
        self.synced = None;
        for step in moves {
            if let Err(e) = carry_out(&self.dirs, &step) {
                // It is decided and will be done again at the next start.
                log::error!("cannot put share {} where it belongs: {e}", step.place);
                self.stuck = true;
            }
        }
        self.settle();
        Ok(())
    }

    fn commit(&mut self, moves: &[Move]) -> Result<()> {
        self.prepare(moves)?;
        let mut note = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO move (idx, number, name, seq) VALUES (?, ?, ?, ?)",
        )?;
        for step in moves {
            self.last += 1;
            let Place { index, number } = step.place;
            note.execute(params![index, number, step.name, self.last])?;
        }
        if let Some(synced) = self.synced {
            self.connection
                .prepare_cached("DELETE FROM move WHERE seq <= ?")?
                .execute([synced])?;
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }

    /// New files must be found again, and have a place to go, before the books speak of them.
    fn prepare(&self, moves: &[Move]) -> Result<()> {
        let mut coming = moves.iter().filter(|step| step.name.is_some()).peekable();
        if coming.peek().is_none() {
            return Ok(());
        }
        for step in coming {
            fs::create_dir_all(self.dirs.shares.join(step.place.index.directory()))?;
        }
        File::open(&self.dirs.incoming)?.sync_all()?;
        Ok(())
    }

    /// Has the file system synchronised when enough has moved, beside the work.
    fn settle(&mut self) {
        if let Some(done) = self.syncing.take_if(|thread| thread.is_finished()) {
            match done.join() {
                Ok(Ok(())) => self.synced = Some(self.asked),
                other => log::warn!("cannot synchronise the disk: {other:?}; trying again"),
            }
        }
        if self.stuck || self.syncing.is_some() || self.last - self.asked < SETTLE {
            return;
        }
        self.asked = self.last;
        let top = self.dirs.top.clone();
        let thread = std::thread::Builder::new().name("settle".to_owned());
        // Without a thread it is tried again after as many moves.
        self.syncing = thread.spawn(move || synchronise(&top)).ok();
    }

    /// Leaves nothing to do for the next start.
    fn finish(&mut self) -> Result<()> {
        if let Some(thread) = self.syncing.take() {
            // What it did is done again.
            let _ = thread.join();
        }
        if self.last == 0 || self.stuck {
            return Ok(());
        }
        synchronise(&self.dirs.top)?;
        self.connection.execute_batch("DELETE FROM move")?;
        Ok(())
    }
}

/// Has everything on the disk that was done in this file system.
fn synchronise(top: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(top)?)?)
}

/// Does again what the books say of moved files.
fn recover(connection: &Connection, dirs: &Dirs) -> Result<()> {
    let moves: Vec<Move> = connection
        .prepare("SELECT idx, number, name FROM move")?
        .query_map([], |row| {
            Ok(Move {
                place: Place {
                    index: row.get(0)?,
                    number: row.get(1)?,
                },
                name: row.get(2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for step in &moves {
        carry_out(dirs, step)?;
    }
    if !moves.is_empty() {
        synchronise(&dirs.top)?;
        connection.execute_batch("DELETE FROM move")?;
    }
    Ok(())
}

/// Renames or deletes one file. What was done before is no fault.
fn carry_out(dirs: &Dirs, step: &Move) -> io::Result<()> {
    let file = dirs.shares.join(step.place.file());
    let parent = file.parent().unwrap_or(&dirs.shares);
    let absent = |done: io::Result<()>| match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    match &step.name {
        Some(name) => {
            fs::create_dir_all(parent)?;
            absent(fs::rename(dirs.incoming.join(name), &file))
        }
        None => {
            absent(fs::remove_file(&file))?;
            // They stay while something is in them.
            let _ = fs::remove_dir(parent);
            let _ = parent.parent().map(fs::remove_dir);
            Ok(())
        }
    }
}

/// The connection of those who read, one at a time.
#[derive(Debug)]
pub(super) struct Reader(pub(super) Mutex<Connection>);

impl Reader {
    /// Reads.
    pub(super) fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ask(&connection)?)
    }
}
