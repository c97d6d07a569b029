//! Resource records and their encoding for a message whose question is the owner of the set:
//! every offset is known in advance, so the octets can be stored and copied as they are.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::name::Name;

/// Record types by number.
pub mod rtype {
    #![allow(missing_docs)] // the names are those of the IANA registry
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const RRSIG: u16 = 46;
    pub const NSEC: u16 = 47;
    pub const HTTPS: u16 = 65;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// Octets of a message header.
pub const HEADER: usize = 12;
/// Pointers reach this far.
const MAX_POINTER: usize = 0x3fff;

/// The data of one record.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Data {
    /// Address, IPv4.
    A(Ipv4Addr),
    /// Address, IPv6.
    Aaaa(Ipv6Addr),
    /// Pointer.
    Ptr(Name),
    /// Server location: port and host (priority and weight are always 0).
    Srv(u16, Name),
    /// Character strings, each with its length in front.
    Txt(Box<[u8]>),
    /// Name server.
    Ns(Name),
    /// Start of authority: server, mailbox, serial; the intervals are fixed.
    Soa(Name, Name, u32),
}

impl Data {
    /// The number of the type.
    pub fn rtype(&self) -> u16 {
        match self {
            Self::A(_) => rtype::A,
            Self::Aaaa(_) => rtype::AAAA,
            Self::Ptr(_) => rtype::PTR,
            Self::Srv(..) => rtype::SRV,
            Self::Txt(_) => rtype::TXT,
            Self::Ns(_) => rtype::NS,
            Self::Soa(..) => rtype::SOA,
        }
    }
}

/// One record beyond the set itself: owner and data.
pub type Extra = (Name, Data);

/// A record set ready to be copied behind a question.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Encoded {
    /// Number of records in `answer`.
    pub count: u16,
    /// The answer section.
    pub answer: Vec<u8>,
    /// Groups for the additional section, each whole or not at all: number of records, octets.
    pub groups: Vec<(u8, Vec<u8>)>,
}

/// Writes records; knows at which offset of the message each name suffix stands.
struct Writer {
    /// What is written, beginning at the offset `base`.
    bytes: Vec<u8>,
    base: usize,
    seen: HashMap<Box<[u8]>, u16>,
}

impl Writer {
    fn new(question: &Name) -> Self {
        let mut writer = Self {
            bytes: Vec::new(),
            base: HEADER + question.wire().len() + 4,
            seen: HashMap::new(),
        };
        writer.remember(question.wire(), HEADER);
        writer
    }

    /// Notes that `wire` stands at `offset` in full.
    fn remember(&mut self, wire: &[u8], offset: usize) {
        let mut at = 0;
        while let Some(&length) = wire.get(at).filter(|&&l| l != 0) {
            let Some(offset) = u16::try_from(offset + at)
                .ok()
                .filter(|&o| usize::from(o) <= MAX_POINTER)
            else {
                return;
            };
            let key = wire[at..].to_ascii_lowercase().into_boxed_slice();
            self.seen.entry(key).or_insert(offset);
            at += 1 + usize::from(length);
        }
    }

    fn name(&mut self, name: &Name) {
        let wire = name.wire();
        let lower = wire.to_ascii_lowercase();
        let start = self.base + self.bytes.len();
        let mut at = 0;
        while let Some(&length) = wire.get(at).filter(|&&l| l != 0) {
            if let Some(&pointer) = self.seen.get(&lower[at..]) {
                self.u16(0xc000 | pointer);
                return;
            }
            if start + at <= MAX_POINTER {
                let offset = (start + at) as u16; // at most MAX_POINTER
                self.seen.insert(lower[at..].into(), offset);
            }
            let end = at + 1 + usize::from(length);
            self.bytes.extend_from_slice(&wire[at..end]);
            at = end;
        }
        self.bytes.push(0);
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn record(&mut self, owner: &Name, ttl: u32, data: &Data) {
        self.name(owner);
        self.u16(data.rtype());
        self.u16(1);
        self.u32(ttl);
        let length_at = self.bytes.len();
        self.u16(0);
        match data {
            Data::A(a) => self.bytes.extend_from_slice(&a.octets()),
            Data::Aaaa(a) => self.bytes.extend_from_slice(&a.octets()),
            Data::Ptr(name) | Data::Ns(name) => self.name(name),
            Data::Srv(port, target) => {
                self.u32(0); // priority and weight
                self.u16(*port);
                // RFC 2782: the target is not compressed. Others may point to it.
                let offset = self.base + self.bytes.len();
                self.remember(target.wire(), offset);
                self.bytes.extend_from_slice(target.wire());
            }
            Data::Txt(strings) => self.bytes.extend_from_slice(strings),
            Data::Soa(server, mailbox, serial) => {
                self.name(server);
                self.name(mailbox);
                self.bytes.extend_from_slice(&soa_numbers(*serial));
            }
        }
        let length = (self.bytes.len() - length_at - 2).min(usize::from(u16::MAX)) as u16;
        self.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

/// Serial, refresh, retry, expire, negative time to live (RFC 2308).
fn soa_numbers(serial: u32) -> [u8; 20] {
    let mut numbers = [0; 20];
    for (place, value) in
        numbers
            .chunks_exact_mut(4)
            .zip([serial, 3600, 600, 1_209_600, NEGATIVE_TTL])
    {
        place.copy_from_slice(&value.to_be_bytes());
    }
    numbers
}

/// Time to live of answers from the registry, in seconds.
pub const TTL: u32 = 120;
/// Time to live of "no such name", in seconds.
pub const NEGATIVE_TTL: u32 = 60;

/// Encodes the set of `owner`: `data` as the answer, `extra` as groups that are worth adding,
/// up to `room` octets of answer and additional records together.
pub fn encode(owner: &Name, ttl: u32, data: &[Data], extra: &[Vec<Extra>], room: usize) -> Encoded {
    let mut writer = Writer::new(owner);
    for one in data {
        writer.record(owner, ttl, one);
    }
    let mut encoded = Encoded {
        count: u16::try_from(data.len()).unwrap_or(u16::MAX),
        ..Encoded::default()
    };
    let mut from = writer.bytes.len();
    for group in extra {
        for (name, data) in group {
            writer.record(name, ttl, data);
        }
        if writer.bytes.len() > room {
            writer.bytes.truncate(from);
            break;
        }
        if let Ok(count) = u8::try_from(group.len()) {
            encoded.groups.push((count, writer.bytes[from..].to_vec()));
        }
        from = writer.bytes.len();
    }
    let answer = encoded
        .groups
        .iter()
        .fold(from, |end, (_, bytes)| end - bytes.len());
    writer.bytes.truncate(answer);
    encoded.answer = writer.bytes;
    encoded
}

/// The SOA of a negative answer from its type on: the owner is written by the responder.
pub fn negative_soa(server: &Name, mailbox: &Name, serial: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.extend_from_slice(&rtype::SOA.to_be_bytes());
    bytes.extend_from_slice(&1u16.to_be_bytes());
    bytes.extend_from_slice(&NEGATIVE_TTL.to_be_bytes());
    let length = server.wire().len() + mailbox.wire().len() + 20;
    bytes.extend_from_slice(&(length as u16).to_be_bytes()); // two names and 20: fits
    bytes.extend_from_slice(server.wire());
    bytes.extend_from_slice(mailbox.wire());
    bytes.extend_from_slice(&soa_numbers(serial));
    bytes
}
