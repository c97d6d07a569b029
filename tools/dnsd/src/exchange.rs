//! One question to one server: UDP from a fresh random port, TCP where that does not do.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::dot::Dot;
use crate::encode::HEADER;
use crate::query::{Kind, Question};
use crate::upstream::Server;
use crate::zone::UDP_LIMIT;

/// How long until a question is sent again, the first time; doubled for each further one.
const RESEND: Duration = Duration::from_millis(700);
/// Length of questions over TLS: a multiple of this.
const PADDED: usize = 128;
/// Answers to other questions until somebody seems to be guessing.
const GUESSES: usize = 8;

/// Asks `server` what the plain query asks.
///
/// # Errors
/// Those of the network; an answer that is none.
pub async fn ask(server: &Server, plain: &[u8], dot: &Dot) -> io::Result<Message> {
    let mut query = Disguised::new(plain)?;
    if server.tls.is_some() {
        query.pad();
        let mut answer = dot.ask(server, &query.bytes).await?;
        query.bytes[..2].copy_from_slice(answer.first_chunk::<2>().unwrap_or(&[0; 2]));
        return query.read(&mut answer);
    }
    match by_udp(server.address, &query).await? {
        Some(answer) if !answer.metadata.truncation => Ok(answer),
        _ => by_tcp(server.address, &query).await,
    }
}

/// A query with what a forger would have to guess: identifier and letter case.
struct Disguised {
    bytes: Vec<u8>,
    end: usize,
}

impl Disguised {
    fn new(plain: &[u8]) -> io::Result<Self> {
        let mut question = Question::default();
        if question.read(plain) != Kind::Plain {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let end = question.end();
        let mut random = [0u8; 2 + 32];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut bytes = plain[..end].to_vec();
        bytes[..2].copy_from_slice(&random[..2]);
        bytes[2] |= 1; // recursion desired
        bytes[3] |= 0x20; // we want to know whether it was validated
        for (i, octet) in bytes[HEADER..end - 5].iter_mut().enumerate() {
            // Label lengths are at most 63, below the letters.
            if octet.is_ascii_alphabetic() && random[2 + i / 8 % 32] >> (i % 8) & 1 != 0 {
                *octet ^= 0x20;
            }
        }
        let [high, low] = (UDP_LIMIT as u16).to_be_bytes();
        let dnssec = question.edns.is_some_and(|edns| edns.dnssec_ok);
        let flags = if dnssec { 0x80 } else { 0 };
        bytes[10..12].copy_from_slice(&[0, 1]);
        bytes.extend_from_slice(&[0, 0, 41, high, low, 0, 0, flags, 0, 0, 0]);
        Ok(Self { bytes, end })
    }

    /// Adds octets up to a multiple of 128, so that the length tells little of the question
    /// (RFC 7830, RFC 8467).
    fn pad(&mut self) {
        let bare = self.bytes.len() + 4;
        let padding = bare.next_multiple_of(PADDED) - bare;
        let [high, low] = (padding as u16).to_be_bytes(); // below 128
        let end = self.bytes.len();
        self.bytes[end - 2..].copy_from_slice(&(padding as u16 + 4).to_be_bytes());
        self.bytes.extend_from_slice(&[0, 12, high, low]);
        self.bytes.resize(end + 4 + padding, 0);
    }

    /// Reads an answer that came on a connection.
    fn read(&self, answer: &mut [u8]) -> io::Result<Message> {
        if self.matches(answer).is_none() {
            let text = "an answer to another question";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.parse(answer)
    }

    /// Reads an answer that matches. Its names point into the question: with the letter case that
    /// we made up they would be told to people.
    fn parse(&self, answer: &mut [u8]) -> io::Result<Message> {
        // Lengths of labels are no letters; type and class, which follow, may look like some.
        if let Some(name) = answer.get_mut(HEADER..self.end - 4) {
            name.make_ascii_lowercase();
        }
        Message::from_vec(answer).map_err(io::Error::other)
    }

    /// Whether `answer` is to this query: `Some(false)` if only the letter case differs.
    fn matches(&self, answer: &[u8]) -> Option<bool> {
        let (header, question) = (answer.get(..HEADER)?, answer.get(HEADER..self.end)?);
        let own = &self.bytes[HEADER..self.end];
        let ours = header[..2] == self.bytes[..2]
            && header[2] & 0x80 != 0
            && header[4..6] == [0, 1]
            && question.eq_ignore_ascii_case(own);
        ours.then(|| question == own)
    }
}

/// `None`: ask by TCP, where nobody else can answer.
async fn by_udp(server: SocketAddr, query: &Disguised) -> io::Result<Option<Message>> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?; // the kernel drops what comes from elsewhere
    socket.send(&query.bytes).await?;
    let mut buffer = vec![0; 4096];
    let mut pause = RESEND;
    let mut guesses = 0;
    while guesses < GUESSES {
        let Ok(received) = timeout(pause, socket.recv(&mut buffer)).await else {
            socket.send(&query.bytes).await?; // it was lost, as happens by radio
            pause *= 2;
            continue;
        };
        let answer = &mut buffer[..received?];
        match query.matches(answer) {
            Some(true) => return Ok(query.parse(answer).ok()),
            Some(false) => return Ok(None),
            None => guesses += 1, // forged, or broken: the right one may still come
        }
    }
    Ok(None)
}

async fn by_tcp(server: SocketAddr, query: &Disguised) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.bytes.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes()[..], &query.bytes].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    query.read(&mut answer)
}
