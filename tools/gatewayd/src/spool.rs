//! The source of an upload: short ones in memory, longer ones in a file without a name, which
//! ends with the program. Its convergent key is computed while it comes.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use guifi_tahoe::chk::{Convergence, DEFAULT_SEGMENT, Parameters};
use guifi_tahoe::{Encoding, Key};
use tokio::sync::mpsc;

use crate::engine::blocking;
use crate::problem::{Problem, Reason};

/// What is kept in memory, in bytes: one segment.
const IN_MEMORY: usize = DEFAULT_SEGMENT as usize;
/// Pieces on their way to the disk.
const WAITING: usize = 8;

/// A source that is all there.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    data: Data,
    size: u64,
    key: Key,
}

#[derive(Clone, Debug)]
enum Data {
    Memory(Arc<[u8]>),
    File(Arc<File>),
}

/// A source that is coming.
pub(crate) struct Spool {
    sender: mpsc::Sender<Bytes>,
    worker: tokio::task::JoinHandle<Result<Source, Problem>>,
}

impl Spool {
    /// Begins; a long source waits in `directory`.
    pub(crate) fn new(directory: &Path, encoding: Encoding, convergence: &[u8]) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let work = Work {
            directory: directory.to_owned(),
            encoding,
            secret: convergence.to_vec(),
            head: Vec::new(),
            rest: None,
            size: 0,
        };
        Self {
            sender,
            worker: tokio::task::spawn_blocking(|| work.run(receiver)),
        }
    }

    /// Adds what came.
    ///
    /// # Errors
    /// If it cannot be kept: [`Self::finish`] says why.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<(), Problem> {
        if self.sender.send(bytes).await.is_ok() {
            return Ok(());
        }
        let ended = (&mut self.worker).await.map_err(Problem::internal)?;
        Err(ended
            .err()
            .unwrap_or_else(|| Problem::internal("the spool ended early")))
    }

    /// All came.
    ///
    /// # Errors
    /// If it could not be kept.
    pub(crate) async fn finish(self) -> Result<Source, Problem> {
        drop(self.sender);
        self.worker.await.map_err(Problem::internal)?
    }
}

struct Work {
    directory: PathBuf,
    encoding: Encoding,
    secret: Vec<u8>,
    head: Vec<u8>,
    rest: Option<(File, Convergence)>,
    size: u64,
}

impl Work {
    fn run(mut self, mut pieces: mpsc::Receiver<Bytes>) -> Result<Source, Problem> {
        while let Some(bytes) = pieces.blocking_recv() {
            self.add(&bytes).map_err(|e| {
                let reason = Reason::Unavailable;
                let place = self.directory.display();
                Problem::new(reason, format!("cannot keep the file in {place}: {e}"))
            })?;
        }
        let (data, key) = match self.rest {
            Some((file, convergence)) => (Data::File(Arc::new(file)), convergence.finish()),
            None => {
                let key = self.key_of_short()?;
                (Data::Memory(self.head.into()), key)
            }
        };
        Ok(Source {
            data,
            size: self.size,
            key,
        })
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        if let Some((file, convergence)) = &mut self.rest {
            convergence.update(bytes);
            return file.write_all(bytes);
        }
        self.head.extend_from_slice(bytes);
        if self.head.len() > IN_MEMORY {
            // Of all longer files the segments have the same length, and so the keys the same tag.
            let parameters = Parameters::new(self.encoding, self.size, DEFAULT_SEGMENT)
                .map_err(io::Error::other)?;
            let mut convergence = Convergence::new(&self.secret, &parameters);
            let mut file = tempfile::tempfile_in(&self.directory)?;
            convergence.update(&self.head);
            file.write_all(&self.head)?;
            self.head = Vec::new();
            self.rest = Some((file, convergence));
        }
        Ok(())
    }

    fn key_of_short(&self) -> Result<Key, Problem> {
        if self.head.is_empty() {
            return Ok(Key::default());
        }
        let parameters = Parameters::new(self.encoding, self.size, DEFAULT_SEGMENT)?;
        let mut convergence = Convergence::new(&self.secret, &parameters);
        convergence.update(&self.head);
        Ok(convergence.finish())
    }
}

impl Source {
    /// A source that is in memory.
    ///
    /// # Errors
    /// None are known.
    pub(crate) async fn from_memory(
        bytes: Bytes,
        encoding: Encoding,
        convergence: &[u8],
    ) -> Result<Self, Problem> {
        let secret = convergence.to_vec();
        blocking(move || {
            let mut work = Work {
                directory: PathBuf::new(),
                encoding,
                secret,
                head: bytes.to_vec(),
                rest: None,
                size: bytes.len() as u64,
            };
            let key = work.key_of_short()?;
            Ok(Self {
                data: Data::Memory(std::mem::take(&mut work.head).into()),
                size: work.size,
                key,
            })
        })
        .await
    }

    /// Bytes in all.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The convergent key.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The whole of a short source.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Memory(bytes) => Some(bytes),
            Data::File(_) => None,
        }
    }

    /// Fills a buffer from an offset; waits for the disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        match &self.data {
            Data::File(file) => file.read_exact_at(into, offset),
            Data::Memory(bytes) => {
                let start = usize::try_from(offset).map_err(io::Error::other)?;
                let part = bytes
                    .get(start..start + into.len())
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                into.copy_from_slice(part);
                Ok(())
            }
        }
    }
}
