//! Updates through the door: of zones of the portal, and more than there is room for.

use std::net::Ipv4Addr;
use std::sync::mpsc::channel;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name as WireName, RData, Record as WireRecord};

use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::keys::{Keyring, New};
use crate::respond::Client;
use crate::state::now;
use crate::tsig::{Algorithm, Key, sign};
use crate::update::{Door, Reply};

const INSIDE: Client = Client {
    known: true,
    inside: true,
};

/// A key that may change all of the zone.
fn key(root: &Root, board: &Arc<Board>) -> Arc<Key> {
    let made = Keyring::open(root, board).add(New {
        name: "k".into(),
        algorithm: "hmac-sha256".into(),
        update: vec!["vall.example".into()],
        ..New::default()
    });
    let made = made.unwrap();
    let secret = data_encoding::BASE64.decode(made["secret"].as_str().unwrap().as_bytes());
    let name = Name::parse("k").unwrap();
    Arc::new(Key::new(&name, Algorithm::Sha256, &secret.unwrap()))
}

/// A signed update that adds an address.
fn message(key: &Arc<Key>, owner: &str, address: [u8; 4]) -> Vec<u8> {
    let name = |text: &str| WireName::from_ascii(text).unwrap();
    let mut message = Message::new(1, MessageType::Query, OpCode::Update);
    message.add_query(Query::query(name("vall.example."), RecordType::SOA));
    let data = RData::A(A(Ipv4Addr::from(address)));
    message.add_authority(WireRecord::from_rdata(name(owner), 60, data));
    let mut bytes = message.to_vec().unwrap();
    sign(key, &mut bytes, now());
    bytes
}

fn code(answer: &[u8]) -> ResponseCode {
    Message::from_vec(answer).unwrap().metadata.response_code
}

fn update(door: &Door, board: &Board, message: &[u8]) -> ResponseCode {
    let (reply, answer) = oneshot::channel();
    let entered = door.enter(&board.get(), message, INSIDE, || Reply::Tcp(reply));
    code(
        &entered
            .err()
            .unwrap_or_else(|| answer.blocking_recv().unwrap()),
    )
}

#[test]
fn updates_of_a_zone_of_the_portal_are_made_again_when_that_says_something_else() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let start = || {
        let board = Arc::new(Board::default());
        let (changes, _) = tokio::sync::mpsc::unbounded_channel();
        let holder = Holder::start(&root, &board, changes, Vec::new(), Some(9503)).unwrap();
        (holder, board)
    };
    let (holder, board) = start();
    let key = key(&root, &board);
    give(&holder, 9503, vec![defined("10.0.0.1")]);
    let door = Door::new(holder.orders(), unbounded_channel().0);
    for (owner, address) in [
        ("host.vall.example.", [10, 9, 9, 1]),
        ("ns.vall.example.", [10, 9, 9, 2]),
    ] {
        let code = update(&door, &board, &message(&key, owner, address));
        assert_eq!(code, ResponseCode::NoError);
    }
    let seen = |board: &Board, name: &str| data(&board.get(), name, RecordType::A);
    let all = |board: &Board, portal: &str| {
        assert_eq!(seen(board, "host.vall.example"), ["10.9.9.1"]);
        assert_eq!(seen(board, "ns.vall.example"), [portal, "10.9.9.2"]);
    };
    all(&board, "10.0.0.1");
    give(&holder, 9503, vec![defined("10.0.0.2")]);
    all(&board, "10.0.0.2");
    drop(holder);
    let (holder, board) = start();
    all(&board, "10.0.0.2");
    give(&holder, 9503, vec![defined("10.0.0.3")]);
    all(&board, "10.0.0.3");
    // What the portal says counts where both are not possible.
    let mut other = defined("10.0.0.4");
    other.records.push(Record {
        owner: Name::parse("host.vall.example").unwrap(),
        rtype: rtype::CNAME,
        ttl: 60,
        data: Name::parse("ns.vall.example").unwrap().wire().into(),
    });
    give(&holder, 9503, vec![other]);
    assert_eq!(seen(&board, "host.vall.example").len(), 3, "an alias");
    let doubts = &reports(&holder)[0].doubts;
    assert!(
        doubts[0].contains("host.vall.example. A does not fit"),
        "{doubts:?}"
    );
}

#[test]
fn updates_that_cannot_be_kept_are_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let specs = spec(&root);
    write(&root, &zone(7, "10.0.0.1"));
    // As on a disk that takes nothing: there is no place for the database.
    fs::create_dir_all(root.join("/var/lib/guifi/dnsd/zones.db")).unwrap();
    let board = Arc::new(Board::default());
    let (changes, _) = tokio::sync::mpsc::unbounded_channel();
    let holder = Holder::start(&root, &board, changes, specs, None).unwrap();
    let key = key(&root, &board);
    let door = Door::new(holder.orders(), unbounded_channel().0);
    let one = message(&key, "host.vall.example.", [10, 9, 9, 1]);
    assert_eq!(update(&door, &board, &one), ResponseCode::ServFail);
    assert_eq!(
        data(&board.get(), "host.vall.example", RecordType::A),
        [""; 0]
    );
    assert_eq!(reports(&holder)[0].serial, Some(7));
}

#[test]
fn a_zone_that_could_not_be_kept_when_it_came_is_kept_before_its_updates() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let specs = spec(&root);
    write(&root, &zone(7, "10.0.0.1"));
    let start = || {
        let board = Arc::new(Board::default());
        let (changes, _) = unbounded_channel();
        let holder = Holder::start(&root, &board, changes, specs.clone(), None).unwrap();
        (holder, board)
    };
    let (holder, board) = start();
    let key = key(&root, &board);
    let door = Door::new(holder.orders(), unbounded_channel().0);
    // As on a disk that is full for a while.
    let other = rusqlite::Connection::open(root.join("/var/lib/guifi/dnsd/zones.db")).unwrap();
    let sql = |text: &str| other.execute_batch(text).unwrap();
    sql("ALTER TABLE zone RENAME TO away");
    write(&root, &zone(8, "10.0.0.2"));
    configure(&holder, specs.clone());
    let seen = |board: &Board, name: &str| data(&board.get(), name, RecordType::A);
    let host = |n: u8| message(&key, &format!("host-{n}.vall.example."), [10, 9, 9, n]);
    assert_eq!(update(&door, &board, &host(1)), ResponseCode::ServFail);
    assert_eq!(
        seen(&board, "ns.vall.example"),
        ["10.0.0.2"],
        "it is served"
    );
    let fault = reports(&holder)[0].fault.clone().unwrap();
    assert!(fault.contains("not kept"), "{fault}");
    sql("ALTER TABLE away RENAME TO zone");
    for n in [2, 3] {
        assert_eq!(update(&door, &board, &host(n)), ResponseCode::NoError);
    }
    assert_eq!(reports(&holder)[0].fault, None);
    drop(holder);
    let (holder, board) = start();
    assert_eq!(seen(&board, "ns.vall.example"), ["10.0.0.2"]);
    assert_eq!(seen(&board, "host-1.vall.example"), [""; 0]);
    assert_eq!(seen(&board, "host-2.vall.example"), ["10.9.9.2"]);
    assert_eq!(seen(&board, "host-3.vall.example"), ["10.9.9.3"]);
    let report = &reports(&holder)[0];
    assert_eq!((report.serial, &report.fault), (Some(10), &None));
}

#[test]
fn no_more_updates_wait_than_there_is_room_for() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let specs = spec(&root);
    write(&root, &zone(7, "10.0.0.1"));
    let board = Arc::new(Board::default());
    let (changes, _) = tokio::sync::mpsc::unbounded_channel();
    let holder = Holder::start(&root, &board, changes, specs, None).unwrap();
    let key = key(&root, &board);
    // Nobody takes what comes in.
    let (orders, inbox) = channel();
    let door = Door::new(orders, unbounded_channel().0);
    let one = message(&key, "host.vall.example.", [10, 9, 9, 1]);
    let enter = || {
        let (reply, _) = oneshot::channel();
        door.enter(&board.get(), &one, INSIDE, || Reply::Tcp(reply))
    };
    let mut waiting = 0;
    let refused = loop {
        match enter() {
            Ok(()) => waiting += 1,
            Err(answer) => break answer,
        }
    };
    assert_eq!(code(&refused), ResponseCode::ServFail);
    assert!((1000..10_000).contains(&waiting), "{waiting}");
    drop(inbox.recv().unwrap());
    enter().unwrap();
    drop(holder);
}

#[test]
fn mutants_of_signed_updates_are_not_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    let specs = spec(&root);
    write(&root, &zone(7, "10.0.0.1"));
    let board = Arc::new(Board::default());
    let (changes, _) = unbounded_channel();
    let holder = Holder::start(&root, &board, changes, specs, None).unwrap();
    let key = key(&root, &board);
    let door = Door::new(holder.orders(), unbounded_channel().0);
    let one = message(&key, "host.vall.example.", [10, 9, 9, 1]);
    let samples = [one.clone()];
    guifi_testing::fuzz::bytes("signed update", &samples, |bytes| {
        let (reply, answer) = oneshot::channel();
        match door.enter(&board.get(), bytes, INSIDE, || Reply::Tcp(reply)) {
            // The number, and the case of the key's name, may change on the way.
            Ok(()) => {
                assert!(bytes[2..].eq_ignore_ascii_case(&one[2..]));
                answer.blocking_recv().unwrap();
            }
            Err(answer) => assert!(answer.len() >= 12 && answer.len() < bytes.len() + 100),
        }
    });
    let records = reports(&holder)[0].records;
    assert!(records <= 4, "{records}");
}
