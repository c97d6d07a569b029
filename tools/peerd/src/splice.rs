//! Moving bytes between a program's socket and a QUIC stream, and telling ends apart.
//!
//! A socket pair cannot carry an abort: a killed program and a finished one look alike to the
//! peer. So a full close is held back for a moment until it is known whether its program died,
//! and every end but the program's own is told on the control socket before the stream's socket
//! is shut down.

use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use guifi_streams::{Direction, End, Ended, reset};
use iroh::endpoint::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use rustix::net::Shutdown;
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::client::{Client, Command, hung_up};
use crate::limits::{PEER_STALLED, Share};
use crate::node::{Node, count};
use crate::pool;

/// How long a full close is held back: a killed program's sockets are not closed all at once.
const HANG_UP: Duration = Duration::from_millis(10);
/// How often a half-closed socket is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// A local reader that takes nothing for this long counts as slow,
const SLOW: Duration = Duration::from_secs(1);
/// for this much longer has its stream reset,
const STALLED: Duration = Duration::from_secs(59);
/// and already after this if many streams of the peer are so.
const STUCK: Duration = Duration::from_secs(9);
/// How many packets are taken at once; each alone would cost a system call.
const CHUNKS: usize = 32;

/// One stream between a program and a peer.
#[derive(Debug)]
pub(crate) struct Splice {
    node: Arc<Node>,
    client: Arc<Client>,
    share: Arc<Share>,
    number: u64,
    local: UnixStream,
    command: watch::Receiver<Command>,
    /// Rung for the sending half: the stream is over.
    over: Notify,
    /// Rung for the receiving half: the program reads no more.
    closed: Notify,
    /// Rung for the sending half: the receiving half has ended,
    done: Notify,
    /// and reports nothing any more.
    received: AtomicBool,
}

/// A socket pair: ours for the runtime, the other for the program.
pub(crate) fn pair() -> io::Result<(UnixStream, StdStream)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}

impl Splice {
    /// Enters the stream `number` of `client`.
    pub(crate) fn new(
        node: &Arc<Node>,
        client: Arc<Client>,
        share: Arc<Share>,
        number: u64,
        local: UnixStream,
    ) -> Self {
        let command = client.enter(number);
        Self {
            node: node.clone(),
            client,
            share,
            number,
            local,
            command,
            over: Notify::new(),
            closed: Notify::new(),
            done: Notify::new(),
            received: AtomicBool::new(false),
        }
    }

    /// Moves bytes until both directions have ended.
    pub(crate) async fn run(self, mut send: SendStream, mut recv: RecvStream) {
        tokio::join!(self.up(&mut send), async {
            self.down(&mut recv).await;
            self.received.store(true, Ordering::Relaxed);
            self.done.notify_one();
        });
    }

    fn ended(&self, end: End, direction: Direction, code: u64, text: impl Into<String>) {
        let ended = Ended {
            end,
            direction,
            code: u32::try_from(code).unwrap_or(u32::MAX),
            text: text.into(),
        };
        self.client.say_ended(self.number, ended);
    }

    fn shut(&self, how: Shutdown) {
        // The program may have closed it already.
        let _ = rustix::net::shutdown(&self.local, how);
    }

    /// Resolves when the program aborts the stream or is gone; to the code for the peer.
    async fn aborted(&self) -> VarInt {
        let mut command = self.command.clone();
        loop {
            match *command.borrow_and_update() {
                Command::Run => {}
                Command::Reset(code) => return VarInt::from_u32(code),
                Command::Gone => return VarInt::from_u32(reset::ABORTED),
            }
            if command.changed().await.is_err() {
                return VarInt::from_u32(reset::ABORTED);
            }
        }
    }

    /// From the program to the peer.
    async fn up(&self, send: &mut SendStream) {
        let mut stopped = std::pin::pin!(send.stopped());
        let mut aborted = std::pin::pin!(self.aborted());
        let abort = VarInt::from_u32(reset::ABORTED);
        // Resetting and finishing fail only on a stream that is over already.
        loop {
            tokio::select! {
                biased;
                code = &mut aborted => {
                    let _ = send.reset(code);
                    return;
                }
                () = self.over.notified() => {
                    let _ = send.reset(abort);
                    return;
                }
                stop = &mut stopped => {
                    match stop {
                        Ok(Some(code)) => self.stopped(code),
                        Ok(None) => {}
                        Err(e) => self.lost(&e.to_string()),
                    }
                    return;
                }
                ready = self.local.readable() => if ready.is_err() {
                    let _ = send.reset(abort);
                    return;
                },
            }
            let mut buffer = pool::take();
            let length = match self.local.try_read(&mut buffer) {
                Ok(0) => {
                    drop(buffer);
                    return self.end_of_file(send).await;
                }
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => {
                    // Closed with bytes unread: the program did not want to go on.
                    let _ = send.reset(abort);
                    self.closed.notify_one();
                    return;
                }
            };
            let written = tokio::select! {
                biased;
                code = &mut aborted => {
                    let _ = send.reset(code);
                    return;
                }
                () = self.over.notified() => {
                    let _ = send.reset(abort);
                    return;
                }
                written = send.write_all(&buffer[..length]) => written,
            };
            match written {
                Ok(()) => count(&self.node.counters.sent_bytes, length as u64),
                Err(WriteError::Stopped(code)) => return self.stopped(code),
                Err(e) => return self.lost(&e.to_string()),
            }
        }
    }

    /// The connection is gone; the receiving half says so, if it still runs.
    fn lost(&self, text: &str) {
        if self.received.load(Ordering::Relaxed) {
            self.ended(End::Lost, Direction::Send, 0, text);
            self.shut(Shutdown::Both);
        }
    }

    fn stopped(&self, code: VarInt) {
        self.ended(End::Stopped, Direction::Send, code.into_inner(), "");
        self.shut(Shutdown::Read);
    }

    async fn end_of_file(&self, send: &mut SendStream) {
        if !hung_up(&self.local) {
            // A half-close; the stream's other direction goes on. Fails only if it is over.
            let _ = send.finish();
            return self.half_closed().await;
        }
        sleep(HANG_UP).await;
        let died = self.client.gone() || *self.command.borrow() == Command::Gone;
        let _ = match *self.command.borrow() {
            Command::Reset(code) => send.reset(VarInt::from_u32(code)),
            _ if died => send.reset(VarInt::from_u32(reset::ABORTED)),
            _ => send.finish(),
        };
        self.closed.notify_one();
    }

    /// After a half-close the runtime cannot wait for the other half to be closed too: it is
    /// looked at now and then.
    async fn half_closed(&self) {
        loop {
            tokio::select! {
                () = self.done.notified() => return,
                () = sleep(LOOK) => if hung_up(&self.local) {
                    self.closed.notify_one();
                    return;
                },
            }
        }
    }

    /// From the peer to the program.
    async fn down(&self, recv: &mut RecvStream) {
        let mut chunks: [Bytes; CHUNKS] = std::array::from_fn(|_| Bytes::new());
        let mut aborted = std::pin::pin!(self.aborted());
        loop {
            let read = tokio::select! {
                biased;
                code = &mut aborted => {
                    let _ = recv.stop(code);
                    return;
                }
                () = self.closed.notified() => {
                    let _ = recv.stop(VarInt::from_u32(reset::CLOSED));
                    return;
                }
                read = recv.read_many_chunks(&mut chunks) => read,
            };
            match read {
                Ok(Some(filled)) => {
                    let moved: usize = chunks[..filled].iter().map(Bytes::len).sum();
                    if let Err(code) = self.deliver(&mut chunks[..filled]).await {
                        let _ = recv.stop(VarInt::from_u32(code));
                        return;
                    }
                    count(&self.node.counters.received_bytes, moved as u64);
                }
                Ok(None) => {
                    self.ended(End::Clean, Direction::Receive, 0, "");
                    self.shut(Shutdown::Write);
                    return;
                }
                Err(ReadError::Reset(code)) => {
                    self.ended(End::Reset, Direction::Receive, code.into_inner(), "");
                    return self.finish_off();
                }
                Err(e) => {
                    let text = match &e {
                        ReadError::ConnectionLost(cause) => cause.to_string(),
                        other => other.to_string(),
                    };
                    self.ended(End::Lost, Direction::Both, 0, text);
                    return self.finish_off();
                }
            }
        }
    }

    fn finish_off(&self) {
        self.over.notify_one();
        self.shut(Shutdown::Both);
    }

    /// Writes to the program all that came; on failure the code for the peer.
    async fn deliver(&self, chunks: &mut [Bytes]) -> Result<(), u32> {
        let mut first = 0;
        while first < chunks.len() {
            let slices: [IoSlice<'_>; CHUNKS] = std::array::from_fn(|i| {
                IoSlice::new(chunks.get(first + i).map_or(&[], |chunk| chunk.as_ref()))
            });
            let count = (chunks.len() - first).min(CHUNKS);
            match self.local.try_write_vectored(&slices[..count]) {
                Ok(mut written) => {
                    while first < chunks.len() && written >= chunks[first].len() {
                        written -= chunks[first].len();
                        chunks[first] = Bytes::new();
                        first += 1;
                    }
                    if let Some(chunk) = chunks.get_mut(first) {
                        chunk.advance(written);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(_) => return Err(reset::CLOSED),
            }
        }
        Ok(())
    }

    /// Waits until the program reads; not for ever.
    async fn writable(&self) -> Result<(), u32> {
        let wait = async {
            tokio::select! {
                biased;
                code = self.aborted() => Err(u32::try_from(code.into_inner()).unwrap_or(reset::ABORTED)),
                () = self.closed.notified() => Err(reset::CLOSED),
                ready = self.local.writable() => ready.map_err(|_| reset::CLOSED),
            }
        };
        let mut wait = std::pin::pin!(wait);
        if let Ok(ready) = timeout(SLOW, &mut wait).await {
            return ready;
        }
        let stalled = self.node.stall(&self.share);
        let stuck = stalled.of_peer() > PEER_STALLED;
        let ready = timeout(if stuck { STUCK } else { STALLED }, &mut wait).await;
        drop(stalled);
        ready.unwrap_or_else(|_| {
            count(&self.node.counters.stalled, 1);
            let text = if stuck {
                "nothing was read, and many streams of the peer are not read"
            } else {
                "nothing was read for a minute"
            };
            self.ended(End::Local, Direction::Both, reset::STALLED.into(), text);
            self.finish_off();
            Err(reset::STALLED)
        })
    }
}

impl Drop for Splice {
    fn drop(&mut self) {
        self.client.forget(self.number);
    }
}
