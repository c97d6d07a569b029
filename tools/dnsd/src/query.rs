//! Questions: reading the plain ones without a copy, telling the others.
//!
//! Plain is one question of class IN in a message with operation code QUERY that holds nothing
//! else but at most one OPT record (RFC 6891).

use hickory_proto::op::OpCode;

use crate::cookie::Cookie;
use crate::encode::{HEADER, rtype};
use crate::name::MAX_NAME;

/// The most labels of a name, without the root.
const MAX_LABELS: usize = 127;

/// Whether a message with a whole header asks for this operation, and is not the answer to it.
pub fn asks_for(message: &[u8], operation: OpCode) -> bool {
    message.len() >= HEADER && message[2] & 0xf8 == u8::from(operation) << 3
}

/// What the sender says about itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Edns {
    /// Octets that it can take on UDP.
    pub size: u16,
    /// Version; only 0 exists.
    pub version: u8,
    /// DNSSEC records are wanted.
    pub dnssec_ok: bool,
    /// The first cookie among the options.
    pub cookie: Option<Cookie>,
}

/// A question, reused for one message after another.
#[derive(Clone, Debug)]
pub struct Question {
    /// Type asked for; 0 if the message was not plain.
    pub rtype: u16,
    /// EDNS, if the sender speaks it.
    pub edns: Option<Edns>,
    /// The name in wire form and lower case.
    name: [u8; MAX_NAME],
    length: usize,
    starts: [u8; MAX_LABELS + 1],
    labels: usize,
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Plain: the question was read.
    Plain,
    /// A query of some other form.
    Unusual,
    /// A query with an OPT record that is none.
    Broken,
    /// Not a query at all: no answer.
    Noise,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            rtype: 0,
            edns: None,
            name: [0; MAX_NAME],
            length: 1,
            starts: [0; MAX_LABELS + 1],
            labels: 0,
        }
    }
}

impl Question {
    /// Reads `message`.
    pub fn read(&mut self, message: &[u8]) -> Kind {
        (self.edns, self.rtype) = (None, 0);
        let Some(header) = message.get(..HEADER) else {
            return Kind::Noise;
        };
        if header[2] & 0x80 != 0 {
            return Kind::Noise; // a response
        }
        // Operation code 0, not truncated, one question, no answer, no authority, at most one more.
        let plain = header[2] & 0x7a == 0
            && header[4..10] == [0, 1, 0, 0, 0, 0]
            && header[10] == 0
            && header[11] <= 1;
        let read = plain.then(|| self.read_name(message)).flatten();
        let Some(rest) = read.and_then(|end| message.get(end..)) else {
            return Kind::Unusual;
        };
        let Some((&[type_high, type_low, 0, 1], rest)) = rest.split_first_chunk::<4>() else {
            return Kind::Unusual;
        };
        self.rtype = u16::from_be_bytes([type_high, type_low]);
        match (header[11], rest) {
            (0, []) => Kind::Plain,
            (1, rest) => self.read_edns(rest),
            _ => Kind::Unusual,
        }
    }

    /// Asks for `name` (in wire form) instead; `false` if it is no name.
    pub fn set(&mut self, name: &[u8], rtype: u16) -> bool {
        self.rtype = rtype;
        self.take_name(name) == Some(name.len())
    }

    fn read_name(&mut self, message: &[u8]) -> Option<usize> {
        Some(HEADER + self.take_name(message.get(HEADER..)?)?)
    }

    /// Takes the name at the beginning of `bytes`; gives its length.
    fn take_name(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        self.labels = 0;
        loop {
            let length = usize::from(*bytes.get(at)?);
            if length == 0 {
                break;
            }
            if length > 63 {
                return None; // a pointer, or worse
            }
            *self.starts.get_mut(self.labels)? = u8::try_from(at).ok()?;
            self.labels += 1;
            at += 1 + length;
        }
        self.length = at + 1;
        let lower = self.name.get_mut(..self.length)?;
        lower.copy_from_slice(bytes.get(..=at)?);
        lower.make_ascii_lowercase();
        *self.starts.get_mut(self.labels)? = u8::try_from(at).ok()?;
        Some(self.length)
    }

    fn read_edns(&mut self, record: &[u8]) -> Kind {
        let Some((head, mut options)) = record.split_first_chunk::<11>() else {
            return Kind::Unusual;
        };
        let length = usize::from(u16::from_be_bytes([head[9], head[10]]));
        if head[0] != 0
            || u16::from_be_bytes([head[1], head[2]]) != rtype::OPT
            || options.len() != length
        {
            return Kind::Unusual;
        }
        let mut cookie = None;
        // The others are not looked at, but they have to be whole.
        while !options.is_empty() {
            let Some((option, rest)) = options.split_first_chunk::<4>() else {
                return Kind::Broken;
            };
            let length = usize::from(u16::from_be_bytes([option[2], option[3]]));
            let Some((data, rest)) = rest.split_at_checked(length) else {
                return Kind::Broken;
            };
            if option[..2] == Cookie::OPTION.to_be_bytes() && cookie.is_none() {
                cookie = Cookie::read(data);
                if cookie.is_none() {
                    return Kind::Broken;
                }
            }
            options = rest;
        }
        self.edns = Some(Edns {
            size: u16::from_be_bytes([head[3], head[4]]),
            version: head[6],
            dnssec_ok: head[7] & 0x80 != 0,
            cookie,
        });
        Kind::Plain
    }

    /// Number of labels of the name.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// The name in wire form, lower case.
    pub fn name(&self) -> &[u8] {
        &self.name[..self.length]
    }

    /// Offset in the name at which the last `count` labels begin.
    pub fn offset(&self, count: usize) -> usize {
        usize::from(self.starts[self.labels.saturating_sub(count)])
    }

    /// The last `count` labels, with the root.
    pub fn suffix(&self, count: usize) -> &[u8] {
        &self.name[self.offset(count)..self.length]
    }

    /// The labels `from` to `to` (exclusive), counted from the front, without a root.
    pub fn between(&self, from: usize, to: usize) -> &[u8] {
        let start = |label: usize| usize::from(self.starts[label.min(self.labels)]);
        self.name.get(start(from)..start(to)).unwrap_or_default()
    }

    /// Whether the name is at or below `suffix`, a name of `labels` labels in lower case.
    pub fn ends_with(&self, suffix: &[u8], labels: usize) -> bool {
        labels <= self.labels && self.suffix(labels) == suffix
    }

    /// Octets of the message that hold header and question.
    pub fn end(&self) -> usize {
        HEADER + self.length + 4
    }
}
