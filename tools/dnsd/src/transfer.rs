//! Whole zones and their changes for other servers (AXFR, RFC 5936; IXFR, RFC 1995), over TCP.

mod community;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RData};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

pub use self::community::Given;
use crate::board::Snapshot;
use crate::encode::{HEADER, rtype};
use crate::hosted::Zone;
use crate::hosted::blob::Delta;
use crate::hosted::holder::Order;
use crate::hosted::rrset::{Record, name_at, newer, stored, write_tail};
use crate::hosted::spec::Access;
use crate::name::Name;
use crate::query::Question;
use crate::respond::{Client, error_header, flag};
use crate::table::Table;
use crate::zone::{Apex, Zones};

/// Octets of one message, about: pointers reach no further.
const MESSAGE: usize = 16_000;
/// The name of the zone stands in the question of each message.
const TO_ZONE: [u8; 2] = [0xc0, HEADER as u8];

/// A question for a transfer.
#[derive(Clone, Debug)]
pub struct Request {
    id: u16,
    question: Question,
    /// The serial that the client has, if it wants the changes alone.
    serial: Option<u32>,
}

/// Reads `message` if it asks for a transfer.
pub fn request(message: &[u8]) -> Option<Request> {
    // Nearly no message does: look at the type before reading it all.
    let name = name_at(message, HEADER)?;
    let kind = message.get(HEADER + name.len()..HEADER + name.len() + 2)?;
    if ![rtype::AXFR, rtype::IXFR].contains(&u16::from_be_bytes([kind[0], kind[1]])) {
        return None;
    }
    let query = Message::from_vec(message).ok()?;
    let [asked] = &query.queries[..] else {
        return None;
    };
    let kind = u16::from(asked.query_type);
    let mut question = Question::default();
    let name = Name::from_labels(asked.name.iter())?;
    if query.metadata.op_code != OpCode::Query
        || !matches!(kind, rtype::AXFR | rtype::IXFR)
        || asked.query_class != DNSClass::IN
        || !question.set(name.wire(), kind)
    {
        return None;
    }
    let serial = query
        .authorities
        .iter()
        .find_map(|record| match &record.data {
            RData::SOA(soa) if kind == rtype::IXFR => Some(soa.serial),
            _ => None,
        });
    Some(Request {
        id: query.metadata.id,
        question,
        serial,
    })
}

impl Request {
    /// Whether the client has this state of the zone already.
    fn has(&self, serial: u32) -> bool {
        self.serial.is_some_and(|theirs| !newer(serial, theirs))
    }
}

/// What goes out, in the order of the records.
struct Transfer {
    request: Request,
    out: Vec<u8>,
    count: u16,
    messages: Vec<Vec<u8>>,
}

impl Transfer {
    fn new(request: Request) -> Self {
        let mut transfer = Self {
            request,
            out: Vec::new(),
            count: 0,
            messages: Vec::new(),
        };
        transfer.begin();
        transfer
    }

    fn begin(&mut self) {
        let question = &self.request.question;
        self.count = 0;
        self.out.extend_from_slice(&self.request.id.to_be_bytes());
        let flags = flag::QR | flag::AA;
        self.out
            .extend_from_slice(&[flags, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        self.out.extend_from_slice(question.name());
        self.out.extend_from_slice(&question.rtype.to_be_bytes());
        self.out.extend_from_slice(&[0, 1]);
    }

    /// Adds a record; `front` are the labels in front of the name of the zone.
    fn add(&mut self, front: &[u8], rtype: u16, ttl: u32, data: &[u8]) {
        let size = front.len() + TO_ZONE.len() + 10 + data.len();
        if self.count > 0 && self.out.len() + size > MESSAGE {
            self.end();
            self.begin();
        }
        self.out.extend_from_slice(front);
        self.out.extend_from_slice(&TO_ZONE);
        write_tail(&mut self.out, rtype, ttl, data);
        self.count += 1;
    }

    fn add_record(&mut self, zone: &Name, record: &Record) {
        let length = record.owner.lower().below(zone).map_or(0, <[u8]>::len);
        let front = record.owner.wire().get(..length).unwrap_or_default();
        self.add(front, record.rtype, record.ttl, &record.data);
    }

    /// A table of a hosted zone, without the SOA record.
    fn add_table(&mut self, table: &Table) {
        for node in table.nodes() {
            for (rtype, set) in node.sets().filter(|(rtype, _)| *rtype != rtype::SOA) {
                for (ttl, data) in stored(set.answer) {
                    self.add(node.name, rtype, ttl, data);
                }
            }
        }
    }

    fn end(&mut self) {
        self.out[6..8].copy_from_slice(&self.count.to_be_bytes());
        self.messages.push(std::mem::take(&mut self.out));
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        self.end();
        self.messages
    }
}

/// A zone that goes out.
#[derive(Clone, Debug)]
pub enum Source {
    /// One that is hosted.
    Hosted(Arc<Zone>),
    /// The community's domain.
    Community(Arc<Zones>, Arc<Apex>),
}

/// The zone that `request`, signed with `key`, may have. `access` says who may have the
/// community's domain.
///
/// # Errors
/// The message that refuses it.
pub fn source(
    snapshot: &Snapshot,
    access: &Access,
    request: &Request,
    (address, client): (IpAddr, Client),
    key: Option<&Name>,
) -> Result<Source, Vec<u8>> {
    let question = &request.question;
    let refuse = |code| Err(refusal(request, code));
    let allows = |access: &Access, zone: &Name| {
        access.allows(address, key) || key.is_some_and(|key| snapshot.keys.transfers(key, zone))
    };
    let hosted = snapshot.hosted(client.inside).find(question);
    if let Some(zone) = hosted.filter(|zone| zone.name.wire() == question.name()) {
        return match allows(&zone.transfer, &zone.name) {
            true if zone.expired => refuse(ResponseCode::ServFail),
            true => Ok(Source::Hosted(zone.clone())),
            false => refuse(ResponseCode::Refused),
        };
    }
    match &snapshot.zones.community {
        Some(apex) if apex.name.wire() != question.name() => refuse(ResponseCode::NotAuth),
        None => refuse(ResponseCode::NotAuth),
        Some(apex) if !allows(access, &apex.name) => refuse(ResponseCode::Refused),
        Some(apex) => Ok(Source::Community(snapshot.zones.clone(), apex.clone())),
    }
}

/// The messages that answer `request` from `source`. It is put together apart from the threads
/// that answer questions: a large zone takes a while.
///
/// # Errors
/// If that thread ended before its time.
pub async fn answer(
    source: Source,
    (orders, given): (&Sender<Order>, &Given),
    request: Request,
) -> io::Result<Vec<Vec<u8>>> {
    let changes = match (&source, request.serial) {
        (Source::Hosted(zone), Some(serial)) if newer(zone.serial, serial) => {
            changes(zone, orders, serial).await
        }
        _ => None,
    };
    let before = match (&source, request.serial) {
        (Source::Community(..), Some(serial)) => given.get(serial),
        _ => None,
    };
    if let Source::Community(zones, _) = &source {
        given.remember(zones);
    }
    let write = move || match source {
        Source::Hosted(zone) => hosted(&zone, changes, Transfer::new(request)),
        Source::Community(zones, apex) => {
            community::write(&zones, &apex, before.as_deref(), Transfer::new(request))
        }
    };
    Ok(spawn_blocking(write).await?)
}

fn refusal(request: &Request, code: ResponseCode) -> Vec<u8> {
    let mut message = Transfer::new(request.clone()).out;
    message[2] &= !flag::AA;
    message[3] = error_header(&message, code)[3];
    message
}

fn hosted(zone: &Zone, changes: Option<Vec<Delta>>, mut transfer: Transfer) -> Vec<Vec<u8>> {
    let Some((ttl, soa)) = zone.start() else {
        return vec![refusal(&transfer.request, ResponseCode::ServFail)];
    };
    transfer.add(b"", rtype::SOA, ttl, &soa);
    if transfer.request.has(zone.serial) {
        return transfer.finish();
    }
    match changes {
        Some(changes) => {
            for record in changes
                .iter()
                .flat_map(|delta| delta.removed.iter().chain(&delta.added))
            {
                transfer.add_record(&zone.name, record);
            }
        }
        None => {
            for table in zone.tables() {
                transfer.add_table(table);
            }
        }
    }
    transfer.add(b"", rtype::SOA, ttl, &soa);
    transfer.finish()
}

/// The changes from `serial` to just this state of the zone.
async fn changes(zone: &Zone, orders: &Sender<Order>, serial: u32) -> Option<Vec<Delta>> {
    let (reply, changes) = oneshot::channel();
    let (name, view) = (zone.name.clone(), zone.kept_as);
    let order = Order::Since {
        name,
        view,
        serial,
        reply,
    };
    orders.send(order).ok()?;
    let changes: Vec<Delta> = changes.await.ok()??;
    let whole = changes.windows(2).all(|pair| pair[0].to == pair[1].from);
    // The zone may have moved on since: the client gets what it was promised, and more later.
    let end = changes.iter().position(|delta| delta.to == zone.serial)?;
    whole.then(|| changes.into_iter().take(end + 1).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hickory_proto::op::{MessageType, Query};
    use hickory_proto::rr::rdata::SOA;
    use hickory_proto::rr::{Name as WireName, Record as WireRecord, RecordType};

    use super::*;

    fn question(kind: RecordType) -> Vec<u8> {
        let name = WireName::from_ascii("vall.example.").unwrap();
        let mut query = Message::new(1, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name.clone(), kind));
        let soa = SOA::new(WireName::root(), WireName::root(), 7, 0, 0, 0, 0);
        query.add_authority(WireRecord::from_rdata(name, 0, RData::SOA(soa)));
        query.to_vec().unwrap()
    }

    #[test]
    fn questions_for_transfers_are_told_from_all_others() {
        let read = |kind| request(&question(kind));
        assert_eq!(read(RecordType::IXFR).unwrap().serial, Some(7));
        assert_eq!(read(RecordType::AXFR).unwrap().serial, None);
        assert!(read(RecordType::SOA).is_none());
    }

    #[test]
    fn whatever_asks_is_refused_in_one_sound_message() {
        let samples = [RecordType::IXFR, RecordType::AXFR].map(question);
        let stranger = Client {
            known: false,
            inside: false,
        };
        guifi_testing::fuzz::bytes("question for a transfer", &samples, |bytes| {
            let Some(request) = request(bytes) else {
                return;
            };
            let who = ([192, 0, 2, 1].into(), stranger);
            let refused = source(
                &Snapshot::default(),
                &Access::default(),
                &request,
                who,
                None,
            );
            let message = Message::from_vec(&refused.unwrap_err()).unwrap();
            assert_ne!(message.metadata.response_code, ResponseCode::NoError);
        });
    }
}
