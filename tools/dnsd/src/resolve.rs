//! Answers that begin in a hosted zone and end elsewhere: an alias that leads out of it, or a
//! delegation. Only for clients that are resolved for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name as WireName, RData, Record, RecordType};

use crate::board::Snapshot;
use crate::forward::Forwarder;
use crate::query::{Kind, Question};
use crate::respond::{Client, Outcome, Transport, error_header, limit, plain_form, respond};
use crate::zone::UDP_LIMIT;

/// Steps from zone to zone.
const STEPS: usize = 8;
/// Who is resolved for sees everything.
const CLIENT: Client = Client {
    known: true,
    inside: true,
};

/// Answers `message`, which the responder could not answer alone.
pub async fn answer(
    snapshot: Arc<Snapshot>,
    forwarder: &Arc<Forwarder>,
    message: &[u8],
    transport: Transport,
) -> Vec<u8> {
    if !begins_here(&snapshot, message) {
        return forwarder.answer(message, transport, &[]).await;
    }
    let Ok(query) = Message::from_vec(message) else {
        return error_header(message, ResponseCode::FormErr).to_vec();
    };
    let [asked] = &query.queries[..] else {
        return error_header(message, ResponseCode::FormErr).to_vec();
    };
    let mut chain = Vec::new();
    let mut end = follow(&snapshot, forwarder, asked, &mut chain).await;
    chain.append(&mut end.answers);
    end.answers = chain;
    deliver(&query, asked, end, transport)
        .unwrap_or_else(|| error_header(message, ResponseCode::ServFail).to_vec())
}

fn begins_here(snapshot: &Snapshot, message: &[u8]) -> bool {
    if snapshot.hosted(true).is_empty() {
        return false;
    }
    let mut question = Question::default();
    let plain = match question.read(message) {
        Kind::Plain => true,
        Kind::Unusual => Message::from_vec(message)
            .ok()
            .and_then(|query| plain_form(&query))
            .is_some_and(|plain| question.read(&plain) == Kind::Plain),
        Kind::Broken | Kind::Noise => false,
    };
    plain && snapshot.hosted(true).find(&question).is_some()
}

/// Goes from zone to zone, adding to `chain` what is found on the way; gives the last answer.
async fn follow(
    snapshot: &Snapshot,
    forwarder: &Arc<Forwarder>,
    asked: &Query,
    chain: &mut Vec<Record>,
) -> Message {
    let kind = asked.query_type();
    let mut name = asked.name.clone();
    for _ in 0..STEPS {
        let Some((outcome, found)) = step(snapshot, &name, kind) else {
            break;
        };
        let servers = match outcome {
            Outcome::Forward => Vec::new(),
            Outcome::Referral => servers(&found),
            _ => {
                let alias = target(&found.answers).filter(|_| {
                    outcome == Outcome::Answer
                        && kind != RecordType::CNAME
                        && kind != RecordType::ANY
                });
                let Some(alias) = alias else { return found };
                chain.extend(found.answers);
                name = alias;
                continue;
            }
        };
        if let Some(alias) = target(&found.answers) {
            chain.extend(found.answers);
            name = alias;
        }
        let Some(question) = bytes(&name, kind, true) else {
            break;
        };
        let end = forwarder.answer(&question, Transport::Tcp, &servers).await;
        return Message::from_vec(&end).unwrap_or_else(|_| failed());
    }
    failed()
}

fn failed() -> Message {
    let mut failed = Message::response(0, OpCode::Query);
    failed.metadata.response_code = ResponseCode::ServFail;
    failed
}

/// What we know about `name` ourselves.
fn step(snapshot: &Snapshot, name: &WireName, kind: RecordType) -> Option<(Outcome, Message)> {
    let message = bytes(name, kind, false)?;
    let (mut question, mut out) = (Question::default(), Vec::new());
    let outcome = respond(
        snapshot,
        &mut question,
        &message,
        Transport::Tcp,
        CLIENT,
        &mut out,
    );
    let found = if outcome == Outcome::Forward {
        failed() // empty, and not looked at
    } else {
        Message::from_vec(&out).ok()?
    };
    Some((outcome, found))
}

fn bytes(name: &WireName, kind: RecordType, recursion_desired: bool) -> Option<Vec<u8>> {
    let mut query = Message::new(0, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = recursion_desired;
    query.add_query(Query::query(name.clone(), kind));
    query.to_vec().ok()
}

/// The name that the last of these aliases stands for.
fn target(answers: &[Record]) -> Option<WireName> {
    match &answers.last()?.data {
        RData::CNAME(name) => Some(name.0.clone()),
        _ => None,
    }
}

/// The servers that a referral names, as far as it has their addresses.
fn servers(referral: &Message) -> Vec<SocketAddr> {
    let address = |record: &Record| match &record.data {
        RData::A(a) => Some(IpAddr::from(a.0)),
        RData::AAAA(a) => Some(IpAddr::from(a.0)),
        _ => None,
    };
    let addresses = referral.additionals.iter().filter_map(address);
    addresses.map(|ip| SocketAddr::new(ip, 53)).collect()
}

fn deliver(query: &Message, asked: &Query, end: Message, transport: Transport) -> Option<Vec<u8>> {
    let mut answer = end;
    answer.metadata.id = query.metadata.id;
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.authoritative = false;
    answer.metadata.truncation = false;
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.checking_disabled = query.metadata.checking_disabled;
    answer.queries = vec![asked.clone()];
    answer.edns = None;
    if let Some(theirs) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_LIMIT as u16);
        edns.set_dnssec_ok(theirs.flags().dnssec_ok);
        answer.set_edns(edns);
    }
    let limit = limit(query, transport);
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    answer.answers.clear();
    answer.authorities.clear();
    answer.additionals.clear();
    answer.metadata.truncation = true;
    answer.to_vec().ok()
}
