//! Word of a change from a primary (RFC 1996): heard from those that the zone is fetched from,
//! and from nobody else. What it says is a hint; the primary is asked itself.

use std::borrow::Cow;
use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, RecordType};

use super::Followed;
use crate::board::Snapshot;
use crate::hosted::rrset::newer;
use crate::hosted::spec::Server;
use crate::name::Name;
use crate::respond::{Outcome, error_header, reply};
use crate::signed;
use crate::state::now;

/// Answers a NOTIFY from `client` into `out`, and has the zone asked for if it may be new.
pub fn receive(snapshot: &Snapshot, message: &[u8], client: IpAddr, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    let (mut signer, plain) = match signed::check(&snapshot.keys, message) {
        Ok(None) => (None, Cow::Borrowed(message)),
        Ok(Some((signer, plain))) => (Some(signer), Cow::Owned(plain)),
        Err(refusal) => {
            out.extend_from_slice(&refusal);
            return Outcome::Failed;
        }
    };
    let Ok(notice) = Message::from_vec(&plain) else {
        out.extend_from_slice(&error_header(message, ResponseCode::FormErr));
        return Outcome::Failed;
    };
    let key = signer.as_ref().map(|signer| signer.key().name());
    let code = judge(snapshot, &notice, client.to_canonical(), key);
    out.extend_from_slice(&reply(&notice, message, code));
    if let Some(signer) = &mut signer {
        signer.sign(out, now());
    }
    match code {
        ResponseCode::NoError => Outcome::Answer,
        ResponseCode::Refused => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

fn judge(
    snapshot: &Snapshot,
    notice: &Message,
    client: IpAddr,
    key: Option<&Name>,
) -> ResponseCode {
    let [asked] = &notice.queries[..] else {
        return ResponseCode::FormErr;
    };
    if asked.query_class != DNSClass::IN || asked.query_type != RecordType::SOA {
        return ResponseCode::NotImp;
    }
    let Some(zone) = Name::from_labels(asked.name.iter()).map(|name| name.lower()) else {
        return ResponseCode::FormErr;
    };
    let zones = snapshot.followed.get(&zone);
    if zones.is_empty() {
        return ResponseCode::NotAuth;
    }
    // Who shares a key must use it.
    let is = |primary: &Server| match &primary.key {
        Some(name) => key == Some(name),
        None => primary.address.ip().to_canonical() == client,
    };
    let from = |zone: &Followed| zone.primaries.iter().any(is);
    let theirs: Vec<_> = zones.iter().filter(|zone| from(zone)).collect();
    if theirs.is_empty() {
        if snapshot.followed.may_complain() {
            log::warn!("{client} says that {zone} has changed, and is no primary of it; refused");
        }
        return ResponseCode::Refused;
    }
    let hint = notice.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) if record.name == asked.name => Some(soa.serial),
        _ => None,
    });
    for zone in theirs {
        let ours = snapshot.copy(zone).map(|copy| copy.serial);
        // Without a hint, or a copy, it is always new.
        if hint.zip(ours).is_none_or(|(hint, ours)| newer(hint, ours)) {
            zone.ring(false);
        }
    }
    ResponseCode::NoError
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use hickory_proto::op::{MessageType, OpCode, Query};
    use hickory_proto::rr::rdata::SOA;
    use hickory_proto::rr::{Name as WireName, Record};

    use super::super::Register;
    use super::*;
    use crate::hosted::content::Content;
    use crate::hosted::spec::Access;
    use crate::hosted::{Hosted, View, Zone, file};

    fn zone() -> Name {
        Name::parse("vall.example").unwrap()
    }

    /// A copy with serial 7 of a zone at 10.0.0.1.
    fn snapshot() -> (Snapshot, Arc<Followed>) {
        let primary = Server {
            address: "10.0.0.1:53".parse().unwrap(),
            key: None,
        };
        let followed = Arc::new(Followed::new(zone(), View::Internal, vec![primary]));
        let records = file::read("@ 60 SOA ns dns 7 60 60 60 60\n", None, &zone()).unwrap();
        let content = Content::of(&zone(), records);
        let copy = Zone::new(&content, Access::default(), View::Internal).unwrap();
        let snapshot = Snapshot {
            internal: Arc::new(Hosted::new([Arc::new(copy)])),
            followed: Arc::new(Register::new([followed.clone()])),
            ..Snapshot::default()
        };
        (snapshot, followed)
    }

    fn notice(name: &str, serial: Option<u32>) -> Vec<u8> {
        let name = WireName::from_ascii(name).unwrap();
        let mut notice = Message::new(1, MessageType::Query, OpCode::Notify);
        notice.add_query(Query::query(name.clone(), RecordType::SOA));
        if let Some(serial) = serial {
            let soa = SOA::new(WireName::root(), WireName::root(), serial, 0, 0, 0, 0);
            notice.add_answer(Record::from_rdata(name, 0, RData::SOA(soa)));
        }
        notice.to_vec().unwrap()
    }

    /// The code of the answer, and whether the bell was rung.
    fn hear(name: &str, serial: Option<u32>, client: [u8; 4]) -> (ResponseCode, bool) {
        let (snapshot, followed) = snapshot();
        let mut out = Vec::new();
        receive(&snapshot, &notice(name, serial), client.into(), &mut out);
        let answer = Message::from_vec(&out).unwrap();
        assert_eq!(answer.metadata.op_code, OpCode::Notify);
        assert_eq!(answer.metadata.message_type, MessageType::Response);
        (answer.metadata.response_code, followed.take())
    }

    #[test]
    fn only_a_primary_is_heard_and_only_if_there_may_be_something_new() {
        use ResponseCode::{NoError, NotAuth, Refused};
        let primary = [10, 0, 0, 1];
        assert_eq!(hear("VALL.example.", None, primary), (NoError, true));
        assert_eq!(hear("vall.example.", Some(8), primary), (NoError, true));
        assert_eq!(hear("vall.example.", Some(7), primary), (NoError, false));
        assert_eq!(hear("vall.example.", Some(6), primary), (NoError, false));
        assert_eq!(
            hear("vall.example.", Some(8), [10, 0, 0, 2]),
            (Refused, false)
        );
        assert_eq!(hear("a.vall.example.", None, primary), (NotAuth, false));
    }

    #[test]
    fn a_stranger_fills_no_log() {
        let (snapshot, _) = snapshot();
        assert!(snapshot.followed.may_complain());
        assert!(!snapshot.followed.may_complain());
    }

    #[test]
    fn mutants_of_notices_are_answered_or_not() {
        let (snapshot, _) = snapshot();
        let samples = [
            notice("vall.example.", Some(8)),
            notice("vall.example.", None),
        ];
        guifi_testing::fuzz::bytes("notice", &samples, |bytes| {
            let mut out = Vec::new();
            receive(&snapshot, bytes, [10, 0, 0, 1].into(), &mut out);
            assert!(bytes.len() < 12 || Message::from_vec(&out).is_ok());
        });
    }
}
