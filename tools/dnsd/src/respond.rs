//! Answers: for plain questions by copying what was encoded in advance, for all others through
//! hickory's codec.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;

use crate::board::Snapshot;
use crate::encode::{HEADER, rtype};
use crate::query::{Kind, Question};
use crate::table::{Found, Set};
use crate::zone::{Apex, UDP_LIMIT};

/// The size of an answer on UDP for those without EDNS.
const PLAIN_LIMIT: usize = 512;
/// Octets of an OPT record without options.
const OPT: usize = 11;
/// Octets of an answer at most.
pub const TCP_LIMIT: usize = 65_535;

/// The way a message came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Answered with records.
    Answer,
    /// The name exists, the type does not.
    NoData,
    /// There is no such name.
    NxDomain,
    /// Told to come by TCP.
    Truncated,
    /// Refused: class, kind of question, or a name that this client may not ask for.
    Refused,
    /// Not understood, or not done here.
    Failed,
    /// Not ours: to be asked elsewhere. The answer is empty.
    Forward,
    /// No answer.
    Drop,
}

/// Header flags.
mod flag {
    pub(super) const QR: u8 = 0x80;
    pub(super) const AA: u8 = 0x04;
    pub(super) const TC: u8 = 0x02;
    pub(super) const RD: u8 = 0x01;
    pub(super) const RA: u8 = 0x80;
    pub(super) const CD: u8 = 0x10;
}

/// Answers `message` into `out`. `known` says that the client is one we resolve for.
pub fn respond(
    snapshot: &Snapshot,
    question: &mut Question,
    message: &[u8],
    transport: Transport,
    known: bool,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    match question.read(message) {
        Kind::Plain => plain(snapshot, question, message, transport, known, out),
        Kind::Unusual => unusual(snapshot, question, message, transport, known, out),
        Kind::Noise => Outcome::Drop,
    }
}

/// The response code in a header.
#[derive(Clone, Copy)]
struct Code(u8);

impl Code {
    const NO_ERROR: Self = Self(0);
    const NX_DOMAIN: Self = Self(3);
    const REFUSED: Self = Self(5);
}

fn plain(
    snapshot: &Snapshot,
    question: &Question,
    message: &[u8],
    transport: Transport,
    known: bool,
    out: &mut Vec<u8>,
) -> Outcome {
    let mut answer = Answer {
        question,
        message,
        known,
        limit: match (transport, question.edns) {
            (Transport::Tcp, _) => TCP_LIMIT,
            (Transport::Udp, None) => PLAIN_LIMIT,
            (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(PLAIN_LIMIT, UDP_LIMIT),
        },
        out,
    };
    if question.edns.is_some_and(|edns| edns.version != 0) {
        answer.begin(0, Code::NO_ERROR);
        answer.finish(1); // BADVERS is 16: 1 in the upper bits
        return Outcome::Failed;
    }
    if (rtype::IXFR..rtype::ANY).contains(&question.rtype) {
        // Transfers, and what no one has used since RFC 1035.
        return answer.refuse();
    }
    let zones = &snapshot.zones;
    let Some(apex) = zones.apex(question) else {
        return if known {
            Outcome::Forward
        } else {
            answer.refuse()
        };
    };
    let found = apex.find(question);
    // A private reverse zone may have servers of its own; the community's domain never has.
    let ours = zones
        .community
        .as_deref()
        .is_some_and(|own| std::ptr::eq(own, apex));
    let theirs = || !ours && snapshot.policy.conditional(question);
    match found {
        Found::Set(set) => answer.positive(set),
        _ if theirs() => {
            if known {
                Outcome::Forward
            } else {
                answer.refuse()
            }
        }
        Found::NoData => answer.negative(apex, Code::NO_ERROR),
        Found::Missing => answer.negative(apex, Code::NX_DOMAIN),
    }
}

/// An answer being written.
struct Answer<'a> {
    question: &'a Question,
    message: &'a [u8],
    known: bool,
    limit: usize,
    out: &'a mut Vec<u8>,
}

impl Answer<'_> {
    /// Header and question.
    fn begin(&mut self, flags: u8, code: Code) {
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
        if self.question.edns.is_some() { OPT } else { 0 }
    }

    /// OPT, if the question had one.
    fn finish(&mut self, extended_code: u8) {
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

    fn refuse(&mut self) -> Outcome {
        self.begin(0, Code::REFUSED);
        self.finish(0);
        Outcome::Refused
    }

    fn positive(&mut self, set: Set<'_>) -> Outcome {
        self.begin(flag::AA, Code::NO_ERROR);
        let mut room = self.limit.saturating_sub(self.out.len() + self.opt_size());
        if set.answer.len() > room {
            self.out[2] |= flag::TC;
            if self.question.edns.is_none() {
                // Avahi's client shows what is there and never comes by TCP.
                let (count, length) = fitting(set.answer, room);
                self.out[6..8].copy_from_slice(&count.to_be_bytes());
                self.out.extend_from_slice(&set.answer[..length]);
            }
            self.finish(0);
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

    fn negative(&mut self, apex: &Apex, code: Code) -> Outcome {
        self.begin(flag::AA, code);
        self.out[9] = 1;
        let offset = (HEADER + self.question.offset(apex.labels)) as u16; // below 512
        self.out.extend_from_slice(&(0xc000 | offset).to_be_bytes());
        self.out.extend_from_slice(&apex.soa);
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

/// Messages that are not plain.
fn unusual(
    snapshot: &Snapshot,
    question: &mut Question,
    message: &[u8],
    transport: Transport,
    known: bool,
    out: &mut Vec<u8>,
) -> Outcome {
    let Ok(query) = Message::from_vec(message) else {
        out.extend_from_slice(&error_header(message, ResponseCode::FormErr));
        return Outcome::Failed;
    };
    let code = match &query.queries[..] {
        _ if query.metadata.op_code != OpCode::Query => ResponseCode::NotImp,
        [one] if one.query_class != DNSClass::IN => ResponseCode::Refused,
        [_] => ResponseCode::NoError,
        _ => ResponseCode::FormErr,
    };
    if code != ResponseCode::NoError {
        out.extend_from_slice(&refusal(&query, message, code));
        return if code == ResponseCode::Refused {
            Outcome::Refused
        } else {
            Outcome::Failed
        };
    }
    // The same question in plain form.
    let Some(plain_form) = plain_form(&query) else {
        out.extend_from_slice(&error_header(message, ResponseCode::FormErr));
        return Outcome::Failed;
    };
    match question.read(&plain_form) {
        Kind::Plain => plain(snapshot, question, &plain_form, transport, known, out),
        _ => {
            out.extend_from_slice(&error_header(message, ResponseCode::FormErr));
            Outcome::Failed
        }
    }
}

/// `query` with its question and EDNS and nothing else.
pub fn plain_form(query: &Message) -> Option<Vec<u8>> {
    let mut plain = Message::new(query.metadata.id, MessageType::Query, OpCode::Query);
    plain.metadata.recursion_desired = query.metadata.recursion_desired;
    plain.metadata.checking_disabled = query.metadata.checking_disabled;
    plain.queries = query.queries.clone();
    if let Some(theirs) = &query.edns {
        let mut edns = Edns::new();
        edns.set_version(theirs.version());
        edns.set_max_payload(theirs.max_payload());
        edns.set_dnssec_ok(theirs.flags().dnssec_ok);
        plain.set_edns(edns);
    }
    plain.to_vec().ok()
}

fn refusal(query: &Message, message: &[u8], code: ResponseCode) -> Vec<u8> {
    let mut answer = Message::new(
        query.metadata.id,
        MessageType::Response,
        query.metadata.op_code,
    );
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.response_code = code;
    if query.queries.len() == 1 {
        answer.queries = query.queries.clone();
    }
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_LIMIT as u16);
        answer.set_edns(edns);
    }
    let written = answer
        .to_vec()
        .ok()
        .filter(|bytes| bytes.len() <= PLAIN_LIMIT);
    written.unwrap_or_else(|| error_header(message, code).to_vec())
}

/// A bare header that says `code`, for what cannot be read.
pub fn error_header(message: &[u8], code: ResponseCode) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    if let Some(start) = message.get(..4) {
        header[..2].copy_from_slice(&start[..2]);
        header[2] = flag::QR | (start[2] & 0x79);
        header[3] = code.low();
    }
    header
}

/// The answer to a plain question that only says `code`.
pub fn error_answer(question: &Question, message: &[u8], code: ResponseCode, out: &mut Vec<u8>) {
    out.clear();
    let limit = UDP_LIMIT;
    let mut answer = Answer {
        question,
        message,
        known: true,
        limit,
        out,
    };
    answer.begin(0, Code(code.low()));
    answer.finish(0);
}

#[cfg(test)]
mod tests;
