//! Answers from outside: what of them is kept, and how it is told to a client.

use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::cache::Stored;
use crate::zone::UDP_LIMIT;

/// The longest lives of an answer and of "no such name".
const MAX_LIFE: u32 = 86_400;
const MAX_NEGATIVE_LIFE: u32 = 900;
/// Time to live of an answer past its life.
const STALE_TTL: u32 = 30;
/// Aliases that are followed in an answer.
const CHAIN: usize = 16;

/// An answer as it is kept: without EDNS, and with the shortest of its lives.
/// Only what answers the question that `plain` asks; none if that is no question.
pub(super) fn store(mut message: Message, plain: &[u8], validated: bool) -> Option<Stored> {
    let query = Message::from_vec(plain).ok()?;
    message.edns = None;
    message.signature = None;
    message.metadata.authentic_data &= validated;
    scrub(&mut message, query.queries.first()?);
    let negative = message.answers.is_empty();
    let life = if negative {
        let soa = message
            .authorities
            .iter()
            .find_map(|record| match &record.data {
                RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                _ => None,
            });
        soa.unwrap_or(0).min(MAX_NEGATIVE_LIFE)
    } else {
        let all = message.answers.iter().chain(&message.authorities);
        all.map(|record| record.ttl)
            .min()
            .unwrap_or(0)
            .min(MAX_LIFE)
    };
    let good = matches!(
        message.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    );
    Some(Stored {
        message: message.to_vec().ok()?,
        since: Instant::now(),
        life: Duration::from_secs(u64::from(if good { life } else { 0 })),
    })
}

/// The answer for one client: its question as it wrote it, lives counted down, cut to `limit`.
pub(super) fn deliver(
    query: &Message,
    asked: &Query,
    stored: Option<&Stored>,
    limit: usize,
) -> Option<Vec<u8>> {
    let mut answer = match stored {
        Some(stored) => {
            let mut answer = Message::from_vec(&stored.message).ok()?;
            let age = u32::try_from(stored.since.elapsed().as_secs()).unwrap_or(u32::MAX);
            let fresh = stored.fresh(Instant::now()) || stored.life.is_zero();
            let sections = [
                &mut answer.answers,
                &mut answer.authorities,
                &mut answer.additionals,
            ];
            for record in sections.into_iter().flatten() {
                record.ttl = if fresh {
                    record.ttl.saturating_sub(age)
                } else {
                    STALE_TTL
                };
                if record.name == asked.name {
                    record.name = asked.name.clone(); // equal but for its letter case
                }
            }
            answer
        }
        None => {
            let mut failed = Message::response(query.metadata.id, query.metadata.op_code);
            failed.metadata.response_code = ResponseCode::ServFail;
            failed
        }
    };
    answer.metadata.id = query.metadata.id;
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.authoritative = false;
    // As the recursor found it, for those who want to know (RFC 6840 section 5.7).
    let dnssec_ok = query
        .edns
        .as_ref()
        .is_some_and(|edns| edns.flags().dnssec_ok);
    answer.metadata.authentic_data &= dnssec_ok || query.metadata.authentic_data;
    answer.metadata.truncation = false;
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.checking_disabled = query.metadata.checking_disabled;
    answer.queries = vec![asked.clone()];
    if let Some(theirs) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_LIMIT as u16);
        edns.set_dnssec_ok(theirs.flags().dnssec_ok);
        answer.set_edns(edns);
    }
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    answer.additionals.clear();
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    answer.answers.clear();
    answer.authorities.clear();
    answer.metadata.truncation = true;
    answer.to_vec().ok()
}

/// Takes out of an answer all that does not answer the question: a server could put names of
/// others there. What is left is the chain of aliases from the question on with what stands at
/// its end, and for "no such thing" the proof of it.
fn scrub(message: &mut Message, asked: &Query) {
    let chain = chain(&message.answers, asked);
    let kind = asked.query_type();
    message.answers.retain(|record| {
        let links = |kind| matches!(kind, RecordType::CNAME | RecordType::DNAME);
        let fits = match &record.data {
            data if data.record_type() == kind || kind == RecordType::ANY => true,
            data if links(data.record_type()) => true,
            _ => signs(record, |covered| covered == kind || links(covered)),
        };
        let owner = &record.name;
        let dname = record.record_type() == RecordType::DNAME
            || signs(record, |covered| covered == RecordType::DNAME);
        let on_the_way = |name: &Name| owner == name || (dname && owner.zone_of(name));
        record.dns_class == DNSClass::IN && fits && chain.iter().any(on_the_way)
    });
    let end = chain.last().unwrap_or(&asked.name);
    let proof = |kind| matches!(kind, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3);
    let soa = message
        .authorities
        .iter()
        .find(|record| record.record_type() == RecordType::SOA);
    // Proofs are names beside the one asked for, in its zone.
    let zone = soa.map_or_else(Name::root, |soa| soa.name.clone());
    message.authorities.retain(|record| {
        let fits = proof(record.record_type()) || signs(record, proof);
        record.dns_class == DNSClass::IN && fits && zone.zone_of(end) && zone.zone_of(&record.name)
    });
    message.additionals.clear();
}

/// The names from the question over aliases to the last one.
fn chain(answers: &[Record], asked: &Query) -> Vec<Name> {
    let mut names = vec![asked.name.clone()];
    while names.len() <= CHAIN {
        let last = names.last();
        let next = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if Some(&record.name) == last => Some(target.0.clone()),
            _ => None,
        });
        match next.filter(|next| !names.contains(next)) {
            Some(next) => names.push(next),
            None => break,
        }
    }
    names
}

/// Whether a record is a signature of a set of such a type. Its data begins with the number.
fn signs(record: &Record, of: impl Fn(RecordType) -> bool) -> bool {
    match &record.data {
        RData::Unknown {
            code: RecordType::RRSIG,
            rdata,
        } => {
            let covered = rdata.anything.first_chunk::<2>();
            covered.is_some_and(|covered| of(u16::from_be_bytes(*covered).into()))
        }
        _ => false,
    }
}
