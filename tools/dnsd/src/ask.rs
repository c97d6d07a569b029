//! Asking a responder and reading its answer with hickory's codec: for tests.
#![allow(clippy::unwrap_used)]

use std::str::FromStr as _;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name as HickoryName, RData, RecordType};

use crate::board::Snapshot;
use crate::name::Name;
use crate::query::Question;
use crate::respond::{Client, Outcome, Transport, respond};

/// A query for `name`, with EDNS of `size` octets if given.
pub(crate) fn query(name: &str, rtype: RecordType, size: Option<u16>) -> Message {
    let mut query = Message::new(4711, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(HickoryName::from_str(name).unwrap(), rtype));
    if let Some(size) = size {
        let mut edns = Edns::new();
        edns.set_max_payload(size);
        query.set_edns(edns);
    }
    query
}

/// Sends raw octets through the responder.
pub(crate) fn raw(snapshot: &Snapshot, bytes: &[u8], transport: Transport) -> (Outcome, Vec<u8>) {
    let mut out = Vec::new();
    let mut question = Question::default();
    let client = Client {
        known: true,
        inside: true,
    };
    let outcome = respond(snapshot, &mut question, bytes, transport, client, &mut out);
    (outcome, out)
}

/// Asks for `name` (in the text form of this crate) and gives the whole answer.
pub(crate) fn ask(snapshot: &Snapshot, name: &str, rtype: RecordType) -> (Outcome, Message) {
    let mut bytes = query(".", rtype, Some(1232)).to_vec().unwrap();
    bytes.splice(12..13, Name::parse(name).unwrap().wire().iter().copied());
    let (outcome, out) = raw(snapshot, &bytes, Transport::Tcp);
    (outcome, Message::from_vec(&out).unwrap())
}

/// The data of all answers as text, in order of the text.
pub(crate) fn data(snapshot: &Snapshot, name: &str, rtype: RecordType) -> Vec<String> {
    let (_, message) = ask(snapshot, name, rtype);
    let mut data: Vec<_> = message
        .answers
        .iter()
        .map(|r| match &r.data {
            // hickory writes octal escapes.
            RData::PTR(name) => Name::from_labels(name.0.iter()).unwrap().to_string(),
            data => data.to_string(),
        })
        .collect();
    data.sort();
    data
}
