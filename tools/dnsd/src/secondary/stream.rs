//! A transfer as it comes in, message by message (RFC 5936 section 2.2, RFC 1995 section 4).
//! Nothing of it is used before its end has come.

use std::fmt;

use hickory_proto::op::ResponseCode;

use super::wire::Reader;
use crate::encode::{HEADER, rtype};
use crate::hosted::blob::Delta;
use crate::hosted::rdata;
use crate::hosted::rrset::{Record, Soa, newer};
use crate::name::Name;

/// The class of the Internet.
const IN: u16 = 1;

/// How much of a zone is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Octets of its messages, and of its records.
    pub octets: usize,
    /// Its records; of changes, those that go and those that come.
    pub records: usize,
}

/// Why a transfer is thrown away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The server says so.
    Code(ResponseCode),
    /// Not an answer to what was asked: which part of it.
    Foreign(&'static str),
    /// A message that cannot be read.
    Broken,
    /// What is wrong with the order of the records.
    Order(&'static str),
    /// A record that no zone can hold, by the number of its type.
    Record(u16),
    /// More than a zone may have.
    Octets(usize),
    /// More than a zone may have.
    Records(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "it says {}", code.to_str()),
            Self::Foreign(part) => write!(f, "an answer with another {part}"),
            Self::Broken => write!(f, "a message that cannot be read"),
            Self::Order(what) => write!(f, "{what}"),
            Self::Record(rtype) => write!(f, "a record of type {rtype} in a zone"),
            Self::Octets(most) => write!(f, "the zone has over {most} octets"),
            Self::Records(most) => write!(f, "the zone has over {most} records"),
        }
    }
}

/// What a transfer brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fetched {
    /// The server has nothing newer.
    Same,
    /// All records, one behind the other as [`crate::hosted::blob`] has them, the SOA record first.
    Whole(Vec<u8>),
    /// The changes since the serial that was asked for, the oldest first.
    Changes(Vec<Delta>),
}

/// Where in the transfer we are.
#[derive(Debug)]
enum Place {
    /// Before the first record.
    Start,
    /// After the first SOA record.
    Open,
    /// In a whole zone.
    Whole(Vec<u8>),
    /// After these changes, among the records that the next one takes away.
    Going(Vec<Delta>, Delta),
    /// Among those that it brings.
    Coming(Vec<Delta>, Delta),
    /// The end has come.
    Ended(Fetched),
}

/// A transfer under way.
#[derive(Debug)]
pub struct Stream {
    zone: Name,
    id: [u8; 2],
    /// The serial that the changes were asked for from; none for the whole zone.
    serial: Option<u32>,
    limits: Size,
    seen: Size,
    /// Records that do not belong to the zone.
    outside: usize,
    messages: usize,
    first: Option<(Record, Soa)>,
    place: Place,
}

impl Stream {
    /// A transfer of `zone` (lower case) that was asked for with `id`: of its changes from
    /// `serial` on, or of all of it.
    pub fn new(zone: &Name, id: [u8; 2], serial: Option<u32>, limits: Size) -> Self {
        Self {
            zone: zone.clone(),
            id,
            serial,
            limits,
            seen: Size {
                octets: 0,
                records: 0,
            },
            outside: 0,
            messages: 0,
            first: None,
            place: Place::Start,
        }
    }

    /// Takes one message; gives everything with the last one.
    ///
    /// # Errors
    /// Why nothing of the transfer can be used.
    pub fn take(&mut self, message: &[u8]) -> Result<Option<Fetched>, Fault> {
        self.seen.octets += message.len();
        if self.seen.octets > self.limits.octets {
            return Err(Fault::Octets(self.limits.octets));
        }
        let (count, mut reader) = self.head(message)?;
        for _ in 0..count {
            let (record, class) = reader.record().ok_or(Fault::Broken)?;
            if class != IN || !rdata::stored(record.rtype) {
                return Err(Fault::Record(record.rtype));
            }
            self.record(record)?;
        }
        self.messages += 1;
        match std::mem::replace(&mut self.place, Place::Start) {
            Place::Ended(fetched) => Ok(Some(fetched)),
            place => {
                self.place = place;
                Ok(None)
            }
        }
    }

    /// How many records were left out, since they are not of the zone.
    pub fn outside(&self) -> usize {
        self.outside
    }

    /// Checks header and question; gives the number of records and the place of the first.
    fn head<'a>(&self, message: &'a [u8]) -> Result<(u16, Reader<'a>), Fault> {
        let (head, _) = message.split_first_chunk::<HEADER>().ok_or(Fault::Broken)?;
        if head[..2] != self.id {
            return Err(Fault::Foreign("identifier"));
        }
        // An answer, operation code 0, not truncated.
        if head[2] & 0xfa != 0x80 {
            return Err(Fault::Foreign("kind of message"));
        }
        let code = ResponseCode::from(0, head[3] & 15);
        if code != ResponseCode::NoError {
            return Err(Fault::Code(code));
        }
        let mut reader = Reader::new(message, HEADER);
        match [head[4], head[5]] {
            [0, 1] => {
                let (name, kind, class) = reader.question().ok_or(Fault::Broken)?;
                let asked = match self.serial {
                    Some(_) => rtype::IXFR,
                    None => rtype::AXFR,
                };
                if name.lower() != self.zone || (kind, class) != (asked, IN) {
                    return Err(Fault::Foreign("question"));
                }
            }
            [0, 0] if self.messages > 0 => {} // RFC 5936 section 2.2.2
            _ => return Err(Fault::Foreign("question")),
        }
        Ok((u16::from_be_bytes([head[6], head[7]]), reader))
    }

    fn record(&mut self, record: Record) -> Result<(), Fault> {
        if matches!(self.place, Place::Ended(_)) {
            return Err(Fault::Order("there are records behind its end"));
        }
        self.seen.records += 1;
        if self.seen.records > self.limits.records {
            return Err(Fault::Records(self.limits.records));
        }
        let owner = record.owner.lower();
        if owner.below(&self.zone).is_none() {
            self.outside += 1;
            return Ok(());
        }
        let soa = match record.rtype {
            rtype::SOA if owner == self.zone => Soa::read(&record.data),
            _ => None,
        };
        let place = std::mem::replace(&mut self.place, Place::Start);
        self.place = match (place, soa) {
            (Place::Start, None) => {
                return Err(Fault::Order("it does not begin with its SOA record"));
            }
            (Place::Start, Some(soa)) => self.begin(record, soa),
            (Place::Open, Some(soa)) if Some(soa.serial) == self.serial => {
                Place::Going(Vec::new(), change(record, &soa))
            }
            (Place::Open, soa) => self.whole(self.start(), record, soa)?,
            (Place::Whole(records), soa) => self.whole(records, record, soa)?,
            (Place::Going(done, mut change), Some(soa)) => {
                if !newer(soa.serial, change.from) {
                    return Err(Fault::Order("a change does not raise its serial"));
                }
                change.to = soa.serial;
                change.added.push(record);
                Place::Coming(done, change)
            }
            (Place::Going(done, mut change), None) => {
                change.removed.push(record);
                Place::Going(done, change)
            }
            (Place::Coming(done, change), Some(soa)) => self.next(done, change, record, &soa)?,
            (Place::Coming(done, mut change), None) => {
                change.added.push(record);
                Place::Coming(done, change)
            }
            (ended @ Place::Ended(_), _) => ended,
        };
        Ok(())
    }

    fn begin(&mut self, record: Record, soa: Soa) -> Place {
        let same = self.serial.is_some_and(|ours| !newer(soa.serial, ours));
        self.first = Some((record, soa));
        match same {
            true => Place::Ended(Fetched::Same),
            false => Place::Open,
        }
    }

    /// The records of a whole zone so far: the first one.
    fn start(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some((first, _)) = &self.first {
            first.write(&mut records);
        }
        records
    }

    /// Whether this is the last SOA record.
    fn ends(&self, soa: &Soa) -> bool {
        let first = self.first.as_ref();
        first.is_some_and(|(_, first)| first.serial == soa.serial)
    }

    fn whole(
        &self,
        mut records: Vec<u8>,
        record: Record,
        soa: Option<Soa>,
    ) -> Result<Place, Fault> {
        match soa {
            Some(soa) if self.ends(&soa) => Ok(Place::Ended(Fetched::Whole(records))),
            Some(_) => Err(Fault::Order("its first and its last SOA record differ")),
            None => {
                // Names are longer here than on the wire.
                record.write(&mut records);
                if records.len() > self.limits.octets {
                    return Err(Fault::Octets(self.limits.octets));
                }
                Ok(Place::Whole(records))
            }
        }
    }

    /// A change is complete: another one begins, or the end has come.
    fn next(
        &self,
        mut done: Vec<Delta>,
        last: Delta,
        record: Record,
        soa: &Soa,
    ) -> Result<Place, Fault> {
        if last.to != soa.serial {
            return Err(Fault::Order("its changes do not follow one another"));
        }
        done.push(last);
        Ok(match self.ends(soa) {
            true => Place::Ended(Fetched::Changes(done)),
            false => Place::Going(done, change(record, soa)),
        })
    }
}

/// A change that begins with this SOA record.
fn change(record: Record, soa: &Soa) -> Delta {
    Delta {
        from: soa.serial,
        to: soa.serial,
        removed: vec![record],
        added: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
