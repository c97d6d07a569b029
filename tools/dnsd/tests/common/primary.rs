//! A stand-in for a primary server, which sends just the octets that a test writes down.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guifi_dnsd::hosted::{blob, file};
use guifi_dnsd::name::Name;

use super::free_port;

const SOA: u16 = 6;
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
    pub asked: Arc<Mutex<Vec<u16>>>,
    script: Arc<Mutex<Script>>,
}

impl StandInPrimary {
    /// A primary of `zone`.
    pub fn start(zone: &str) -> Self {
        let port = free_port();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let primary = Self {
            address: udp.local_addr().unwrap(),
            asked: Arc::default(),
            script: Arc::default(),
        };
        let zone = Name::parse(zone).unwrap();
        let (asked, script) = (primary.asked.clone(), primary.script.clone());
        let origin = zone.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 2000];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                let script = script.lock().unwrap().clone();
                asked.lock().unwrap().push(SOA);
                let query = &buffer[..length];
                for forged in &script.forged {
                    udp.send_to(forged, from).unwrap();
                }
                if let Some(serial) = script.serial {
                    udp.send_to(&answer(query, &origin, &soa(serial)), from)
                        .unwrap();
                }
            }
        });
        let (asked, script) = (primary.asked.clone(), primary.script.clone());
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let (asked, script, zone) = (asked.clone(), script.clone(), zone.clone());
                // The other side may close whenever it likes.
                std::thread::spawn(move || serve(stream.unwrap(), &zone, &script, &asked));
            }
        });
        primary
    }

    /// Does this from now on.
    pub fn act(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// How often it was asked for this.
    pub fn count(&self, kind: u16) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| **one == kind).count()
    }
}

/// An SOA record with this serial.
pub fn soa(serial: u32) -> String {
    format!("@ 60 SOA ns dns {serial} 3600 600 604800 60\n")
}

/// An answer with these records of a master file.
fn answer(query: &[u8], zone: &Name, text: &str) -> Vec<u8> {
    let records = file::read(text, None, zone).unwrap();
    let mut message = begin(query, zone, u16::try_from(records.len()).unwrap());
    message.extend_from_slice(&blob::write(&records));
    message
}

/// Header and question of an answer with so many records.
fn begin(query: &[u8], zone: &Name, count: u16) -> Vec<u8> {
    let end = 12 + zone.wire().len() + 4;
    let mut message = query[..end].to_vec();
    message[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message[6..8].copy_from_slice(&count.to_be_bytes());
    message
}

fn serve(
    mut stream: TcpStream,
    zone: &Name,
    script: &Mutex<Script>,
    asked: &Mutex<Vec<u16>>,
) -> Option<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query).ok()?;
    let at = 12 + zone.wire().len();
    let kind = u16::from_be_bytes([query[at], query[at + 1]]);
    let script = script.lock().unwrap().clone();
    asked.lock().unwrap().push(kind);
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
            Step::Records(text) => framed(answer(&query, zone, &text)),
            Step::WrongId(text) => {
                let mut message = answer(&query, zone, &text);
                message[0] ^= 1;
                framed(message)
            }
            Step::Code(code) => {
                let mut message = begin(&query, zone, 0);
                message[3] = code;
                framed(message)
            }
            Step::Raw(bytes) => bytes,
            Step::Behind(count, bytes) => framed([begin(&query, zone, count), bytes].concat()),
            Step::ForEver(text) => {
                let bytes = framed(answer(&query, zone, &text));
                loop {
                    stream.write_all(&bytes).ok()?;
                }
            }
            Step::Hang => {
                stream
                    .set_read_timeout(Some(Duration::from_secs(120)))
                    .ok()?;
                stream.read_exact(&mut length).ok()?;
                return None;
            }
        };
        stream.write_all(&bytes).ok()?;
    }
    Some(())
}
