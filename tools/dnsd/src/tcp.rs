//! Questions over TCP (RFC 7766): messages with their length in front, several on one
//! connection, within limits that keep one client from holding them all.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::board::Board;
use crate::forward::Forwarder;
use crate::hosted::holder::Order;
use crate::hosted::spec::Access;
use crate::query::Question;
use crate::resolve;
use crate::respond::{Outcome, Transport, respond};
use crate::secondary::notice;
use crate::signed::{self, said};
use crate::state::now;
use crate::stats::{Counters, Totals};
use crate::transfer::{self, Given};
use crate::update::{Door, Reply, is_update};

/// Transfers at once, and how long one may take with all its waiting.
const TRANSFERS: usize = 4;
const TRANSFER: Duration = Duration::from_secs(600);
/// How long a client may take to read an answer.
const WRITE: Duration = Duration::from_secs(10);

/// Limits of TCP.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub per_client: usize,
    /// Time that a connection may be silent.
    pub idle: Duration,
    /// Who may have all of the community's domain.
    pub transfer: Access,
}

/// What connections share.
pub struct Tcp {
    board: Arc<Board>,
    forwarder: Arc<Forwarder>,
    /// Counters of all connections.
    pub counters: Counters,
    orders: Sender<Order>,
    door: Door,
    given: Given,
    transfers: Semaphore,
    limits: Mutex<Limits>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Tcp {
    /// Nothing is open yet.
    pub fn new(
        board: &Arc<Board>,
        forwarder: &Arc<Forwarder>,
        (orders, door): (Sender<Order>, Door),
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            board: board.clone(),
            forwarder: forwarder.clone(),
            counters: Counters::default(),
            orders,
            door,
            given: Given::default(),
            transfers: Semaphore::new(TRANSFERS),
            limits: Mutex::new(limits),
            open: Mutex::default(),
        })
    }

    /// Takes new limits, for new connections.
    pub fn reconfigure(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Accepts connections for ever.
    pub async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, client)) => {
                    let limits = self
                        .limits
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone();
                    let client_ip = client.ip().to_canonical();
                    if let Some(place) = Place::take(&self, client_ip, &limits) {
                        tokio::spawn(async move {
                            // Errors of one connection end it and concern nobody else.
                            let _ = place.tcp.serve(stream, client, &limits).await;
                            drop(place);
                        });
                    }
                }
                Err(e) => {
                    // Out of descriptors, mostly: let some connections end first.
                    log::debug!("cannot accept: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(
        &self,
        stream: TcpStream,
        client: SocketAddr,
        limits: &Limits,
    ) -> io::Result<()> {
        let idle = limits.idle;
        let mut stream = BufReader::with_capacity(1024, stream);
        let (mut question, mut out) = (Question::default(), Vec::new());
        loop {
            let length = timeout(idle, stream.read_u16()).await??;
            let mut message = vec![0; usize::from(length)];
            timeout(idle, stream.read_exact(&mut message)).await??;
            if let Some(request) = transfer::request(&message) {
                self.transfer(&mut stream, client, limits, (&message, request))
                    .await?;
                continue;
            }
            if is_update(&message) {
                let answer = self.update(&message, client).await;
                write(&mut stream, &answer).await?;
                continue;
            }
            let mut totals = Totals::default();
            let outcome = {
                let snapshot = self.board.get();
                let who = snapshot.policy.client(client.ip());
                let way = Transport::Tcp;
                match respond(&snapshot, &mut question, &message, way, who, &mut out) {
                    Outcome::Notify => notice::receive(&snapshot, &message, client.ip(), &mut out),
                    outcome => outcome,
                }
            };
            totals.count(outcome);
            self.counters.add(&totals);
            if outcome == Outcome::Drop {
                return Ok(()); // not a client of ours
            }
            if outcome == Outcome::Forward {
                let way = Transport::Tcp;
                out = resolve::answer(self.board.get(), &self.forwarder, &message, way).await;
            }
            write(&mut stream, &out).await?;
        }
    }

    /// Has an update made.
    async fn update(&self, message: &[u8], client: SocketAddr) -> Vec<u8> {
        let (reply, answer) = oneshot::channel();
        let snapshot = self.board.get();
        let who = snapshot.policy.client(client.ip());
        let entered = self
            .door
            .enter(&snapshot, message, who, || Reply::Tcp(reply));
        drop(snapshot);
        let mut totals = Totals::default();
        totals.count(match entered {
            Ok(()) => Outcome::Update,
            Err(_) => Outcome::Refused,
        });
        self.counters.add(&totals);
        match entered {
            Ok(()) => answer
                .await
                .unwrap_or_else(|_| said(message, ResponseCode::ServFail)), // the end is near
            Err(refusal) => refusal,
        }
    }

    /// Answers with a whole zone. Few at a time: each takes memory for all of it, until the
    /// client has read it.
    async fn transfer(
        &self,
        stream: &mut BufReader<TcpStream>,
        client: SocketAddr,
        limits: &Limits,
        (message, request): (&[u8], transfer::Request),
    ) -> io::Result<()> {
        let snapshot = self.board.get();
        let mut signer = match signed::check(&snapshot.keys, message) {
            Ok(signed) => signed.map(|(signer, _)| signer),
            Err(refusal) => return write(stream, &refusal).await,
        };
        let key = signer.as_ref().map(|signer| signer.key().clone());
        let mut sign = |message: &mut Vec<u8>| {
            if let Some(signer) = &mut signer {
                signer.sign(message, now());
            }
        };
        let who = (client.ip(), snapshot.policy.client(client.ip()));
        let key = key.as_ref().map(|key| key.name());
        let source = match transfer::source(&snapshot, &limits.transfer, &request, who, key) {
            Ok(source) => source,
            Err(mut refusal) => {
                sign(&mut refusal);
                return write(stream, &refusal).await;
            }
        };
        drop(snapshot);
        let whole = async {
            let _place = self.transfers.acquire().await.map_err(io::Error::other)?;
            let from = (&self.orders, &self.given);
            for mut message in transfer::answer(source, from, request).await? {
                sign(&mut message);
                write(stream, &message).await?;
            }
            Ok(())
        };
        timeout(TRANSFER, whole).await?
    }
}

async fn write(stream: &mut BufReader<TcpStream>, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes()[..], message].concat();
    timeout(WRITE, stream.write_all(&framed)).await?
}

/// A place among the open connections, given back at the end.
struct Place {
    tcp: Arc<Tcp>,
    client: IpAddr,
}

impl Place {
    fn take(tcp: &Arc<Tcp>, client: IpAddr, limits: &Limits) -> Option<Self> {
        let mut open = tcp.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let theirs = open.entry(client).or_default();
        if all >= limits.connections || *theirs >= limits.per_client {
            if *theirs == 0 {
                open.remove(&client);
            }
            return None;
        }
        *theirs += 1;
        Some(Self {
            tcp: tcp.clone(),
            client,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.tcp.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(theirs) = open.get_mut(&self.client) {
            *theirs -= 1;
            if *theirs == 0 {
                open.remove(&self.client);
            }
        }
    }
}
