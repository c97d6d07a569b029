//! Answers: for plain questions by copying what was encoded in advance, for all others through
//! hickory's codec.

mod answer;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;
use serde::Serialize;

pub(crate) use answer::{Answer, Code, flag};

use crate::board::Snapshot;
use crate::cookie::Cookie;
use crate::encode::{HEADER, rtype};
use crate::hosted;
use crate::query::{Edns as Told, Kind, Question};
use crate::signed;
use crate::state::now;
use crate::table::Found;
use crate::zone::{Apex, UDP_LIMIT, Zones};

/// The size of an answer on UDP for those without EDNS.
const PLAIN_LIMIT: usize = 512;
/// Octets of an OPT record without options.
const OPT: usize = 11;
/// Octets of an answer at most.
pub const TCP_LIMIT: usize = 65_535;

/// The way a message came.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Answered with records.
    Answer,
    /// The name exists, the type does not.
    NoData,
    /// There is no such name.
    NxDomain,
    /// Told who answers for the name.
    Referral,
    /// Told to come by TCP.
    Truncated,
    /// Refused: class, kind of question, or a name that this client may not ask for.
    Refused,
    /// Not understood, or not done here.
    Failed,
    /// An update that is to be made. The answer is empty: it comes later.
    Update,
    /// Not ours: to be asked elsewhere. The answer is empty.
    Forward,
    /// No answer.
    Drop,
    /// No answer: too many for one network.
    Limited,
    /// The same, but told to come by TCP or with a cookie.
    Slipped,
}

/// Who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Client {
    /// It is resolved for.
    pub known: bool,
    /// It sees the internal view of hosted zones.
    pub inside: bool,
}

/// Answers `message` into `out`.
pub fn respond(
    snapshot: &Snapshot,
    question: &mut Question,
    message: &[u8],
    transport: Transport,
    client: Client,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    match question.read(message) {
        Kind::Plain => plain(snapshot, question, message, transport, client, out),
        Kind::Unusual => unusual(snapshot, question, message, transport, client, out),
        Kind::Broken => malformed(message, out),
        Kind::Noise => Outcome::Drop,
    }
}

fn plain(
    snapshot: &Snapshot,
    question: &Question,
    message: &[u8],
    transport: Transport,
    client: Client,
    out: &mut Vec<u8>,
) -> Outcome {
    let mut answer = Answer {
        question,
        message,
        known: client.known,
        limit: largest(transport, question.edns),
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
    let apex = zones.apex(question);
    if let Some(zone) = snapshot.hosted(client.inside).find(question)
        && apex.is_none_or(|apex| apex.labels <= zone.labels)
        && !apex.is_some_and(|apex| names_a_box(zones, apex, question))
    {
        return hosted::answer::answer(zone, &mut answer);
    }
    let known = client.known;
    let Some(apex) = apex else {
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
        Found::NoData => answer.negative(apex.labels, &apex.soa, Code::NO_ERROR),
        Found::Missing => answer.negative(apex.labels, &apex.soa, Code::NX_DOMAIN),
    }
}

/// Whether a hosted reverse zone gives way: the community's boxes have names of their own.
fn names_a_box(zones: &Zones, apex: &Apex, question: &Question) -> bool {
    let community = zones.community.as_deref();
    question.rtype == rtype::PTR
        && !community.is_some_and(|own| std::ptr::eq(own, apex))
        && matches!(apex.find(question), Found::Set(_))
}

/// Octets that an answer may have.
fn largest(transport: Transport, edns: Option<Told>) -> usize {
    match (transport, edns) {
        (Transport::Tcp, _) => TCP_LIMIT,
        (Transport::Udp, None) => PLAIN_LIMIT,
        (Transport::Udp, Some(edns)) => usize::from(edns.size).clamp(PLAIN_LIMIT, UDP_LIMIT),
    }
}

/// Messages that are not plain: first those that are signed (RFC 8945 section 5.3).
fn unusual(
    snapshot: &Snapshot,
    question: &mut Question,
    message: &[u8],
    transport: Transport,
    client: Client,
    out: &mut Vec<u8>,
) -> Outcome {
    let (mut signer, message) = match signed::check(&snapshot.keys, message) {
        Ok(Some(signed)) => signed,
        Ok(None) => return unsigned(snapshot, question, message, transport, client, out),
        Err(refusal) => {
            out.extend_from_slice(&refusal);
            return Outcome::Failed;
        }
    };
    let is_plain = question.read(&message) == Kind::Plain;
    let mut outcome = match is_plain {
        true => plain(snapshot, question, &message, transport, client, out),
        false => unsigned(snapshot, question, &message, transport, client, out),
    };
    if out.is_empty() {
        return outcome; // to be asked elsewhere, where nothing is signed
    }
    let room = largest(transport, question.edns).saturating_sub(signer.key().size());
    if is_plain && out.len() > room {
        let code = ResponseCode::from(0, out[3] & 0xf);
        error_answer(question, &message, code, out);
        out[2] |= flag::TC;
        outcome = Outcome::Truncated;
    }
    signer.sign(out, now());
    if let Some(edns) = &mut question.edns {
        edns.cookie = None; // nothing is added behind a signature
    }
    outcome
}

/// Messages that are neither plain nor signed.
fn unsigned(
    snapshot: &Snapshot,
    question: &mut Question,
    message: &[u8],
    transport: Transport,
    client: Client,
    out: &mut Vec<u8>,
) -> Outcome {
    let query = Message::from_vec(message).ok();
    let Some(query) = query.filter(|query| cookie(query) != Some(None)) else {
        return malformed(message, out);
    };
    let code = match &query.queries[..] {
        _ if query.metadata.op_code != OpCode::Query => ResponseCode::NotImp,
        [one] if one.query_class != DNSClass::IN => ResponseCode::Refused,
        [_] => ResponseCode::NoError,
        _ => ResponseCode::FormErr,
    };
    if code != ResponseCode::NoError {
        out.extend_from_slice(&reply(&query, message, code));
        return if code == ResponseCode::Refused {
            Outcome::Refused
        } else {
            Outcome::Failed
        };
    }
    // The same question in plain form.
    let Some(plain_form) = plain_form(&query) else {
        return malformed(message, out);
    };
    match question.read(&plain_form) {
        Kind::Plain => plain(snapshot, question, &plain_form, transport, client, out),
        _ => malformed(message, out),
    }
}

fn malformed(message: &[u8], out: &mut Vec<u8>) -> Outcome {
    out.extend_from_slice(&error_header(message, ResponseCode::FormErr));
    Outcome::Failed
}

/// The cookie of `query`: `None` without one, `Some(None)` if it is malformed.
fn cookie(query: &Message) -> Option<Option<Cookie>> {
    let options = query.edns.iter().flat_map(|edns| &edns.options().options);
    let mut cookies = options.filter(|(code, _)| u16::from(*code) == Cookie::OPTION);
    let (_, option) = cookies.next()?;
    Some(
        Vec::<u8>::try_from(option)
            .ok()
            .and_then(|data| Cookie::read(&data)),
    )
}

/// Octets that an answer to `query` may have, without the cookie that is added to it.
pub fn limit(query: &Message, transport: Transport) -> usize {
    if transport == Transport::Tcp {
        return TCP_LIMIT - Cookie::SIZE;
    }
    let size = query.edns.as_ref().map_or(PLAIN_LIMIT, |edns| {
        usize::from(edns.max_payload()).clamp(PLAIN_LIMIT, UDP_LIMIT)
    });
    size - cookie(query).map_or(0, |_| Cookie::SIZE)
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

/// An answer to `query`, which is `message`, that only says `code`.
pub fn reply(query: &Message, message: &[u8], code: ResponseCode) -> Vec<u8> {
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

/// Leaves of an answer to a plain question only that there is more for those who come by TCP,
/// or with the cookie that they are given (BADCOOKIE, RFC 7873 section 5.2.3).
pub fn cut_short(question: &Question, cookie: bool, out: &mut Vec<u8>) {
    out.truncate(question.end());
    let Some(header) = out.first_chunk_mut::<HEADER>() else {
        return;
    };
    header[2] &= !(flag::AA | flag::TC);
    header[3] &= 0xf0;
    header[6..].fill(0);
    let extended = if cookie {
        header[3] |= Code::BAD_COOKIE.0;
        1
    } else {
        header[2] |= flag::TC;
        0
    };
    let mut answer = Answer {
        question,
        message: &[],
        known: false,
        limit: PLAIN_LIMIT,
        out,
    };
    answer.finish(extended);
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
