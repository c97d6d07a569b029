//! Word of a change to the servers that follow a zone (RFC 1996).

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name as WireName, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::board::Board;
use crate::hosted::spec::Server;
use crate::name::Name;
use crate::state::now as time;
use crate::tsig;

/// Between two words about one zone to one server.
const PACE: Duration = Duration::from_secs(5);
/// How long an answer may take; doubled with each attempt.
const ANSWER: Duration = Duration::from_secs(2);
/// Attempts at one server: about two minutes.
const ATTEMPTS: u32 = 6;

/// A zone has changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// The zone.
    pub zone: Name,
    /// Who is told.
    pub servers: Vec<Server>,
}

/// Tells of changes, for ever. What changes often is told rarely: the server asks for the
/// serial itself, and gets all changes up to then.
pub async fn tell(mut changes: mpsc::UnboundedReceiver<Change>, board: Arc<Board>) {
    let mut told: HashMap<(Name, Server), Instant> = HashMap::new();
    while let Some(change) = changes.recv().await {
        let now = Instant::now();
        told.retain(|_, at| *at + PACE > now);
        for server in change.servers {
            let key = (change.zone.clone(), server.clone());
            let due = match told.get(&key) {
                Some(at) if *at > now => continue, // one is to come: it tells this as well
                Some(at) => *at + PACE,
                None => now,
            };
            told.insert(key, due);
            let (zone, board) = (change.zone.clone(), board.clone());
            tokio::spawn(async move {
                sleep_until(due).await;
                if let Err(e) = tell_one(&zone, &server, &board).await {
                    let server = server.address;
                    log::warn!(
                        "cannot tell {server} that {zone} has changed: {e}; it asks by itself later"
                    );
                }
            });
        }
    }
}

async fn tell_one(zone: &Name, server: &Server, board: &Board) -> io::Result<()> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let mut message = Message::new(u16::from_be_bytes(id), MessageType::Query, OpCode::Notify);
    message.metadata.authoritative = true;
    let name = WireName::from_labels(zone.labels()).map_err(io::Error::other)?;
    message.add_query(Query::query(name, RecordType::SOA));
    let plain = message.to_vec().map_err(io::Error::other)?;
    let key = match &server.key {
        Some(name) => {
            let none = || io::Error::other(format!("there is no key {name}"));
            Some(board.get().keys.key(name).ok_or_else(none)?)
        }
        None => None,
    };
    let mut patience = ANSWER;
    for _ in 0..ATTEMPTS {
        let (mut bytes, mut verifier) = (plain.clone(), None);
        if let Some(key) = &key {
            verifier = Some(tsig::sign(key, &mut bytes, time()));
        }
        let any: SocketAddr = match server.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server.address).await?;
        let asked = async {
            socket.send(&bytes).await?;
            let mut answer = [0; 512];
            loop {
                let length = socket.recv(&mut answer).await?;
                let answer = &answer[..length];
                if length < 12 || answer[..2] != id || answer[2] & 0x80 == 0 {
                    continue;
                }
                // Without a signature it may come from anyone.
                match verifier.clone().map(|mut one| one.check(answer, time())) {
                    None | Some(Ok(())) => return io::Result::Ok(()),
                    Some(Err(fault)) => {
                        log::debug!("{} has answered a notice: {fault}", server.address);
                    }
                }
            }
        };
        match timeout(patience, asked).await {
            Ok(Ok(())) => return Ok(()),
            // Nobody there yet: it may be starting.
            Ok(Err(_)) => sleep(patience).await,
            Err(_) => {}
        }
        patience *= 2;
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"))
}
