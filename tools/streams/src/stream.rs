//! A stream, and how it ended.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::client::Handle;
use crate::{Direction, Ended, Key, PathKind, Request};

/// A stream to a peer. It is read and written through [`Stream::socket`], or by reference.
/// Dropping it closes it cleanly; a program that gives up in the middle calls [`Stream::reset`].
#[derive(Debug)]
pub struct Stream {
    /// The bytes.
    pub socket: UnixStream,
    /// The peer's proven key.
    pub peer: Key,
    /// peerd's number of the stream.
    pub id: u64,
    /// What is spoken on it.
    pub protocol: String,
    /// Whether the peer was a member when the stream began.
    pub member: bool,
    /// How the peer was reached when the stream began.
    pub path: PathKind,
    /// Round trip when the stream began.
    pub rtt: Duration,
    /// The peer's address as seen from this box, on a direct path.
    pub address: Option<SocketAddr>,
    pub(crate) control: Control,
}

/// The stream's line to the control connection.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) id: u64,
    pub(crate) fate: Arc<Fate>,
    pub(crate) client: Arc<Handle>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.client.forget_stream(self.id);
    }
}

/// What is known of a stream's end.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    /// The worst end so far.
    ended: Option<Ended>,
    /// Whether nothing more will be read.
    received: bool,
}

impl Fate {
    /// Notes an end; the worst one stays.
    pub(crate) fn set(&self, new: Ended) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.received |= new.direction != Direction::Send;
        if known.ended.as_ref().is_none_or(|old| old.end < new.end) {
            known.ended = Some(new);
        }
        self.changed.notify_all();
    }
}

impl Stream {
    /// How the stream ended, waiting at most `wait` to learn how what is read ended; of several
    /// ends the worst counts. peerd says it before it shuts the socket, so after end of file the
    /// answer is there or about to come. `None`: still open. [`End::Stopped`](crate::End) alone
    /// says that the peer takes no more, while reading may go on.
    pub fn ended(&self, wait: Duration) -> Option<Ended> {
        let fate = &self.control.fate;
        let until = Instant::now() + wait;
        let mut known = fate.known.lock().unwrap_or_else(PoisonError::into_inner);
        while !known.received {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            known = fate
                .changed
                .wait_timeout(known, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        known.ended.clone()
    }

    /// Aborts the stream: the peer reads end of file and is told `code`.
    pub fn reset(&self, code: u32) {
        // If the control connection is gone, so is the stream.
        let _ = self.control.client.send(
            &Request::Reset {
                stream: self.id,
                code,
            },
            None,
        );
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }
}

impl Write for &Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&self.socket).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
