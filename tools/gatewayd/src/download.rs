//! Immutable files from the grid: any range, every byte verified, the next segments read ahead.

mod fetch;
mod segment;
mod sources;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use guifi_tahoe::StorageIndex;
use guifi_tahoe::cap::{Chk, ChkVerifier};
use guifi_tahoe::chk::{DEFAULT_SEGMENT, Decoder, Parameters};
use tokio::task::JoinHandle;

use crate::engine::Engine;
use crate::problem::Problem;

pub(crate) use fetch::{Window, read_needs};
pub(crate) use segment::{Content, report};
use sources::Sources;

/// Segments that are read before they are asked for.
const AHEAD: usize = 2;
/// Longer ones, in bytes, are read one at a time: some clients write them of 16 MiB.
const LARGE: u64 = 4 << 20;

/// A file that is being read.
#[derive(Clone)]
pub(crate) struct Reader(Arc<File>);

/// What is known of it.
pub(crate) struct File {
    index: StorageIndex,
    about: ChkVerifier,
    decoder: Mutex<Decoder>,
    sources: Sources,
}

impl File {
    fn decoder(&self) -> MutexGuard<'_, Decoder> {
        self.decoder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parameters(&self) -> Option<Parameters> {
        self.decoder().parameters().copied()
    }
}

/// A range of a file, segment by segment.
pub(crate) struct Bytewise {
    file: Arc<File>,
    content: Content,
    left: Range<u64>,
    parameters: Option<Parameters>,
    ahead: VecDeque<(u64, Task)>,
    next: u64,
}

/// Ends when nobody waits for it any more.
struct Task(JoinHandle<Result<Bytes, Problem>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reader {
    /// Looks for the shares of a file, to read it.
    pub(crate) fn new(engine: &Engine, cap: &Chk) -> Self {
        Self::begin(engine, cap.to_verifier(), Decoder::new(cap))
    }

    /// The same to repair it.
    pub(crate) fn ciphertext(engine: &Engine, cap: &ChkVerifier) -> Self {
        Self::begin(engine, cap.clone(), Decoder::verifier(cap))
    }

    fn begin(engine: &Engine, about: ChkVerifier, decoder: Decoder) -> Self {
        let index = about.storage_index;
        Self(Arc::new(File {
            index,
            sources: Sources::locate(engine, index, about.encoding),
            about,
            decoder: Mutex::new(decoder),
        }))
    }

    /// The bytes of a range that is within the file.
    pub(crate) fn read(&self, range: Range<u64>, content: Content) -> Bytewise {
        Bytewise {
            file: self.0.clone(),
            content,
            left: range,
            parameters: None,
            ahead: VecDeque::new(),
            next: 0,
        }
    }

    /// The bytes of the UEB, once something was read.
    pub(crate) fn ueb(&self) -> Vec<u8> {
        self.0.decoder().ueb_bytes().to_vec()
    }

    /// How the file is cut, once something was read.
    pub(crate) fn parameters(&self) -> Option<Parameters> {
        self.0.parameters()
    }
}

impl Bytewise {
    /// The next bytes; nothing at the end of the range.
    ///
    /// # Errors
    /// If there are too few good shares.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let parameters = match self.parameters {
            Some(parameters) => parameters,
            None => self.begin().await?,
        };
        let number = self.left.start / parameters.segment_size();
        self.read_ahead(&parameters, number);
        let segment = match self.ahead.pop_front() {
            Some((_, mut task)) => (&mut task.0).await.map_err(Problem::internal)??,
            None => return Err(Problem::internal("a segment was not read")),
        };
        let start = number * parameters.segment_size();
        let from = usize::try_from(self.left.start - start).map_err(Problem::internal)?;
        let to = usize::try_from(self.left.end - start)
            .map_or(segment.len(), |to| to.min(segment.len()));
        if from >= to {
            return Err(Problem::internal("a segment is too short"));
        }
        self.left.start += (to - from) as u64;
        Ok(Some(segment.slice(from..to)))
    }

    /// Reads one segment alone: it brings what is known of all.
    async fn begin(&mut self) -> Result<Parameters, Problem> {
        let file = &self.file;
        let cut = match file.parameters() {
            Some(parameters) => parameters,
            // As most files are cut; what the shares say counts.
            None => Parameters::new(file.about.encoding, file.about.size, DEFAULT_SEGMENT)?,
        };
        let guess = self.left.start / cut.segment_size();
        let segment = segment::read(file.clone(), guess, self.content).await?;
        let parameters = file
            .parameters()
            .ok_or_else(|| Problem::internal("the file's numbers are not known"))?;
        self.parameters = Some(parameters);
        self.next = self.left.start / parameters.segment_size();
        if parameters.segment_size() == cut.segment_size() {
            let ready = tokio::spawn(async move { Ok(segment) });
            self.ahead.push_back((self.next, Task(ready)));
            self.next += 1;
        }
        Ok(parameters)
    }

    fn read_ahead(&mut self, parameters: &Parameters, number: u64) {
        let last = (self.left.end - 1) / parameters.segment_size();
        self.next = self.next.max(number);
        let ahead = if parameters.segment_size() > LARGE {
            0
        } else {
            AHEAD
        };
        while self.next <= last && self.ahead.len() <= ahead {
            let reading = segment::read(self.file.clone(), self.next, self.content);
            self.ahead
                .push_back((self.next, Task(tokio::spawn(reading))));
            self.next += 1;
        }
    }
}
