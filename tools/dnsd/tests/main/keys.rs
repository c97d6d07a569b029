//! Keys: made, used for transfers and questions, revoked.

use crate::common;

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;

use common::{Bus, Daemon, SOON};
use guifi_dnsd::state::now;
use guifi_dnsd::tsig::{Fault, Key, error, sign};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name as WireName, RecordType};
use serde_json::{Value, json};

const FILE: &str = "/etc/guifi/zones/vall";
const CONFIG: &str = "listen = ['127.0.0.1']\n[zones.'vall.example']\nfile = '/etc/guifi/zones/vall'\ntransfer = ['key Backup']\n";

fn zone(hosts: u32) -> String {
    let mut text = String::from("$TTL 60\n@ SOA ns dns 1 60 60 600 60\n@ NS ns\nns A 10.0.0.1\n");
    for n in 0..hosts {
        text += &format!("host-{n} A 10.1.{}.{}\n", n / 250, n % 250 + 1);
    }
    text
}

/// Asks by TCP with a signature that is `late` seconds old; gives the answers that are believed
/// until there are `records`, or why none is.
fn ask(
    daemon: &Daemon,
    key: &Arc<Key>,
    kind: RecordType,
    records: usize,
    late: u64,
) -> (Vec<Message>, Option<Fault>) {
    let name = WireName::from_ascii("vall.example.").unwrap();
    let mut query = Message::new(4711, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(name, kind));
    let mut bytes = query.to_vec().unwrap();
    let mut verifier = sign(key, &mut bytes, now() - late);
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &bytes].concat()).unwrap();
    let mut answers: Vec<Message> = Vec::new();
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        let fault = verifier.check(&answer, now()).err();
        assert_eq!(verifier.is_complete(), fault.is_none(), "each is signed");
        answers.push(Message::from_vec(&answer).unwrap());
        let got: usize = answers.iter().map(|answer| answer.answers.len()).sum();
        if fault.is_some() || got >= records {
            return (answers, fault);
        }
    }
}

#[test]
fn who_has_the_key_gets_the_zone_signed_message_by_message() {
    let bus = Bus::new();
    let mut daemon = Daemon::start_with(&bus, CONFIG, &[(FILE, &zone(3000))]);
    let backup = daemon.key("backup", &["--algorithm", "hmac-sha512"]);
    let granted = daemon.key("granted", &["--transfer", "vall.example"]);
    let stranger = daemon.key("stranger", &["--update", "vall.example"]);
    for key in [&backup, &granted] {
        let (answers, fault) = ask(&daemon, key, RecordType::AXFR, 3004, 0);
        assert_eq!(fault, None);
        assert!(answers.len() > 2, "several messages");
    }
    let (answers, fault) = ask(&daemon, &stranger, RecordType::AXFR, 0, 0);
    assert_eq!(fault, None);
    assert_eq!(answers[0].metadata.response_code, ResponseCode::Refused);
    let (answers, fault) = ask(&daemon, &stranger, RecordType::SOA, 1, 0);
    assert_eq!(
        fault, None,
        "a plain question, for which a key is not needed"
    );
    assert_eq!(answers[0].metadata.response_code, ResponseCode::NoError);
    let (answers, fault) = ask(&daemon, &backup, RecordType::AXFR, 0, 1000);
    assert!(matches!(fault, Some(Fault::Time(at)) if at.abs_diff(now()) < 100));
    assert_eq!(answers[0].metadata.response_code, ResponseCode::NotAuth);
    assert!(daemon.dns(&["key", "revoke", "backup"]).status.success());
    daemon.stop("KILL");
    daemon.run();
    let (_, fault) = ask(&daemon, &granted, RecordType::AXFR, 3004, 0);
    assert_eq!(fault, None, "after a restart");
    for kind in [RecordType::AXFR, RecordType::SOA] {
        let (answers, fault) = ask(&daemon, &backup, kind, 0, 0);
        assert_eq!(fault, Some(Fault::Refused(error::BADKEY)));
        assert_eq!(answers[0].metadata.response_code, ResponseCode::NotAuth);
    }
}

#[test]
fn an_answer_with_no_room_for_its_signature_is_cut() {
    let bus = Bus::new();
    let text: String = (0..6)
        .map(|n| format!("big TXT {n}{}\n", "x".repeat(59)))
        .collect();
    let daemon = Daemon::start_with(&bus, CONFIG, &[(FILE, &(zone(1) + &text))]);
    let key = daemon.key("k", &[]);
    let name = WireName::from_ascii("big.vall.example.").unwrap();
    let mut query = Message::new(4711, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(name, RecordType::TXT));
    let plain = query.to_vec().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.connect(daemon.address()).unwrap();
    let mut buffer = [0; 600];
    socket.send(&plain).unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    let whole = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!((whole.answers.len(), whole.metadata.truncation), (6, false));
    let mut signed = plain;
    let mut verifier = sign(&key, &mut signed, now());
    socket.send(&signed).unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    assert!(length <= 512);
    verifier.check(&buffer[..length], now()).unwrap();
    let cut = Message::from_vec(&buffer[..length]).unwrap();
    assert!(cut.metadata.truncation && cut.answers.is_empty());
}

#[test]
fn keys_are_shown_as_bind_reads_them_and_listed_without_secrets() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    daemon.write("/secret", "MDEyMzQ1Njc4OWFiY2RlZg==\n");
    let secret = daemon.directory.path().join("secret");
    let add = ["key", "add", "DHCP", "--update", "vall.example:*:A"];
    let given = [&add[..], &["--secret-file", secret.to_str().unwrap()]].concat();
    let made = daemon.dns(&given);
    assert_eq!(
        String::from_utf8(made.stdout).unwrap(),
        "key \"dhcp\" {\n\talgorithm hmac-sha256;\n\tsecret \"MDEyMzQ1Njc4OWFiY2RlZg==\";\n};\n"
    );
    let listed = daemon.dns(&["--json", "key", "list"]).stdout;
    assert_eq!(
        serde_json::from_slice::<Value>(&listed).unwrap(),
        json!([{"name": "dhcp", "algorithm": "hmac-sha256", "update": ["vall.example:*:A"], "transfer": []}])
    );
    let table = String::from_utf8(daemon.dns(&["key", "list"]).stdout).unwrap();
    assert!(table.contains("vall.example:*:A  -\n"), "{table}");
    for (arguments, code) in [
        (&add[..], 1),
        (&["key", "add", "k", "--algorithm", "hmac-md5"], 2),
        (&["key", "add", "k", "--update", "x:y:z"], 2),
        (&["key", "add", "k", "--secret-file", "/nowhere"], 1),
        (&["key", "show", "none"], 1),
        (&["key", "revoke", "none"], 1),
    ] {
        assert_eq!(
            daemon.dns(arguments).status.code(),
            Some(code),
            "{arguments:?}"
        );
    }
}
