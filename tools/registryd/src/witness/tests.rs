#![allow(clippy::unwrap_used)]
use super::*;
use crate::testing::Signer;
use data_encoding::HEXLOWER;
use serde_json::json;

const T: u64 = 1_795_000_000_000;

struct Scene {
    founding: Record,
    admin: Signer,
    member: Signer,
    stranger: Signer,
}

impl Scene {
    fn new() -> Self {
        let [admin, member, stranger] = [1, 2, 3].map(Signer::new);
        let founding = admin.found("open", &[]);
        Self {
            founding,
            admin,
            member,
            stranger,
        }
    }

    fn says(&self, by: &Signer, subject: &Signer, address: &str, time: u64) -> Statement {
        let address = address.parse().unwrap();
        let message = message(&self.founding.hash, subject.key(), address, time);
        Statement {
            address,
            by: by.key(),
            time,
            signature: by.sign("guifi-witness-v1", &message),
        }
    }

    /// What counts of `statements` in the `box` record of the member.
    fn counted(&self, statements: &[Statement]) -> Vec<IpAddr> {
        let list: Vec<Value> = statements.iter().map(Statement::json).collect();
        let addresses = ["10.1.0.2", "fd00::2", "127.0.0.1", "fe80::2"];
        let spine = json!({"spine": {"addresses": addresses, "witnesses": list}});
        let id = self.founding.hash;
        let record = self.member.record(id, "box", "box", T, spine);
        let sponsorship = json!({"key": self.member.key()});
        let sponsorship = self.admin.record(id, "member", "0", T, sponsorship);
        let ruling = Ruling::of(&id, [&self.founding, &sponsorship].into_iter()).unwrap();
        let mut witnesses = Witnesses::default();
        witnesses.learn(&record);
        let once: Vec<IpAddr> = witnesses
            .of(self.member.key(), &ruling)
            .map(|s| s.address)
            .collect();
        witnesses.learn(&record);
        let twice = witnesses.of(self.member.key(), &ruling).count();
        assert_eq!(once.len(), twice, "what is known stays");
        once
    }
}

#[test]
fn a_members_word_counts_for_an_address_that_the_box_lists() {
    let s = Scene::new();
    let good = s.says(&s.admin, &s.member, "10.1.0.2", T - 5);
    let six = s.says(&s.admin, &s.member, "fd00::2", T - 5);
    let both = s.counted(&[good.clone(), six]);
    assert_eq!(both, [good.address, "fd00::2".parse::<IpAddr>().unwrap()]);
    let day = 24 * 3_600_000;
    for (bad, why) in [
        (
            s.says(&s.member, &s.member, "10.1.0.2", T),
            "the box itself",
        ),
        (s.says(&s.stranger, &s.member, "10.1.0.2", T), "no member"),
        (s.says(&s.admin, &s.stranger, "10.1.0.2", T), "another box"),
        (s.says(&s.admin, &s.member, "10.1.0.3", T), "not listed"),
        (s.says(&s.admin, &s.member, "127.0.0.1", T), "loopback"),
        (s.says(&s.admin, &s.member, "fe80::2", T), "link-local"),
        (s.says(&s.admin, &s.member, "10.1.0.2", T - 91 * day), "old"),
        (s.says(&s.admin, &s.member, "10.1.0.2", T + day), "future"),
        (
            Statement {
                time: T - 4,
                ..good.clone()
            },
            "another time",
        ),
        (
            Statement {
                signature: [7; 64],
                ..good.clone()
            },
            "no signature",
        ),
    ] {
        assert!(s.counted(&[bad]).is_empty(), "{why}");
    }
    let many = vec![good; 9];
    assert_eq!(s.counted(&many).len(), MAX);
}

#[test]
fn what_is_no_statement_is_passed_over() {
    let s = Scene::new();
    for spine in [
        json!({}),
        json!({"spine": 7}),
        json!({"spine": {"addresses": 1, "witnesses": 2}}),
        json!({"spine": {"addresses": ["10.1.0.2", 5, "x"], "witnesses": [1, {}, {"by": "x"}, {"by": s.admin.key(), "address": "10.1.0.2", "time": -1, "signature": "a"}]}}),
    ] {
        let mut witnesses = Witnesses::default();
        let id = s.founding.hash;
        witnesses.learn(&s.member.record(id, "box", "box", T, spine));
        assert!(witnesses.0.is_empty());
    }
}

#[test]
fn a_record_with_all_its_statements_is_small() {
    let s = Scene::new();
    let addresses = [
        "10.1.0.2",
        "10.228.17.3",
        "fd00::2",
        "2001:db8:1234:5678::2",
    ];
    let statements = addresses.map(|a| s.says(&s.admin, &s.member, a, T).json());
    let size = |list: &[Value]| {
        let mut spine = json!({"addresses": addresses, "neighbours": vec![s.admin.key(); 8]});
        if !list.is_empty() {
            spine["witnesses"] = json!(list);
        }
        let body = json!({"spine": spine});
        s.member.record(s.founding.hash, "box", "box", T, body).size
    };
    let one = size(&statements[..1]) - size(&[]);
    let all = size(&statements);
    assert!(one < 250 && all < 2048, "{one} for one, {all} in all");
}

/// The vectors are the contract: a change here breaks every box in the field.
#[test]
fn test_vectors() {
    let file = include_str!("../../../../tests/fixtures/witnesses.json");
    let vectors: Vec<Value> = serde_json::from_str(file).unwrap();
    assert!(vectors.len() >= 2);
    for vector in &vectors {
        let text = |member: &str| vector[member].as_str().unwrap();
        let community: Hash = text("community").parse::<Key>().unwrap().0;
        let subject: Key = text("subject").parse().unwrap();
        let map = vector["statement"].as_object().unwrap();
        let statement = Statement::read(map, map["by"].as_str().unwrap().parse().unwrap()).unwrap();
        let bytes = message(&community, subject, statement.address, statement.time);
        assert_eq!(HEXLOWER.encode(&bytes), text("message"));
        assert!(statement.verify(&community, subject));
        assert_eq!(&statement.json(), &vector["statement"]);
    }
}
