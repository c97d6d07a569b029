//! An answer in the making: header, question, sections, EDNS.

use super::{OPT, Outcome};
use crate::cookie::Cookie;
use crate::encode::{HEADER, rtype};
use crate::query::Question;
use crate::table::Set;
use crate::zone::UDP_LIMIT;

/// Header flags.
pub(crate) mod flag {
    pub(crate) const QR: u8 = 0x80;
    pub(crate) const AA: u8 = 0x04;
    pub(crate) const TC: u8 = 0x02;
    pub(crate) const RD: u8 = 0x01;
    pub(crate) const RA: u8 = 0x80;
    pub(crate) const CD: u8 = 0x10;
}

/// The response code in a header.
#[derive(Clone, Copy)]
pub(crate) struct Code(pub(super) u8);

impl Code {
    pub(crate) const NO_ERROR: Self = Self(0);
    pub(crate) const SERV_FAIL: Self = Self(2);
    pub(crate) const NX_DOMAIN: Self = Self(3);
    pub(crate) const REFUSED: Self = Self(5);
    /// Its lower bits; 1 is in the upper ones.
    pub(super) const BAD_COOKIE: Self = Self(7);
}

/// An answer being written.
pub(crate) struct Answer<'a> {
    /// What was asked.
    pub(crate) question: &'a Question,
    pub(super) message: &'a [u8],
    /// Whether the client is resolved for.
    pub(crate) known: bool,
    pub(super) limit: usize,
    /// The answer so far.
    pub(crate) out: &'a mut Vec<u8>,
}

impl Answer<'_> {
    /// Header and question.
    pub(crate) fn begin(&mut self, flags: u8, code: Code) {
        let query = self.message;
        self.out.extend_from_slice(&query[..2]);
        let high = flag::QR | flags | (query[2] & flag::RD);
        let recursion = if self.known { flag::RA } else { 0 };
        self.out.push(high);
        self.out.push(recursion | (query[3] & flag::CD) | code.0);
        self.out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        self.out
            .extend_from_slice(&query[HEADER..self.question.end()]);
    }

    fn opt_size(&self) -> usize {
        match self.question.edns {
            Some(edns) if edns.cookie.is_some() => OPT + Cookie::SIZE,
            Some(_) => OPT,
            None => 0,
        }
    }

    /// OPT, if the question had one.
    pub(crate) fn finish(&mut self, extended_code: u8) {
        if let Some(edns) = self.question.edns {
            let dnssec = if edns.dnssec_ok { 0x80 } else { 0 };
            let [high, low] = (UDP_LIMIT as u16).to_be_bytes();
            let opt = [
                0,
                0,
                rtype::OPT as u8,
                high,
                low,
                extended_code,
                0,
                dnssec,
                0,
                0,
                0,
            ];
            self.out.extend_from_slice(&opt);
            self.out[11] += 1;
        }
    }

    /// Whether the client wants names that are not ours resolved.
    pub(crate) fn recursion_desired(&self) -> bool {
        self.message[2] & flag::RD != 0
    }

    /// Octets that are left.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.out.len() + self.opt_size())
    }

    /// Adds `more` to the count at an offset of the header.
    pub(crate) fn count(&mut self, at: usize, more: u16) {
        let count = u16::from_be_bytes([self.out[at], self.out[at + 1]]);
        self.out[at..at + 2].copy_from_slice(&count.saturating_add(more).to_be_bytes());
    }

    /// Ends an answer for which there is no room.
    pub(crate) fn truncate(&mut self, set: &[u8]) {
        self.out[2] |= flag::TC;
        if self.question.edns.is_none() {
            // Avahi's client shows what is there and never comes by TCP.
            let (count, length) = fitting(set, self.room());
            self.count(6, count);
            self.out.extend_from_slice(&set[..length]);
        }
        self.finish(0);
    }

    pub(super) fn refuse(&mut self) -> Outcome {
        self.begin(0, Code::REFUSED);
        self.finish(0);
        Outcome::Refused
    }

    pub(super) fn positive(&mut self, set: Set<'_>) -> Outcome {
        self.begin(flag::AA, Code::NO_ERROR);
        let mut room = self.room();
        if set.answer.len() > room {
            self.truncate(set.answer);
            return Outcome::Truncated;
        }
        self.out[6..8].copy_from_slice(&set.count.to_be_bytes());
        self.out.extend_from_slice(set.answer);
        room -= set.answer.len();
        let mut more = 0u8;
        for (count, bytes) in set.groups() {
            if bytes.len() > room || more > 200 {
                break; // worth having, not worth a second question by TCP
            }
            room -= bytes.len();
            more += count;
            self.out.extend_from_slice(bytes);
        }
        self.out[11] = more;
        self.finish(0);
        Outcome::Answer
    }

    /// Says that there is nothing: with the SOA record (from its type on) of the zone, whose
    /// name has this many labels.
    pub(crate) fn negative(&mut self, labels: usize, soa: &[u8], code: Code) -> Outcome {
        if self.out.is_empty() {
            self.begin(flag::AA, code);
        }
        self.out[3] = (self.out[3] & 0xf0) | code.0;
        self.out[9] = 1;
        let offset = (HEADER + self.question.offset(labels)) as u16; // below 512
        self.out.extend_from_slice(&(0xc000 | offset).to_be_bytes());
        self.out.extend_from_slice(soa);
        self.finish(0);
        if code.0 == Code::NX_DOMAIN.0 {
            Outcome::NxDomain
        } else {
            Outcome::NoData
        }
    }
}

/// How many whole records of `answer` fit into `room`, and their octets. The owner of each is a
/// pointer to the question.
fn fitting(answer: &[u8], room: usize) -> (u16, usize) {
    let (mut count, mut end) = (0, 0);
    while let Some(&[high, low]) = answer.get(end + 10..end + 12) {
        let next = end + 12 + usize::from(u16::from_be_bytes([high, low]));
        if next > room || next > answer.len() {
            break;
        }
        (count, end) = (count + 1, next);
    }
    (count, end)
}
