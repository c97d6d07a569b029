//! A program on the control socket, as the rest of the daemon sees it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guifi_streams::{Ended, Event, packet};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};

use crate::limits::Share;
use crate::rights::User;

/// How many events may wait for a program that does not read; then it is cut off.
const MAX_QUEUE: usize = 4096;
/// From so many on no new streams come;
const FULL: usize = 1024;
/// of a peer that has so many streams none come as soon as any wait.
const MANY: usize = 64;

/// What a stream is told from outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    /// Nothing.
    Run,
    /// The program aborts it with this code.
    Reset(u32),
    /// The program is gone.
    Gone,
}

/// A program's control connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user: User,
    pub(crate) socket: UnixStream,
    queue: Mutex<VecDeque<(Vec<u8>, Option<OwnedFd>)>>,
    queued: Notify,
    gone: AtomicBool,
    streams: Mutex<HashMap<u64, watch::Sender<Command>>>,
    asked: AtomicUsize,
}

/// A request that is being served.
#[derive(Debug)]
pub(crate) struct Asked(Arc<Client>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client {
    pub(crate) fn new(socket: UnixStream, user: User) -> Self {
        Self {
            user,
            socket,
            queue: Mutex::default(),
            queued: Notify::new(),
            gone: AtomicBool::new(false),
            streams: Mutex::default(),
            asked: AtomicUsize::new(0),
        }
    }

    /// Begins a request that takes time, unless `most` are under way. That of a stream lasts
    /// as long as the stream.
    pub(crate) fn begin(self: &Arc<Self>, most: usize) -> Option<Asked> {
        let asked = Asked(self.clone());
        (self.asked.fetch_add(1, Ordering::Relaxed) < most).then_some(asked)
    }

    /// Sends an event, or queues it behind the others if the program lags.
    pub(crate) fn say(&self, event: &Event, descriptor: Option<OwnedFd>) {
        let packet = event.encode();
        let mut queue = lock(&self.queue);
        if self.gone() {
            return;
        }
        if queue.is_empty() {
            match packet::send(
                &self.socket,
                &packet,
                descriptor.as_ref().map(|d| d.as_fd()),
            ) {
                Ok(()) => return,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.cut(),
            }
        }
        if queue.len() >= MAX_QUEUE {
            log::warn!(
                "a program of user {} does not read its events; cutting it off",
                self.user.uid
            );
            return self.cut();
        }
        queue.push_back((packet, descriptor));
        drop(queue);
        self.queued.notify_one();
    }

    /// Sends the end of a stream.
    pub(crate) fn say_ended(&self, stream: u64, ended: Ended) {
        self.say(&Event::Ended { stream, ended }, None);
    }

    /// Whether too many events wait for a new stream of this peer to come.
    pub(crate) fn lags(&self, share: &Share) -> bool {
        let waiting = lock(&self.queue).len();
        waiting >= FULL || (waiting > 0 && share.streams.load(Ordering::Relaxed) > MANY)
    }

    /// Sends what is queued whenever the program reads; for a task of its own.
    pub(crate) async fn drain(&self) -> io::Result<()> {
        loop {
            self.queued.notified().await;
            let send = || {
                // Each stays in the queue until it is sent, so that none overtakes it.
                let mut queue = lock(&self.queue);
                while let Some((packet, descriptor)) = queue.front() {
                    let descriptor = descriptor.as_ref().map(|d| d.as_fd());
                    packet::send(&self.socket, packet, descriptor)?;
                    queue.pop_front();
                }
                Ok(())
            };
            self.socket.async_io(Interest::WRITABLE, send).await?;
        }
    }

    /// Ends the connection; the task that reads it sees that.
    fn cut(&self) {
        // It may be gone already.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// Whether the program is gone. Also looks at the socket itself, since the reading task may
    /// not have run since.
    pub(crate) fn gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed) || hung_up(&self.socket)
    }

    /// Notes that the program is gone and tells its streams.
    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
        lock(&self.queue).clear();
        for (_, stream) in lock(&self.streams).drain() {
            stream.send_replace(Command::Gone);
        }
    }

    /// Enters a stream; what it is told comes through the receiver.
    pub(crate) fn enter(&self, stream: u64) -> watch::Receiver<Command> {
        let (sender, receiver) = watch::channel(Command::Run);
        if self.gone.load(Ordering::Relaxed) {
            sender.send_replace(Command::Gone);
        }
        lock(&self.streams).insert(stream, sender);
        receiver
    }

    /// Forgets a stream that is over.
    pub(crate) fn forget(&self, stream: u64) {
        lock(&self.streams).remove(&stream);
    }

    /// Aborts one of the program's streams; numbers that are not its own are passed over.
    pub(crate) fn reset(&self, stream: u64, code: u32) {
        if let Some(stream) = lock(&self.streams).get(&stream) {
            stream.send_replace(Command::Reset(code));
        }
    }
}

/// Whether both directions of a socket are closed.
pub(crate) fn hung_up(socket: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut set = [PollFd::new(socket, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut set, Some(&now)).is_ok_and(|_| set[0].revents().contains(PollFlags::HUP))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use guifi_core::Root;
    use guifi_streams::{MAX_PACKET, Reason};
    use std::os::unix::net::UnixStream as StdStream;

    #[tokio::test]
    async fn a_program_that_lags_gets_its_events_in_order() {
        let (ours, theirs) = packet::pair().unwrap();
        let ours = StdStream::from(ours);
        ours.set_nonblocking(true).unwrap();
        let user = User::new(&Root::new("/nonexistent"), 0);
        let client = Arc::new(Client::new(UnixStream::from_std(ours).unwrap(), user));
        let draining = tokio::spawn({
            let client = client.clone();
            async move { client.drain().await }
        });
        let event = |id| Event::Refused {
            id,
            reason: Reason::Busy,
            text: "x".repeat(500),
        };
        for id in 0..2000 {
            client.say(&event(id), None);
        }
        let many = Share::default();
        many.streams.store(MANY + 1, Ordering::Relaxed);
        assert!(client.lags(&many) && client.lags(&Share::default()));
        let reader = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; MAX_PACKET];
            for id in 0..2500 {
                let (length, _) = packet::receive(&theirs, &mut buffer).unwrap();
                assert_eq!(Event::decode(&buffer[..length]).unwrap(), event(id));
            }
        });
        for id in 2000..2500 {
            client.say(&event(id), None);
            tokio::task::yield_now().await;
        }
        reader.await.unwrap();
        assert!(!client.lags(&many));
        draining.abort();
    }
}
