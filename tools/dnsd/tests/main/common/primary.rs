//! A stand-in for a primary server, which sends just the octets that a test writes down.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use guifi_dnsd::hosted::{blob, file};
use guifi_dnsd::name::Name;

use super::free_port;

pub const SOA: u16 = 6;
pub const IXFR: u16 = 251;
pub const AXFR: u16 = 252;

/// One thing that is done on the connection of a transfer, after the question was read.
#[derive(Clone)]
pub enum Step {
    /// A message with these records of a master file.
    Records(String),
    /// A message with another identifier.
    WrongId(String),
    /// A message that says this code.
    Code(u8),
    /// These octets, without a length in front.
    Raw(Vec<u8>),
    /// A message that begins with header and question, and goes on so.
    Behind(u16, Vec<u8>),
    /// The last step for ever, until the other side closes.
    ForEver(String),
    /// Nothing more, with the connection open.
    Hang,
}

/// What it does from now on.
#[derive(Clone, Default)]
pub struct Script {
    /// The serial that it tells; none for silence.
    pub serial: Option<u32>,
    /// Answers by UDP that come before the right one.
    pub forged: Vec<Vec<u8>>,
    /// What it sends to those who want changes.
    pub changes: Vec<Step>,
    /// What it sends to those who want everything.
    pub whole: Vec<Step>,
}

/// The server, and what it was asked so far: types of questions.
pub struct StandInPrimary {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<u16>>,
    script: Mutex<Script>,
    /// Connections that are open, and the most that ever were.
    open: Mutex<(usize, usize)>,
}

impl StandInPrimary {
    /// A primary of any zone.
    pub fn start() -> Self {
        let port = free_port();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let primary = Self {
            address: udp.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let shared = primary.shared.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 2000];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                let script = shared.script.lock().unwrap().clone();
                shared.asked.lock().unwrap().push(SOA);
                for forged in &script.forged {
                    udp.send_to(forged, from).unwrap();
                }
                if let Some(serial) = script.serial {
                    let answer = answer(&buffer[..length], &soa(serial));
                    udp.send_to(&answer, from).unwrap();
                }
            }
        });
        let shared = primary.shared.clone();
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    {
                        let mut open = shared.open.lock().unwrap();
                        *open = (open.0 + 1, open.1.max(open.0 + 1));
                    }
                    // The other side may close whenever it likes.
                    let _ = serve(stream.unwrap(), &shared);
                    shared.open.lock().unwrap().0 -= 1;
                });
            }
        });
        primary
    }

    /// The most connections that were open at one time.
    pub fn most_open(&self) -> usize {
        self.shared.open.lock().unwrap().1
    }

    /// Does this from now on.
    pub fn act(&self, script: Script) {
        *self.shared.script.lock().unwrap() = script;
    }

    /// How often it was asked for this.
    pub fn count(&self, kind: u16) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|one| **one == kind).count()
    }
}

/// An SOA record with this serial.
pub fn soa(serial: u32) -> String {
    format!("@ 60 SOA ns dns {serial} 3600 600 604800 60\n")
}

/// The zone that is asked for.
fn zone(query: &[u8]) -> Name {
    let length = query[12..].iter().position(|octet| *octet == 0).unwrap();
    let (mut labels, mut at) = (Vec::new(), 12);
    while at < 12 + length {
        let end = at + 1 + usize::from(query[at]);
        labels.push(&query[at + 1..end]);
        at = end;
    }
    Name::from_labels(labels).unwrap()
}

/// An answer with these records of a master file.
fn answer(query: &[u8], text: &str) -> Vec<u8> {
    let records = file::read(text, None, &zone(query)).unwrap();
    let mut message = begin(query, u16::try_from(records.len()).unwrap());
    message.extend_from_slice(&blob::write(&records));
    message
}

/// Header and question of an answer with so many records.
fn begin(query: &[u8], count: u16) -> Vec<u8> {
    let end = 12 + zone(query).wire().len() + 4;
    let mut message = query[..end].to_vec();
    message[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message[6..8].copy_from_slice(&count.to_be_bytes());
    message
}

fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query).ok()?;
    let at = 12 + zone(&query).wire().len();
    let kind = u16::from_be_bytes([query[at], query[at + 1]]);
    let script = shared.script.lock().unwrap().clone();
    shared.asked.lock().unwrap().push(kind);
    let steps = match kind {
        IXFR => script.changes,
        AXFR => script.whole,
        _ => vec![Step::Records(soa(script.serial?))],
    };
    let framed = |message: Vec<u8>| {
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        [&length[..], &message].concat()
    };
    for step in steps {
        let bytes = match step {
            Step::Records(text) => framed(answer(&query, &text)),
            Step::WrongId(text) => {
                let mut message = answer(&query, &text);
                message[0] ^= 1;
                framed(message)
            }
            Step::Code(code) => {
                let mut message = begin(&query, 0);
                message[3] = code;
                framed(message)
            }
            Step::Raw(bytes) => bytes,
            Step::Behind(count, bytes) => framed([begin(&query, count), bytes].concat()),
            Step::ForEver(text) => {
                let bytes = framed(answer(&query, &text));
                loop {
                    stream.write_all(&bytes).ok()?;
                }
            }
            Step::Hang => {
                let _ = stream.read_exact(&mut length); // until the other side closes
                return None;
            }
        };
        stream.write_all(&bytes).ok()?;
    }
    Some(())
}
