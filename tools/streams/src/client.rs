//! The control connection of a program: requests from any thread, one thread that reads.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::listener::Places;
use crate::packet::{self, MAX_PACKET};
use crate::reader;
use crate::stream::{Control, Fate};
use crate::{
    ClientError, Configuration, Direction, End, Ended, Event, Key, Listener, Request, Stream, reset,
};

/// How long peerd may take for what it does alone.
const LOCAL: Duration = Duration::from_secs(15);
/// What is added to a deadline that peerd keeps by itself.
const SLACK: Duration = Duration::from_secs(2);
/// The longest queue of streams that wait for [`Listener::accept`].
const MAX_BACKLOG: u32 = 1024;

/// A connection to peerd: cheap to clone, usable from any thread. It ends when the last clone,
/// stream and listener of it is dropped.
#[derive(Clone, Debug)]
pub struct Client(Arc<Handle>);

/// Who answers at an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Whois {
    /// Its key, proved by a signature over a fresh number.
    pub key: Key,
    /// Identity of its community, if it has joined one.
    pub community: Option<String>,
    /// Name of its community.
    pub name: String,
}

/// Keeps the connection open for as long as something of it is in use.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) socket: OwnedFd,
    own: Key,
    next: AtomicU64,
    closed: AtomicBool,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) waiting: HashMap<u64, SyncSender<Answer>>,
    pub(crate) streams: HashMap<u64, Arc<Fate>>,
    pub(crate) listeners: HashMap<String, (SyncSender<Stream>, Arc<Places>)>,
}

/// An event that answers a request, its descriptor, and the fate of a stream it begins.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) event: Event,
    pub(crate) descriptor: Option<OwnedFd>,
    pub(crate) fate: Arc<Fate>,
}

impl Client {
    /// Connects to the socket at `path` and greets.
    ///
    /// # Errors
    /// [`ClientError::Io`] if the socket is not there or not ours to use.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::from_socket(packet::connect(path)?)
    }

    /// Greets on a connected socket.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn from_socket(socket: OwnedFd) -> Result<Self, ClientError> {
        packet::send(&socket, &Request::Hello.encode(), None)?;
        let mut buffer = vec![0; MAX_PACKET];
        rustix::net::sockopt::set_socket_timeout(
            &socket,
            rustix::net::sockopt::Timeout::Recv,
            Some(LOCAL),
        )
        .map_err(io::Error::from)?;
        let (length, _) = packet::receive(&socket, &mut buffer)?;
        rustix::net::sockopt::set_socket_timeout(
            &socket,
            rustix::net::sockopt::Timeout::Recv,
            None,
        )
        .map_err(io::Error::from)?;
        let own = match reader::decode(&buffer[..length])? {
            Event::Hello { key } => key,
            Event::Refused { reason, text, .. } => return Err(ClientError::Refused(reason, text)),
            other => return Err(ClientError::Protocol(format!("{other:?} as greeting"))),
        };
        let shared = Arc::new(Shared {
            socket,
            own,
            next: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            tables: Mutex::default(),
        });
        let handle = Arc::new(Handle { shared });
        let (shared, weak) = (handle.shared.clone(), Arc::downgrade(&handle));
        thread::Builder::new()
            .name("peerd".to_owned())
            .spawn(move || {
                let ended = reader::run(&shared, &weak, buffer);
                log::debug!("connection to peerd ended: {ended}");
                shared.close();
            })?;
        Ok(Self(handle))
    }

    /// The key of this box.
    pub fn own_key(&self) -> Key {
        self.0.shared.own
    }

    /// Whether the control connection has ended: connect anew.
    pub fn closed(&self) -> bool {
        self.0.shared.closed.load(Ordering::Acquire)
    }

    /// Opens a stream. `addresses` help to find a peer that is not in peerd's list of members.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the reason; [`ClientError::Closed`].
    pub fn open(
        &self,
        peer: Key,
        protocol: &str,
        addresses: &[SocketAddr],
        deadline: Duration,
    ) -> Result<Stream, ClientError> {
        let id = self.0.number();
        let request = Request::Open {
            id,
            peer,
            protocol: protocol.to_owned(),
            deadline_ms: milliseconds(deadline),
            addresses: addresses.iter().map(ToString::to_string).collect(),
        };
        let answer = self.ask(id, &request, None, deadline + SLACK)?;
        let Event::Opened {
            stream,
            path,
            rtt_us,
            member,
            address,
            ..
        } = answer.event
        else {
            return Err(unexpected(answer.event));
        };
        let control = Control {
            id: stream,
            fate: answer.fate,
            client: self.0.clone(),
        };
        let descriptor = answer
            .descriptor
            .ok_or_else(|| ClientError::Protocol("a stream without a descriptor".to_owned()))?;
        Ok(Stream {
            socket: UnixStream::from(descriptor),
            peer,
            id: stream,
            protocol: protocol.to_owned(),
            member,
            path,
            rtt: Duration::from_micros(rtt_us.into()),
            address: address.and_then(|a| a.parse().ok()),
            control,
        })
    }

    /// Serves `protocol`; up to `backlog` streams (at most 1,024) wait for
    /// [`Listener::accept`], of one peer as many as leave as many places free; further ones are
    /// reset as busy.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: taken by another program, or not allowed.
    pub fn listen(&self, protocol: &str, backlog: u32) -> Result<Listener, ClientError> {
        let id = self.0.number();
        let backlog = backlog.clamp(1, MAX_BACKLOG);
        let (sender, queue) = mpsc::sync_channel(backlog as usize);
        let places = Arc::new(Places::new(backlog as usize));
        {
            let mut tables = self.0.shared.tables();
            if tables.listeners.contains_key(protocol) {
                let text = format!("this program serves '{protocol}' already");
                return Err(ClientError::Refused(crate::Reason::Taken, text));
            }
            // Entered first: the first stream may come right behind the answer.
            let entry = (sender, places.clone());
            tables.listeners.insert(protocol.to_owned(), entry);
        }
        let request = Request::Listen {
            id,
            protocol: protocol.to_owned(),
            backlog,
        };
        match self.ask(id, &request, None, LOCAL).map(|a| a.event) {
            Ok(Event::Listening { .. }) => Ok(Listener {
                protocol: protocol.to_owned(),
                queue: Mutex::new(queue),
                places,
                client: self.0.clone(),
            }),
            other => {
                self.0.forget_listener(protocol);
                Err(other.map_or_else(|e| e, unexpected))
            }
        }
    }

    /// Signs `context`, a zero byte, then `bytes` with the key of this box.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if this user may not.
    pub fn sign(&self, context: &str, bytes: &[u8]) -> Result<[u8; 64], ClientError> {
        let id = self.0.number();
        let request = Request::Sign {
            id,
            context: context.to_owned(),
            bytes: bytes.to_vec(),
        };
        self.signed(id, &request)
    }

    fn signed(&self, id: u64, request: &Request) -> Result<[u8; 64], ClientError> {
        match self.ask(id, request, None, LOCAL)?.event {
            Event::Signed { signature, .. } => Ok(signature),
            other => Err(unexpected(other)),
        }
    }

    /// The key that is to follow the present one; made at the first call.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if this user may not, or it cannot be kept.
    pub fn successor(&self) -> Result<Key, ClientError> {
        let id = self.0.number();
        match self.ask(id, &Request::Successor { id }, None, LOCAL)?.event {
            Event::Successor { key, .. } => Ok(key),
            other => Err(unexpected(other)),
        }
    }

    /// As [`Client::sign`], with the key that is to follow.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if this user may not, or none was made.
    pub fn sign_as_successor(&self, context: &str, bytes: &[u8]) -> Result<[u8; 64], ClientError> {
        let id = self.0.number();
        let request = Request::SignAsSuccessor {
            id,
            context: context.to_owned(),
            bytes: bytes.to_vec(),
        };
        self.signed(id, &request)
    }

    /// Has peerd go over to `key`, which was made to follow: it begins anew with it, and all
    /// connections to it end.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if this user may not, or `key` is another.
    pub fn succeed(&self, key: Key) -> Result<(), ClientError> {
        let id = self.0.number();
        match self
            .ask(id, &Request::Succeed { id, key }, None, LOCAL)?
            .event
        {
            Event::Done { .. } => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Tells peerd who the members are. Cheap to repeat: connections of those who stay live on.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if this user may not, or the endpoint cannot be bound.
    pub fn configure(&self, members: &Configuration) -> Result<(), ClientError> {
        let id = self.0.number();
        let file = members.to_memory_file()?;
        let request = Request::Configure { id };
        match self.ask(id, &request, Some(file.as_fd()), LOCAL)?.event {
            Event::Done { .. } => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Asks who answers at `address` (`HOST:PORT`, TCP).
    ///
    /// # Errors
    /// [`ClientError::Refused`]: unreachable, or the answer is not signed by its key.
    pub fn who(&self, address: &str, deadline: Duration) -> Result<Whois, ClientError> {
        let id = self.0.number();
        let request = Request::Who {
            id,
            address: address.to_owned(),
            deadline_ms: milliseconds(deadline),
        };
        match self.ask(id, &request, None, deadline + SLACK)?.event {
            Event::Whois {
                key,
                community,
                name,
                ..
            } => Ok(Whois {
                key,
                community,
                name,
            }),
            other => Err(unexpected(other)),
        }
    }

    fn ask(
        &self,
        id: u64,
        request: &Request,
        descriptor: Option<BorrowedFd<'_>>,
        wait: Duration,
    ) -> Result<Answer, ClientError> {
        let shared = &self.0.shared;
        let (sender, receiver) = mpsc::sync_channel(1);
        shared.tables().waiting.insert(id, sender);
        // Checked after entering, since closing empties the table once.
        let sent = if self.closed() {
            Err(ClientError::Closed)
        } else {
            self.0.send(request, descriptor)
        };
        if let Err(e) = sent {
            shared.tables().waiting.remove(&id);
            return Err(e);
        }
        match receiver.recv_timeout(wait) {
            Ok(answer) => match answer.event {
                Event::Refused { reason, text, .. } => Err(ClientError::Refused(reason, text)),
                _ => Ok(answer),
            },
            Err(RecvTimeoutError::Disconnected) => Err(ClientError::Closed),
            Err(RecvTimeoutError::Timeout) => {
                let late = shared.tables().waiting.remove(&id).is_none();
                // The reader took the entry just now: its answer is a stream nobody will have.
                if late && let Ok(Answer { event, .. }) = receiver.recv_timeout(SLACK) {
                    self.0.refuse(&event);
                }
                Err(ClientError::TimedOut(wait))
            }
        }
    }
}

impl Handle {
    fn number(&self) -> u64 {
        self.shared.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn send(
        &self,
        request: &Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), ClientError> {
        packet::send(&self.shared.socket, &request.encode(), descriptor).map_err(|e| {
            match e.kind() {
                io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::NotConnected => ClientError::Closed,
                _ => ClientError::Io(e),
            }
        })
    }

    pub(crate) fn forget_stream(&self, id: u64) {
        self.shared.tables().streams.remove(&id);
    }

    pub(crate) fn forget_listener(&self, protocol: &str) -> bool {
        self.shared.tables().listeners.remove(protocol).is_some()
    }

    /// Resets a stream that nobody takes.
    pub(crate) fn refuse(&self, event: &Event) {
        if let Event::Opened { stream, .. } | Event::Incoming { stream, .. } = event {
            self.forget_stream(*stream);
            let (stream, code) = (*stream, reset::BUSY);
            // If the control connection is gone, so is the stream.
            let _ = self.send(&Request::Reset { stream, code }, None);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Ends the reading thread.
        let _ = rustix::net::shutdown(&self.shared.socket, rustix::net::Shutdown::Both);
    }
}

impl Shared {
    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let tables = std::mem::take(&mut *self.tables());
        for fate in tables.streams.into_values() {
            fate.set(Ended {
                end: End::Local,
                direction: Direction::Both,
                code: 0,
                text: "the connection to guifi-peerd ended".to_owned(),
            });
        }
    }
}

fn unexpected(event: Event) -> ClientError {
    ClientError::Protocol(format!("{event:?} as answer"))
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
