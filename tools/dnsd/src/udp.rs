//! The UDP workers: threads that each hold a socket of every address, sharing the port, and
//! answer in batches.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use guifi_core::Error;
use hickory_proto::op::OpCode;
use nix::sys::socket::{SockaddrIn, SockaddrIn6};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use tokio::sync::mpsc;

use crate::batch::{BATCH, Batch, Family};
use crate::board::{Board, Reader};
use crate::common::Common;
use crate::cookie::Baked;
use crate::guard::Guard;
use crate::query::{Kind, Question, asks_for};
use crate::respond::{Outcome, Transport, error_answer, respond};
use crate::secondary::notice;
use crate::stats::{Counters, Totals};
use crate::update::Reply;

/// Octets of a worker's stack.
const STACK: usize = 256 * 1024;
/// Batches from one socket before the others have their turn.
const TURN: usize = 8;

/// A question to be asked elsewhere.
#[derive(Debug)]
pub struct Job {
    /// The message.
    pub message: Vec<u8>,
    /// The client.
    pub client: SocketAddr,
    /// The socket to answer from.
    pub socket: Arc<UdpSocket>,
    /// The cookie for the answer.
    pub cookie: Option<Baked>,
}

enum Command {
    Attach(Arc<UdpSocket>, SocketAddr),
    Detach(SocketAddr),
    Stop,
}

/// A running worker.
pub struct Worker {
    inbox: Arc<Inbox>,
    /// Its counters.
    pub counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

/// The way to speak to a worker.
struct Inbox {
    commands: Mutex<Vec<Command>>,
    bell: OwnedFd,
}

impl Inbox {
    fn ring(&self) {
        // Fails only if the counter overflows: then it has rung.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    fn put(&self, command: Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.push(command);
        drop(commands);
        self.ring();
    }
}

impl Worker {
    /// Starts a worker that answers from `board`, shares `common` with all others, and hands over
    /// to `forward`.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the system has no thread or descriptor left.
    pub fn start(
        board: &Arc<Board>,
        common: &Common,
        forward: mpsc::Sender<Job>,
    ) -> Result<Self, Error> {
        let failed = |e: std::io::Error| Error::failed(format!("cannot start a worker: {e}"));
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let inbox = Arc::new(Inbox {
            commands: Mutex::default(),
            bell: bell.map_err(|e| failed(e.into()))?,
        });
        let waker = inbox.clone();
        board.on_change(Box::new(move || waker.ring()));
        let counters = Arc::new(Counters::default());
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
        let bell_data = epoll::EventData::new_u64(0);
        epoll::add(&epoll, &inbox.bell, bell_data, epoll::EventFlags::IN)
            .map_err(|e| failed(e.into()))?;
        let mut running = Running {
            epoll,
            inbox: inbox.clone(),
            sockets: HashMap::new(),
            next: 1,
            reader: Reader::new(board.clone()),
            guard: Guard::new(common.jar.clone()),
            common: common.clone(),
            question: Question::default(),
            counters: counters.clone(),
            forward,
        };
        let thread = std::thread::Builder::new()
            .name("udp".into())
            .stack_size(STACK)
            .spawn(move || running.run())
            .map_err(failed)?;
        Ok(Self {
            inbox,
            counters,
            thread: Some(thread),
        })
    }

    /// Lets it answer on `socket`, which is bound to `address`.
    pub fn attach(&self, socket: Arc<UdpSocket>, address: SocketAddr) {
        self.inbox.put(Command::Attach(socket, address));
    }

    /// Takes an address away.
    pub fn detach(&self, address: SocketAddr) {
        self.inbox.put(Command::Detach(address));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inbox.put(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it panicked: that was reported
        }
    }
}

struct Running {
    epoll: OwnedFd,
    inbox: Arc<Inbox>,
    sockets: HashMap<u64, (Arc<UdpSocket>, SocketAddr)>,
    next: u64,
    reader: Reader,
    guard: Guard,
    common: Common,
    question: Question,
    counters: Arc<Counters>,
    forward: mpsc::Sender<Job>,
}

impl Running {
    fn run(&mut self) {
        let mut four: Option<Batch<SockaddrIn>> = None;
        let mut six: Option<Batch<SockaddrIn6>> = None;
        let mut events = Vec::with_capacity(16);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => {
                    log::error!("a worker cannot wait for questions: {e}; it ends");
                    return;
                }
            }
            for event in events.drain(..) {
                let id = event.data.u64();
                if id == 0 {
                    if !self.command() {
                        return;
                    }
                    self.reader.get(); // lets go of the old snapshot
                } else if let Some((socket, address)) = self.sockets.get(&id).cloned() {
                    if address.is_ipv4() {
                        self.serve(&socket, four.get_or_insert_default());
                    } else {
                        self.serve(&socket, six.get_or_insert_default());
                    }
                }
            }
        }
    }

    /// Carries out commands; `false` to stop.
    fn command(&mut self) -> bool {
        let mut rung = [0; 8];
        let _ = rustix::io::read(&self.inbox.bell, &mut rung); // nothing to read: heard already
        let commands = {
            let mut inbox = self
                .inbox
                .commands
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *inbox)
        };
        for command in commands {
            match command {
                Command::Attach(socket, address) => {
                    let (id, flags) = (self.next, epoll::EventFlags::IN);
                    self.next += 1;
                    match epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(id), flags) {
                        Ok(()) => {
                            self.sockets.insert(id, (socket, address));
                        }
                        Err(e) => log::error!("cannot watch {address}: {e}"),
                    }
                }
                Command::Detach(address) => {
                    let gone = self.sockets.extract_if(|_, (_, a)| *a == address);
                    for (_, (socket, _)) in gone {
                        let _ = epoll::delete(&self.epoll, &socket); // closing would do as well
                    }
                }
                Command::Stop => return false,
            }
        }
        true
    }

    fn serve<F: Family>(&mut self, socket: &Arc<UdpSocket>, batch: &mut Batch<F>) {
        for _ in 0..TURN {
            let count = batch.receive(socket);
            let snapshot = self.reader.get();
            let rules = &snapshot.policy.limit;
            let mut totals = Totals::default();
            self.guard.batch();
            let log = self.common.log.on().then_some(&self.common.log);
            for index in 0..count {
                let (question, guard) = (&mut self.question, &mut self.guard);
                let outcome = batch.answer(index, |message, from, out| {
                    let client = from.address();
                    if client.port() == 0 {
                        return Outcome::Drop;
                    }
                    let ip = client.ip();
                    let who = snapshot.policy.client(ip);
                    let mut outcome = if asks_for(message, OpCode::Update) {
                        question.read(message); // of no type
                        let reply = || Reply::Udp(socket.clone(), client);
                        match self.common.door.enter(snapshot, message, who, reply) {
                            Ok(()) => return Outcome::Update,
                            Err(refusal) => out.clone_from(&refusal),
                        }
                        Outcome::Refused
                    } else if asks_for(message, OpCode::Notify) {
                        question.read(message);
                        notice::receive(snapshot, message, ip, out)
                    } else {
                        respond(snapshot, question, message, Transport::Udp, who, out)
                    };
                    let cookie = guard.cookie(question, ip);
                    totals.cookies += u64::from(cookie.is_some_and(|cookie| cookie.valid));
                    if rules.concern(ip, who.known) {
                        outcome = guard.limit(rules, question, ip, cookie.as_ref(), outcome, out);
                    }
                    if outcome == Outcome::Forward {
                        let job = Job {
                            message: message.to_vec(),
                            client,
                            socket: socket.clone(),
                            cookie,
                        };
                        if self.forward.try_send(job).is_err() {
                            let code = hickory_proto::op::ResponseCode::ServFail;
                            // Those in an unusual form go without: they will ask again.
                            if question.read(message) == Kind::Plain {
                                error_answer(question, message, code, out);
                            }
                        }
                    }
                    if let Some(cookie) = cookie {
                        cookie.attach(out);
                    }
                    if let Some(log) = log {
                        log.tell(client, question, Transport::Udp, outcome);
                    }
                    outcome
                });
                totals.count(outcome.unwrap_or(Outcome::Drop), self.question.rtype);
            }
            batch.send(socket);
            self.counters.add(&totals);
            if count < BATCH {
                break;
            }
        }
    }
}
