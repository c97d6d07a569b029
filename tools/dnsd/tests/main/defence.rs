//! The daemon against floods, forgers and those who never finish.

use crate::common;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use common::{Bus, Daemon, SOON, until};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::RecordType;

/// A question for `localhost.`, which every server answers, with a cookie if there is one.
fn question(cookie: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x09LocalHost\0\0\x01\0\x01".to_vec();
    bytes.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0]);
    if cookie.is_empty() {
        bytes.extend_from_slice(&[0, 0]);
    } else {
        let length = u16::try_from(cookie.len()).unwrap();
        bytes.extend_from_slice(&(length + 4).to_be_bytes());
        bytes.extend_from_slice(&[0, 10]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(cookie);
    }
    bytes
}

/// Sends so many equal messages and takes what comes back until no more does.
fn flood(daemon: &Daemon, count: usize, message: &[u8]) -> Vec<Message> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(daemon.address()).unwrap();
    let wait = Duration::from_millis(500);
    socket.set_read_timeout(Some(wait)).unwrap();
    let mut answers = Vec::new();
    for _ in 0..count {
        socket.send(message).unwrap();
    }
    let mut buffer = [0; 2000];
    while let Ok(length) = socket.recv(&mut buffer) {
        answers.push(Message::from_vec(&buffer[..length]).unwrap());
    }
    answers
}

/// The cookie of an answer.
fn cookie(answer: &Message) -> Vec<u8> {
    let edns = answer.edns.as_ref().unwrap();
    let mut options = edns.options().options.iter();
    let (_, option) = options.find(|(code, _)| u16::from(*code) == 10).unwrap();
    option.try_into().unwrap()
}

const LIMITED: &str =
    "listen = ['127.0.0.1']\nworkers = 1\n[limit]\nper_answer = 1\nknown = true\n";

#[test]
fn updates_and_notices_of_strangers_are_limited_as_questions_are() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, LIMITED);
    for operation in [OpCode::Update, OpCode::Notify] {
        let name = hickory_proto::rr::Name::from_ascii("vall.example.").unwrap();
        let mut message = Message::new(1, MessageType::Query, operation);
        message.add_query(Query::query(name, RecordType::SOA));
        let answers = flood(&daemon, 60, &message.to_vec().unwrap());
        assert!(
            (1..40).contains(&answers.len()),
            "{operation:?}: {}",
            answers.len()
        );
    }
}

#[test]
fn a_flood_is_cut_short_and_a_cookie_or_tcp_is_the_way_out() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, LIMITED);
    let answers = flood(&daemon, 60, &question(&[]));
    let whole = answers.iter().filter(|m| !m.answers.is_empty()).count();
    let short = answers.iter().filter(|m| m.metadata.truncation).count();
    assert!((5..40).contains(&whole), "{whole} of 60 are whole");
    assert!(
        short > 0 && answers.len() < 60,
        "{short} of {} are short",
        answers.len()
    );
    assert!(
        answers
            .iter()
            .all(|m| m.metadata.response_code == ResponseCode::NoError)
    );

    // Who knows of cookies is given one instead.
    let answers = flood(&daemon, 60, &question(b"whatever"));
    let code = |m: &&Message| m.metadata.response_code == ResponseCode::BADCOOKIE;
    let bad = answers.iter().find(code).unwrap();
    assert!(bad.answers.is_empty() && !bad.metadata.truncation);
    let own = cookie(bad);
    assert_eq!((own.len(), &own[..8]), (24, &b"whatever"[..]));

    let answers = flood(&daemon, 60, &question(&own));
    assert_eq!(answers.len(), 60, "with a cookie there is no limit");
    assert!(
        answers
            .iter()
            .all(|m| !m.answers.is_empty() && cookie(m) == own)
    );
    let forged = [&own[..23], &[own[23] ^ 1]].concat();
    assert!(flood(&daemon, 60, &question(&forged)).len() < 60);

    let by_tcp = daemon.ask_tcp(&[("localhost", RecordType::A); 60]);
    assert!(by_tcp.iter().all(|m| !m.answers.is_empty()));

    let counters = &daemon.describe()["counters"];
    assert_eq!(counters["cookies"], 60, "{counters}");
    assert!(counters["limited"].as_u64() > Some(20) && counters["slipped"].as_u64() > Some(20));
}

#[test]
fn nobody_who_is_resolved_for_is_limited_by_default() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(daemon.address()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut buffer = [0; 2000];
    for _ in 0..500 {
        socket.send(&question(&[])).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(answer.answers.len(), 1);
        // The letter case comes back as it was sent.
        assert_eq!(answer.queries[0].name.to_string(), "LocalHost.");
    }
}

/// Whether the other side has closed.
fn closed(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    match stream.read(&mut [0; 1]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn connections_that_never_finish_a_question_are_few_and_end() {
    let bus = Bus::new();
    let tcp = "listen = ['127.0.0.1']\n[tcp]\nconnections = 8\nper_client = 3\nidle_seconds = 2\n";
    let daemon = Daemon::start(&bus, tcp);
    let started = Instant::now();
    let mut slow: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(daemon.address()).unwrap())
        .collect();
    for stream in &mut slow {
        stream.write_all(&[2, 0]).unwrap(); // 512 octets follow, one at a time
    }
    // The fourth is one too many, while another client has room.
    until("a fourth connection is closed", || {
        let mut fourth = TcpStream::connect(daemon.address()).unwrap();
        closed(&mut fourth).then_some(())
    });
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other
        .bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into())
        .unwrap();
    other.connect(&daemon.address().into()).unwrap();
    let mut other = TcpStream::from(other);
    other.set_read_timeout(Some(SOON)).unwrap();
    let plain = question(&[]);
    let length = u16::try_from(plain.len()).unwrap().to_be_bytes();
    other.write_all(&[&length[..], &plain].concat()).unwrap();
    other.read_exact(&mut [0; 40]).unwrap();
    // An octet now and then does not keep them open.
    until("the slow ones are closed", || {
        assert!(started.elapsed() < SOON);
        slow.retain_mut(|stream| stream.write_all(&[0]).is_ok() && !closed(stream));
        slow.is_empty().then_some(())
    });
    assert!(
        !daemon.ask_tcp(&[("localhost", RecordType::A)])[0]
            .answers
            .is_empty()
    );
}
