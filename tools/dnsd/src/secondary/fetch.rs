//! Asking a primary: for its serial by UDP (by TCP where that does not do), for the zone or its
//! changes by TCP. What is not an answer to just this question is not heard.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::stream::{self, Fetched, Size, Stream};
use super::wire::Reader;
use crate::encode::{HEADER, rtype};
use crate::hosted::rrset::{Soa, write_tail};
use crate::name::Name;
use crate::respond::flag;
use crate::state::now;
use crate::tsig::{self, Key, Verifier};

/// How long an answer by UDP may take, and how often it is asked for.
const ANSWER: Duration = Duration::from_secs(3);
const ATTEMPTS: u32 = 3;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// How much is taken of a primary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Octets and records of a zone.
    pub size: Size,
    /// How long a transfer may take.
    pub time: Duration,
    /// How long each of its messages may take.
    pub idle: Duration,
}

/// A primary as it is asked.
#[derive(Clone, Debug)]
pub struct Primary {
    /// Its address.
    pub address: SocketAddr,
    /// The key that both sides sign with.
    pub key: Option<Arc<Key>>,
}

/// Why a primary was of no use.
#[derive(Debug)]
pub enum Trouble {
    /// It cannot be reached.
    Network(io::Error),
    /// It did not answer, or did not go on.
    Silent,
    /// The transfer took too long.
    Slow(Duration),
    /// What it sends is not a transfer.
    Stream(stream::Fault),
    /// Its signature is not right.
    Signature(tsig::Fault),
    /// It does not answer for the zone.
    Lame,
    /// It has an older serial than we do: theirs and ours.
    Older(u32, u32),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                write!(f, "the connection was closed before the end")
            }
            Self::Network(e) => write!(f, "{e}"),
            Self::Silent => write!(f, "no answer"),
            Self::Slow(most) => write!(f, "the transfer took over {} seconds", most.as_secs()),
            Self::Stream(fault) => write!(f, "{fault}"),
            Self::Signature(fault) => write!(f, "{fault}"),
            Self::Lame => write!(f, "it is not a server of the zone"),
            Self::Older(theirs, ours) => write!(f, "its serial {theirs} is older than {ours}"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Self {
        Self::Network(e)
    }
}

/// A question, and what its answer must be like.
struct Query {
    bytes: Vec<u8>,
    id: [u8; 2],
    zone: Name,
    verifier: Option<Verifier>,
}

impl Query {
    /// Asks for a type; with `serial` for the changes since.
    fn new(zone: &Name, server: &Primary, kind: u16, serial: Option<u32>) -> io::Result<Self> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        let authorities = u8::from(serial.is_some());
        let mut bytes = id.to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, authorities, 0, 0]);
        bytes.extend_from_slice(zone.wire());
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        if let Some(serial) = serial {
            bytes.extend_from_slice(&[0xc0, HEADER as u8]);
            // Two roots, then the numbers: only the first is looked at (RFC 1995 section 3).
            let mut data = [0; 22];
            data[2..6].copy_from_slice(&serial.to_be_bytes());
            write_tail(&mut bytes, rtype::SOA, 0, &data);
        }
        let sign = |key| tsig::sign(key, &mut bytes, now());
        let verifier = server.key.as_ref().map(sign);
        Ok(Self {
            bytes,
            id,
            zone: zone.clone(),
            verifier,
        })
    }

    /// The serial that an answer tells; `None` if it is not one to this question.
    fn serial(&mut self, message: &[u8]) -> Option<Result<Serial, Trouble>> {
        let (head, _) = message.split_first_chunk::<HEADER>()?;
        let mut reader = Reader::new(message, HEADER);
        let ours = head[..2] == self.id && head[2] & 0xf8 == flag::QR && head[4..6] == [0, 1];
        let (name, kind, class) = reader.question().filter(|_| ours)?;
        if name.lower() != self.zone || (kind, class) != (rtype::SOA, 1) {
            return None;
        }
        if let Some(verifier) = &mut self.verifier
            && let Err(fault) = verifier.check(message, now())
        {
            // A forger must not keep the right one from being heard.
            return matches!(fault, tsig::Fault::Refused(_) | tsig::Fault::Time(_))
                .then_some(Err(Trouble::Signature(fault)));
        }
        Some(self.told(head, reader))
    }

    fn told(&self, head: &[u8; HEADER], mut reader: Reader<'_>) -> Result<Serial, Trouble> {
        let code = ResponseCode::from(0, head[3] & 15);
        if code != ResponseCode::NoError {
            return Err(Trouble::Stream(stream::Fault::Code(code)));
        }
        if head[2] & flag::TC != 0 {
            return Ok(Serial::Truncated);
        }
        if head[2] & flag::AA == 0 {
            return Err(Trouble::Lame);
        }
        for _ in 0..u16::from_be_bytes([head[6], head[7]]) {
            let broken = Trouble::Stream(stream::Fault::Broken);
            let (record, _) = reader.record().ok_or(broken)?;
            if record.rtype == rtype::SOA
                && record.owner.lower() == self.zone
                && let Some(soa) = Soa::read(&record.data)
            {
                return Ok(Serial::Is(soa.serial));
            }
        }
        Err(Trouble::Lame)
    }

    async fn send(&self, server: &Primary) -> Result<BufReader<TcpStream>, Trouble> {
        let connected = timeout(CONNECT, TcpStream::connect(server.address)).await;
        let mut stream = connected.map_err(|_| Trouble::Silent)??;
        let length = u16::try_from(self.bytes.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &self.bytes].concat();
        stream.write_all(&framed).await?;
        Ok(BufReader::with_capacity(16 << 10, stream))
    }
}

enum Serial {
    Is(u32),
    Truncated,
}

/// The serial that `server` has of `zone` (lower case).
///
/// # Errors
/// Why it has none for us.
pub async fn serial(zone: &Name, server: &Primary, idle: Duration) -> Result<u32, Trouble> {
    for _ in 0..ATTEMPTS {
        match timeout(ANSWER, by_udp(zone, server)).await {
            Ok(Ok(Serial::Is(serial))) => return Ok(serial),
            // Refused by a host that is up, too long, or lost: TCP may do.
            Ok(Ok(Serial::Truncated) | Err(Trouble::Network(_))) => break,
            Ok(Err(trouble)) => return Err(trouble),
            Err(_) => {}
        }
    }
    by_tcp(zone, server, idle).await
}

async fn by_udp(zone: &Name, server: &Primary) -> Result<Serial, Trouble> {
    let any: SocketAddr = match server.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server.address).await?; // the kernel drops what comes from elsewhere
    let mut query = Query::new(zone, server, rtype::SOA, None)?;
    socket.send(&query.bytes).await?;
    let mut answer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut answer).await?;
        if let Some(told) = query.serial(answer.get(..length).unwrap_or_default()) {
            return told;
        }
    }
}

async fn by_tcp(zone: &Name, server: &Primary, idle: Duration) -> Result<u32, Trouble> {
    let mut query = Query::new(zone, server, rtype::SOA, None)?;
    let mut stream = query.send(server).await?;
    let mut answer = Vec::new();
    receive(&mut stream, &mut answer, idle).await?;
    match query.serial(&answer) {
        Some(Ok(Serial::Is(serial))) => Ok(serial),
        Some(Err(trouble)) => Err(trouble),
        _ => Err(Trouble::Stream(stream::Fault::Foreign("question"))),
    }
}

async fn receive(
    stream: &mut BufReader<TcpStream>,
    message: &mut Vec<u8>,
    idle: Duration,
) -> Result<(), Trouble> {
    let read = async {
        let length = stream.read_u16().await?;
        message.resize(usize::from(length), 0);
        stream.read_exact(message).await
    };
    timeout(idle, read).await.map_err(|_| Trouble::Silent)??;
    Ok(())
}

/// Fetches `zone` (lower case) from `server`; with `serial` only the changes since, if the
/// server has them.
///
/// # Errors
/// Why nothing of it can be used.
pub async fn transfer(
    zone: &Name,
    server: &Primary,
    serial: Option<u32>,
    limits: Limits,
) -> Result<Fetched, Trouble> {
    let all = timeout(limits.time, stream(zone, server, serial, limits)).await;
    all.map_err(|_| Trouble::Slow(limits.time))?
}

async fn stream(
    zone: &Name,
    server: &Primary,
    serial: Option<u32>,
    limits: Limits,
) -> Result<Fetched, Trouble> {
    let kind = match serial {
        Some(_) => rtype::IXFR,
        None => rtype::AXFR,
    };
    let query = Query::new(zone, server, kind, serial)?;
    let mut tcp = query.send(server).await?;
    let mut stream = Stream::new(zone, query.id, serial, limits.size);
    let mut verifier = query.verifier;
    let mut message = Vec::new();
    loop {
        receive(&mut tcp, &mut message, limits.idle).await?;
        if let Some(verifier) = &mut verifier {
            verifier
                .check(&message, now())
                .map_err(Trouble::Signature)?;
        }
        if let Some(fetched) = stream.take(&message).map_err(Trouble::Stream)? {
            if verifier.is_some_and(|verifier| !verifier.is_complete()) {
                return Err(Trouble::Signature(tsig::Fault::Unsigned));
            }
            if stream.outside() > 0 {
                let (count, address) = (stream.outside(), server.address);
                log::warn!("{address} sent {count} records outside of {zone}; they are left out");
            }
            return Ok(fetched);
        }
    }
}
