//! Records as hosted zones keep them: data in wire form without compression, so that it can be
//! copied into any message (RFC 1035 section 3.2, RFC 3597).

use std::collections::BTreeMap;

use hickory_proto::rr::{RData, Record as WireRecord};
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder};

use crate::encode::{Encoded, rtype};
use crate::name::Name;
use crate::table::Set;

/// All records of one owner and type.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rrset {
    /// Time to live in seconds.
    pub ttl: u32,
    /// The data of each record, in the order of their coming; none twice.
    pub data: Vec<Box<[u8]>>,
}

/// The sets of one owner by type; none is empty.
pub type Sets = BTreeMap<u16, Rrset>;

/// One record.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Record {
    /// Its owner, as written.
    pub owner: Name,
    /// Its type.
    pub rtype: u16,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Its data.
    pub data: Box<[u8]>,
}

/// Octets in front of the data of a record whose owner is a pointer.
pub const HEAD: usize = 12;
/// The owner of a stored record: a pointer to the question.
const TO_QUESTION: [u8; 2] = [0xc0, 0x0c];

impl Rrset {
    /// Adds `data` unless it is there; `true` if it was added.
    pub fn add(&mut self, rtype: u16, data: &[u8]) -> bool {
        let new = !self.data.iter().any(|old| same(rtype, old, data));
        if new {
            self.data.push(data.into());
        }
        new
    }

    /// Takes `data` away; `true` if it was there.
    pub fn remove(&mut self, rtype: u16, data: &[u8]) -> bool {
        let before = self.data.len();
        self.data.retain(|old| !same(rtype, old, data));
        self.data.len() < before
    }

    /// The set as a table stores it.
    pub fn encode(&self, rtype: u16) -> Encoded {
        let mut answer = Vec::new();
        for data in &self.data {
            answer.extend_from_slice(&TO_QUESTION);
            write_tail(&mut answer, rtype, self.ttl, data);
        }
        Encoded {
            count: u16::try_from(self.data.len()).unwrap_or(u16::MAX),
            answer,
            groups: Vec::new(),
        }
    }

    /// Reads what [`Rrset::encode`] wrote.
    pub fn decode(set: Set<'_>) -> Self {
        let mut rrset = Self::default();
        for (ttl, data) in stored(set.answer) {
            rrset.ttl = ttl;
            rrset.data.push(data.into());
        }
        rrset
    }
}

/// The records of a stored set: time to live and data.
pub fn stored(mut answer: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = answer.split_first_chunk::<HEAD>()?;
        let ttl = u32::from_be_bytes([head[6], head[7], head[8], head[9]]);
        let length = usize::from(u16::from_be_bytes([head[10], head[11]]));
        let (data, rest) = rest.split_at_checked(length)?;
        answer = rest;
        Some((ttl, data))
    })
}

/// Writes a record from its type on.
pub fn write_tail(out: &mut Vec<u8>, rtype: u16, ttl: u32, data: &[u8]) {
    out.extend_from_slice(&rtype.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&ttl.to_be_bytes());
    // Data comes from messages or is checked against 65,535.
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
}

/// Where the data of this type names the host that it leads to, if it does.
pub fn target_at(rtype: u16) -> Option<usize> {
    match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR => Some(0),
        rtype::MX => Some(2),
        rtype::SRV => Some(6),
        _ => None,
    }
}

/// The name in `data` that begins at `at`; it was checked when it was written.
pub fn name_at(data: &[u8], at: usize) -> Option<&[u8]> {
    let mut end = at;
    loop {
        let length = usize::from(*data.get(end)?);
        end += 1 + length;
        if length == 0 {
            return data.get(at..end);
        }
    }
}

/// Whether two records of one type have the same data: names compare without letter case.
pub fn same(rtype: u16, a: &[u8], b: &[u8]) -> bool {
    match target_at(rtype) {
        // Lengths of labels are no letters: the octets may be compared as they are.
        Some(at) if a.len() > at && b.len() > at => {
            a[..at] == b[..at] && a[at..].eq_ignore_ascii_case(&b[at..])
        }
        _ => a == b,
    }
}

/// A record out of hickory's hands; `None` if its name or data cannot be kept.
pub fn from_wire(record: &WireRecord) -> Option<Record> {
    Some(Record {
        owner: Name::from_labels(record.name.iter())?,
        rtype: record.record_type().into(),
        ttl: record.ttl & 0x7fff_ffff, // RFC 2181 section 8
        data: wire_data(&record.data)?,
    })
}

fn wire_data(data: &RData) -> Option<Box<[u8]>> {
    if let RData::SOA(soa) = data {
        // The one type of ours with two names: the encoder would compress the second.
        let mut bytes = Vec::new();
        for name in [&soa.mname, &soa.rname] {
            bytes.extend_from_slice(Name::from_labels(name.iter())?.wire());
        }
        let intervals = [soa.refresh, soa.retry, soa.expire].map(|i| i.max(0) as u32); // not negative
        for number in [
            soa.serial,
            intervals[0],
            intervals[1],
            intervals[2],
            soa.minimum,
        ] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        return Some(bytes.into());
    }
    let mut bytes = Vec::new();
    data.emit(&mut BinEncoder::new(&mut bytes)).ok()?;
    (bytes.len() <= usize::from(u16::MAX)).then(|| bytes.into())
}

/// Start of authority.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Soa {
    /// The primary server.
    pub server: Name,
    /// The mailbox of who is responsible.
    pub mailbox: Name,
    /// The serial (RFC 1982).
    pub serial: u32,
    /// Seconds between questions of a secondary.
    pub refresh: u32,
    /// Seconds between them after a failure.
    pub retry: u32,
    /// Seconds after which a secondary stops answering.
    pub expire: u32,
    /// Time to live of negative answers (RFC 2308), in seconds.
    pub minimum: u32,
}

impl Soa {
    /// Reads data of type SOA.
    pub fn read(data: &[u8]) -> Option<Self> {
        let server = name_at(data, 0)?;
        let mailbox = name_at(data, server.len())?;
        let numbers = data.get(server.len() + mailbox.len()..)?;
        let number = |index: usize| {
            let bytes = numbers.get(4 * index..4 * index + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        Some(Self {
            serial: number(0)?,
            refresh: number(1)?,
            retry: number(2)?,
            expire: number(3)?,
            minimum: number(4).filter(|_| numbers.len() == 20)?,
            server: Name::from_wire(server),
            mailbox: Name::from_wire(mailbox),
        })
    }

    /// Data of type SOA.
    pub fn data(&self) -> Box<[u8]> {
        let mut data = [self.server.wire(), self.mailbox.wire()].concat();
        for number in [
            self.serial,
            self.refresh,
            self.retry,
            self.expire,
            self.minimum,
        ] {
            data.extend_from_slice(&number.to_be_bytes());
        }
        data.into()
    }
}

/// Whether serial `a` is newer than `b` (RFC 1982 section 3.2).
pub fn newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}
