//! Questions over TCP (RFC 7766): messages with their length in front, several on one
//! connection, within limits that keep one client from holding them all.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{OpCode, ResponseCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::board::Board;
use crate::common::Common;
use crate::forward::Forwarder;
use crate::guard::seconds;
use crate::hosted::holder::Order;
use crate::hosted::spec::Access;
use crate::query::{Question, asks_for};
use crate::resolve;
use crate::respond::{Outcome, Transport, respond};
use crate::secondary::notice;
use crate::signed::{self, said};
use crate::state::now;
use crate::stats::{Counters, Totals};
use crate::transfer::{self, Given};
use crate::update::Reply;

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
    /// Connections of one address, or of one /64 of IPv6.
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
    common: Common,
    /// Counters of all connections.
    pub counters: Counters,
    orders: Sender<Order>,
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
        common: &Common,
        orders: Sender<Order>,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            board: board.clone(),
            forwarder: forwarder.clone(),
            common: common.clone(),
            counters: Counters::default(),
            orders,
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
                    if let Some(place) = Place::take(&self, household(client.ip()), &limits) {
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
        let mut jar = self.common.jar.clone();
        loop {
            let length = timeout(idle, stream.read_u16()).await??;
            let mut message = vec![0; usize::from(length)];
            timeout(idle, stream.read_exact(&mut message)).await??;
            if let Some(request) = transfer::request(&message) {
                self.transfer(&mut stream, client, limits, (&message, request))
                    .await?;
                continue;
            }
            if asks_for(&message, OpCode::Update) {
                let answer = self.update(&message, client).await;
                write(&mut stream, &answer).await?;
                continue;
            }
            let mut totals = Totals::default();
            let outcome = {
                let snapshot = self.board.get();
                let who = snapshot.policy.client(client.ip());
                let way = Transport::Tcp;
                if asks_for(&message, OpCode::Notify) {
                    question.read(&message); // of no type
                    notice::receive(&snapshot, &message, client.ip(), &mut out)
                } else {
                    respond(&snapshot, &mut question, &message, way, who, &mut out)
                }
            };
            totals.count(outcome, question.rtype);
            let cookie = question.edns.and_then(|edns| edns.cookie);
            let cookie = cookie.map(|cookie| jar.bake(cookie, client.ip(), seconds()));
            totals.cookies += u64::from(cookie.is_some_and(|cookie| cookie.valid));
            self.counters.add(&totals);
            if self.common.log.on() {
                self.common
                    .log
                    .tell(client, &question, Transport::Tcp, outcome);
            }
            if outcome == Outcome::Drop {
                return Ok(()); // not a client of ours
            }
            if outcome == Outcome::Forward {
                let way = Transport::Tcp;
                out = resolve::answer(self.board.get(), &self.forwarder, &message, way).await;
            }
            if let Some(cookie) = cookie {
                cookie.attach(&mut out);
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
            .common
            .door
            .enter(&snapshot, message, who, || Reply::Tcp(reply));
        drop(snapshot);
        let mut totals = Totals::default();
        let outcome = match entered {
            Ok(()) => Outcome::Update,
            Err(_) => Outcome::Refused,
        };
        totals.count(outcome, 0);
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

/// Whom the connections of an address are counted for: one who has IPv6 has a whole /64.
fn household(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        four @ IpAddr::V4(_) => four,
    }
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
