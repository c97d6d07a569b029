//! Answers from hosted zones: stored sets are copied, aliases followed within the zone, and the
//! addresses that a set leads to are added while there is room.

use super::rrset::{HEAD, name_at, stored, target_at};
use super::zone::{Found, Zone, alias};
use crate::encode::{HEADER, rtype};
use crate::query::Question;
use crate::respond::{Answer, Code, Outcome, flag};
use crate::table::Set;

/// Aliases that are followed.
const HOPS: usize = 16;
/// Pointers reach this far.
const MAX_POINTER: usize = 0x3fff;
/// Hosts whose addresses are added.
const HOSTS: usize = 16;

/// Answers from `zone`, in which the question's name lies.
pub(crate) fn answer(zone: &Zone, answer: &mut Answer<'_>) -> Outcome {
    if zone.expired {
        answer.begin(0, Code::SERV_FAIL);
        answer.finish(0);
        return Outcome::Failed;
    }
    answer.begin(flag::AA, Code::NO_ERROR);
    let question = answer.question;
    let mut owner = HEADER;
    let mut target = Question::default();
    for hop in 0..HOPS {
        let asked = if hop == 0 { question } else { &target };
        match zone.find(asked) {
            Found::Set(set) => {
                let start = answer.out.len();
                if !append(answer, set, owner) {
                    return truncated(answer, set, hop);
                }
                hosts(zone, answer, start, question.rtype);
                answer.finish(0);
                return Outcome::Answer;
            }
            Found::Alias(set) => {
                let start = answer.out.len();
                if !append(answer, set, owner) {
                    return truncated(answer, set, hop);
                }
                owner = start + HEAD;
                let inside = alias(set).is_some_and(|name| {
                    target.set(name, question.rtype)
                        && target.ends_with(zone.name.wire(), zone.labels)
                });
                if !inside {
                    return leaves(answer);
                }
            }
            Found::Referral(labels, servers) => {
                if answer.known && answer.recursion_desired() {
                    return elsewhere(answer);
                }
                if hop == 0 {
                    answer.out[2] &= !flag::AA;
                }
                return refer(zone, answer, asked, labels, servers, owner);
            }
            Found::NoData => return negative(zone, answer, Code::NO_ERROR),
            Found::Missing => return negative(zone, answer, Code::NX_DOMAIN),
        }
    }
    // A circle, or nearly: what was found is true all the same.
    answer.finish(0);
    Outcome::Answer
}

/// The alias leads out of the zone. Those that are resolved for want its end as well.
fn leaves(answer: &mut Answer<'_>) -> Outcome {
    let more = !matches!(answer.question.rtype, rtype::CNAME | rtype::ANY);
    if more && answer.known && answer.recursion_desired() {
        return elsewhere(answer);
    }
    answer.finish(0);
    Outcome::Answer
}

fn elsewhere(answer: &mut Answer<'_>) -> Outcome {
    answer.out.clear();
    Outcome::Forward
}

/// Adds a set with its owner at an offset of the message; `false` if there is no room.
fn append(answer: &mut Answer<'_>, set: Set<'_>, owner: usize) -> bool {
    if set.answer.len() > answer.room() {
        return false;
    }
    let start = answer.out.len();
    answer.out.extend_from_slice(set.answer);
    if owner != HEADER {
        point(&mut answer.out[start..], owner);
    }
    answer.count(6, set.count);
    true
}

/// Lets all records of a set begin with a pointer to `owner`.
fn point(records: &mut [u8], owner: usize) {
    let pointer = (0xc000 | owner as u16).to_be_bytes(); // at most MAX_POINTER
    let mut at = 0;
    while let Some(place) = records.get_mut(at..at + HEAD) {
        place[..2].copy_from_slice(&pointer);
        at += HEAD + usize::from(u16::from_be_bytes([place[10], place[11]]));
    }
}

fn truncated(answer: &mut Answer<'_>, set: Set<'_>, hop: usize) -> Outcome {
    answer.truncate(if hop == 0 { set.answer } else { &[] });
    Outcome::Truncated
}

/// Adds the addresses of the hosts that the records from `start` on lead to.
fn hosts(zone: &Zone, answer: &mut Answer<'_>, start: usize, rtype: u16) {
    if !matches!(rtype, rtype::NS | rtype::MX | rtype::SRV) {
        return;
    }
    let Some(at) = target_at(rtype) else { return };
    let mut places = [0; HOSTS];
    let mut count = 0;
    let mut from = start;
    for (_, data) in stored(&answer.out[start..]).take(HOSTS) {
        places[count] = from + HEAD + at;
        count += 1;
        from += HEAD + data.len();
    }
    addresses(zone, answer, &places[..count]);
}

/// Adds the addresses of the names that stand at these places of the message.
fn addresses(zone: &Zone, answer: &mut Answer<'_>, places: &[usize]) {
    let mut host = Question::default();
    for (index, &place) in places.iter().enumerate() {
        let name = name_at(answer.out, place).unwrap_or_default();
        let again = |&&before: &&usize| name_at(answer.out, before) == Some(name);
        if place > MAX_POINTER || places[..index].iter().any(|before| again(&before)) {
            continue;
        }
        if !host.set(name, rtype::A) || !host.ends_with(zone.name.wire(), zone.labels) {
            continue;
        }
        for kind in [rtype::A, rtype::AAAA] {
            let Some(set) = zone.glue(&host, kind) else {
                continue;
            };
            if set.answer.len() > answer.room() || set.count > 64 {
                return; // worth having, not worth a second question by TCP
            }
            let start = answer.out.len();
            answer.out.extend_from_slice(set.answer);
            point(&mut answer.out[start..], place);
            answer.count(10, set.count);
        }
    }
}

/// Names the servers of the zone below, of which `asked` has `labels` labels.
fn refer(
    zone: &Zone,
    answer: &mut Answer<'_>,
    asked: &Question,
    labels: usize,
    servers: Set<'_>,
    owner: usize,
) -> Outcome {
    let cut = owner + asked.offset(labels);
    if servers.answer.len() > answer.room() {
        answer.out[2] |= flag::TC;
        answer.finish(0);
        return Outcome::Truncated;
    }
    let start = answer.out.len();
    answer.out.extend_from_slice(servers.answer);
    point(&mut answer.out[start..], cut);
    answer.count(8, servers.count);
    hosts(zone, answer, start, rtype::NS);
    answer.finish(0);
    Outcome::Referral
}

fn negative(zone: &Zone, answer: &mut Answer<'_>, code: Code) -> Outcome {
    answer.negative(zone.labels, &zone.soa, code)
}
