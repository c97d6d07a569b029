//! Names outside: servers that are silent, and servers and others that lie.

use crate::common;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Bus, Daemon, SOON, Upstream, serve, until};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// What a stand-in was asked: the sender and the octets.
type Asked = Arc<Mutex<Vec<(SocketAddr, Vec<u8>)>>>;

/// A stand-in for a server, or for somebody on the way to it: answers each question by UDP
/// with whatever messages it likes, and by TCP honestly.
struct StandIn {
    address: SocketAddr,
    asked: Asked,
}

impl StandIn {
    fn start(answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let asked = Asked::default();
        let seen = asked.clone();
        let by_udp = move |octets: &[u8], from| {
            seen.lock().unwrap().push((from, octets.to_vec()));
            answer(&Message::from_vec(octets).unwrap())
        };
        let by_tcp = |octets: &[u8]| {
            let query = Message::from_vec(octets).unwrap();
            honest(&query, 7).to_vec().unwrap()
        };
        Self {
            address: serve(by_udp, by_tcp),
            asked,
        }
    }

    fn configuration(&self) -> String {
        format!(
            "listen = ['127.0.0.1']\n[upstream]\nservers = ['{}']\n",
            self.address
        )
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn address(name: &Name, last: u8) -> Record {
    let address = Ipv4Addr::new(192, 0, 2, last);
    Record::from_rdata(name.clone(), 300, RData::A(address.into()))
}

/// The right answer, with an address that ends in `last`.
fn honest(query: &Message, last: u8) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.queries = query.queries.clone();
    answer.add_answer(address(&query.queries[0].name, last));
    answer
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn a_lying_stand_in_gets_no_foreign_record_told_or_kept() {
    let liar = StandIn::start(|query| {
        let asked = query.queries[0].name.clone();
        if !asked.to_string().eq_ignore_ascii_case("www.example.") {
            return vec![honest(query, 1).to_vec().unwrap()];
        }
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.queries = query.queries.clone();
        answer.add_answer(address(&name("bank.example."), 66));
        let alias = |from, to| Record::from_rdata(from, 300, RData::CNAME(CNAME(name(to))));
        answer.add_answer(alias(asked, "web.example."));
        answer.add_answer(alias(name("mail.example."), "evil.example."));
        answer.add_answer(address(&name("web.example."), 2));
        answer.add_answer(address(&name("bank.example."), 66));
        let servers = RData::NS(NS(name("ns.evil.example.")));
        answer.add_authority(Record::from_rdata(name("."), 300, servers));
        answer.add_additional(address(&name("ns.evil.example."), 66));
        vec![answer.to_vec().unwrap()]
    });
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, &liar.configuration());
    for _ in 0..2 {
        let answer = daemon.ask("www.example.", RecordType::A).unwrap();
        let owners: Vec<_> = answer.answers.iter().map(|r| r.name.to_string()).collect();
        assert_eq!(owners, ["www.example.", "web.example."]);
        assert!(answer.authorities.is_empty() && answer.additionals.is_empty());
    }
    assert_eq!(liar.count(), 1);
    assert_eq!(daemon.data("bank.example.", RecordType::A), ["192.0.2.1"]);
    assert_eq!(liar.count(), 2, "asked, not known");
}

#[test]
fn a_lying_stand_in_on_the_way_is_not_believed() {
    let liar = StandIn::start(|query| {
        let forged = honest(query, 66);
        let mut wrong_id = forged.clone();
        wrong_id.metadata.id ^= 1;
        let mut wrong_name = forged.clone();
        wrong_name.queries[0].name = name("other.example.");
        let mut wrong_type = forged.clone();
        wrong_type.queries[0].set_query_type(RecordType::AAAA);
        let mut none = forged;
        none.queries.clear();
        let lies = [wrong_id, wrong_name, wrong_type, none];
        let all = lies.iter().chain([query]).map(|m| m.to_vec().unwrap());
        all.chain([vec![1, 2, 3], honest(query, 1).to_vec().unwrap()])
            .collect()
    });
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, &liar.configuration());
    for n in 0..5 {
        let asked = format!("www{n}.example.");
        assert_eq!(daemon.data(&asked, RecordType::A), ["192.0.2.1"]);
    }
}

#[test]
fn a_lying_stand_in_that_guesses_or_changes_the_letter_case_sends_us_to_tcp() {
    let guessing = |query: &Message| {
        let guess = |n: u16| {
            let mut guess = honest(query, 66);
            guess.metadata.id = guess.metadata.id.wrapping_add(n);
            guess.to_vec().unwrap()
        };
        (1..30).map(guess).collect()
    };
    let lower = |query: &Message| {
        let mut answer = honest(query, 66);
        answer.queries[0].name = answer.queries[0].name.to_lowercase();
        vec![answer.to_vec().unwrap()]
    };
    let bus = Bus::new();
    for liar in [StandIn::start(guessing), StandIn::start(lower)] {
        let daemon = Daemon::start(&bus, &liar.configuration());
        let asked = "a-long-enough-name-to-have-a-letter-in-capitals.example.";
        assert_eq!(daemon.data(asked, RecordType::A), ["192.0.2.7"]);
    }
}

#[test]
fn questions_are_hard_to_guess() {
    let server = StandIn::start(|query| vec![honest(query, 1).to_vec().unwrap()]);
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, &server.configuration());
    for n in 0..60 {
        daemon
            .ask(&format!("name-{n}-of-many.example."), RecordType::A)
            .unwrap();
    }
    let asked = server.asked.lock().unwrap();
    let ports: BTreeSet<_> = asked.iter().map(|(from, _)| from.port()).collect();
    let ids: BTreeSet<_> = asked.iter().map(|(_, query)| query[..2].to_vec()).collect();
    let capital = |query: &[u8]| query[12..].iter().map(u8::is_ascii_uppercase).collect();
    let cases: BTreeSet<Vec<bool>> = asked.iter().map(|(_, query)| capital(query)).collect();
    let different = [ports.len(), ids.len(), cases.len()];
    assert!(different.iter().all(|&n| n > 50), "{different:?} of 60");
}

#[test]
fn the_letter_case_that_hides_a_question_is_told_to_nobody() {
    let server = StandIn::start(|query| {
        let asked = query.queries[0].name.clone();
        let target = asked.trim_to(2).prepend_label("target").unwrap();
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.queries = query.queries.clone();
        let alias = RData::CNAME(CNAME(target.clone()));
        answer.add_answer(Record::from_rdata(asked, 300, alias));
        answer.add_answer(address(&target, 1));
        vec![answer.to_vec().unwrap()]
    });
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, &server.configuration());
    for n in 0..5 {
        let asked = format!("Www{n}.Rather-Long-Name.Example.");
        let answer = daemon.ask(&asked, RecordType::A).unwrap();
        assert_eq!(answer.answers[0].name.to_string(), asked);
        let data = guifi_dnsd::text::data(&answer.answers[0]);
        assert_eq!(data, "target.rather-long-name.example.");
    }
}

#[test]
fn a_dead_first_server_is_asked_seldom() {
    let dead = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    dead.set_nonblocking(true).unwrap();
    let live = Upstream::start();
    let bus = Bus::new();
    let text = format!(
        "listen = ['127.0.0.1']\n[upstream]\nservers = ['{}', '{}']\n",
        dead.local_addr().unwrap(),
        live.address
    );
    let daemon = Daemon::start(&bus, &text);
    for n in 0..100 {
        let answer = daemon
            .ask(&format!("n{n}.example."), RecordType::A)
            .unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }
    let mut asked = BTreeSet::new();
    let mut buffer = [0; 2000];
    while let Ok(length) = dead.recv(&mut buffer) {
        asked.insert(buffer[..length].to_vec());
    }
    assert!(
        !asked.is_empty() && asked.len() < 20,
        "{} times",
        asked.len()
    );
    let health = &daemon.describe()["upstreams"]["health"];
    assert_eq!(health[1]["state"], "up", "{health}");
    until("the dead one is known", || {
        let health = daemon.describe()["upstreams"]["health"].clone();
        (health[0]["state"] == "down").then_some(())
    });
}

#[test]
fn with_the_internet_away_local_names_are_answered() {
    let upstream = Upstream::start();
    let bus = Bus::new();
    let text = format!(
        "listen = ['127.0.0.1']\n[upstream]\nservers = ['{}']\n",
        upstream.address
    );
    let daemon = Daemon::start(&bus, &text);
    *upstream.silent.lock().unwrap() = true;
    let outside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    outside.connect(daemon.address()).unwrap();
    let mut query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x04away\x07example\0\0\x01\0\x01".to_vec();
    for n in 0..200u8 {
        query[1] = n;
        query[13] = b'a' + n % 26;
        query[14] = b'a' + n / 26;
        outside.send(&query).unwrap();
    }
    for n in 0..200 {
        let local = daemon
            .ask(&format!("{n}.localhost."), RecordType::A)
            .unwrap();
        assert_eq!(local.answers.len(), 1);
    }
    // All of them are still waiting, so nothing here waited for them.
    outside.set_nonblocking(true).unwrap();
    assert!(outside.recv(&mut [0; 600]).is_err());
    outside.set_nonblocking(false).unwrap();
    outside.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = [0; 600];
    for _ in 0..200 {
        let length = outside.recv(&mut answer).unwrap();
        let answer = Message::from_vec(&answer[..length]).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    }
}

#[test]
fn an_old_answer_serves_when_no_server_answers() {
    let (sender, told) = std::sync::mpsc::channel::<()>();
    let told = Mutex::new(told);
    let server = StandIn::start(move |query| {
        if told.lock().unwrap().try_recv().is_err() {
            return Vec::new();
        }
        let mut answer = honest(query, 1);
        answer.answers[0].ttl = 1;
        vec![answer.to_vec().unwrap()]
    });
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, &server.configuration());
    sender.send(()).unwrap();
    assert_eq!(daemon.data("old.example.", RecordType::A), ["192.0.2.1"]);
    until("a stale answer", || {
        std::thread::park_timeout(Duration::from_millis(200));
        assert_eq!(daemon.data("old.example.", RecordType::A), ["192.0.2.1"]);
        (daemon.describe()["cache"]["stale"] != 0).then_some(())
    });
    let answer = daemon.ask("old.example.", RecordType::A).unwrap();
    assert_eq!(answer.answers[0].ttl, 30);
}
