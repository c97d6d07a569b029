//! Bodies of answers: short ones from memory, shares from their files.
//!
//! A part that is in the page cache is read at once (`RWF_NOWAIT`); only what must come from
//! the disk goes through a thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::buffer::{Buffer, Pool, SIZE};
use crate::pace::Pace;
use crate::pulse::{Pulse, Work};

/// The body of an answer.
pub(crate) enum Content {
    /// From memory.
    Short(Option<Bytes>),
    /// From a file.
    Share(Box<Share>),
}

/// Part of a share on its way.
pub(crate) struct Share {
    file: Arc<File>,
    at: u64,
    left: u64,
    pool: Pool,
    pace: Arc<Pace>,
    pulse: Pulse,
    reading: Option<JoinHandle<io::Result<Buffer>>>,
    /// For the limit; that is no fault of the client's.
    waiting: Option<(Pin<Box<Sleep>>, Work)>,
    /// Whether the next piece may go, as far as the limit is concerned.
    paid: bool,
}

impl Content {
    /// No body.
    pub(crate) fn none() -> Self {
        Self::Short(None)
    }

    /// Part of a file.
    pub(crate) fn share(
        file: File,
        [at, left]: [u64; 2],
        pool: &Pool,
        pace: &Arc<Pace>,
        pulse: &Pulse,
    ) -> Self {
        Self::Share(Box::new(Share {
            file: Arc::new(file),
            at,
            left,
            pool: pool.clone(),
            pace: pace.clone(),
            pulse: pulse.clone(),
            reading: None,
            waiting: None,
            paid: false,
        }))
    }
}

impl Share {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        // Before the piece, so that many short parts are no way around the limit.
        if !self.paid {
            self.paid = true;
            let wait = self.pace.take(self.wanted());
            let sleep = || (Box::pin(tokio::time::sleep(wait)), self.pulse.work());
            self.waiting = (!wait.is_zero()).then(sleep);
        }
        if let Some((waiting, _)) = &mut self.waiting {
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        self.pulse.beat();
        let buffer = match &mut self.reading {
            Some(reading) => {
                let read = ready!(Pin::new(reading).poll(context));
                self.reading = None;
                read.map_err(io::Error::other)??
            }
            None => match self.read_cached()? {
                Some(buffer) => buffer,
                None => {
                    self.reading = Some(self.read_from_disk());
                    return self.poll(context);
                }
            },
        };
        self.at += buffer.length as u64;
        self.left -= buffer.length as u64;
        self.paid = false;
        Poll::Ready(Some(Ok(Bytes::from_owner(buffer))))
    }

    fn wanted(&self) -> usize {
        usize::try_from(self.left).unwrap_or(SIZE).min(SIZE)
    }

    /// What is in memory; none if it is not, or the file system does not say.
    fn read_cached(&self) -> io::Result<Option<Buffer>> {
        let mut buffer = self.pool.take();
        let wanted = self.wanted();
        let space = buffer.space().get_mut(..wanted).unwrap_or_default();
        let mut into = [io::IoSliceMut::new(space)];
        match preadv2(&*self.file, &mut into, self.at, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::OPNOTSUPP) => Ok(None),
            Ok(count) => {
                buffer.length = count;
                Ok(Some(buffer))
            }
            Err(e) => Err(e.into()),
        }
    }

    fn read_from_disk(&self) -> JoinHandle<io::Result<Buffer>> {
        let (file, at, wanted) = (self.file.clone(), self.at, self.wanted());
        let mut buffer = self.pool.take();
        tokio::task::spawn_blocking(move || {
            let space = buffer.space().get_mut(..wanted).unwrap_or_default();
            file.read_exact_at(space, at)?;
            buffer.length = wanted;
            Ok(buffer)
        })
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = match self.get_mut() {
            Self::Short(bytes) => bytes.take().map(Ok),
            Self::Share(share) => ready!(share.poll(context)),
        };
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Short(bytes) => bytes.is_none(),
            Self::Share(share) => share.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Short(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Share(share) => share.left,
        })
    }
}
