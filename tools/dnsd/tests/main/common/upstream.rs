//! A server of the world outside.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{RData, Record};

use super::free_port;

/// An upstream server: answers A with 192.0.2.1, names with `many` with a long list that needs
/// TCP, names with `no` with NXDOMAIN, and nothing at all while it is `silent`.
pub struct Upstream {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<String>>>,
    pub silent: Arc<Mutex<bool>>,
}

impl Upstream {
    pub fn start() -> Self {
        let (asked, silent) = (Arc::default(), Arc::<Mutex<bool>>::default());
        let (own, quiet) = (Arc::clone(&asked), silent.clone());
        let by_udp = move |query: &[u8], _| {
            let answers = !*quiet.lock().unwrap();
            answers
                .then(|| reply(query, 1232, &own))
                .into_iter()
                .collect()
        };
        let own = Arc::clone(&asked);
        Self {
            address: serve(by_udp, move |query| reply(query, 65535, &own)),
            asked,
            silent,
        }
    }
}

/// Answers at the address that it gives, as long as the test runs: by UDP with any number of
/// messages, by TCP with one.
pub fn serve(
    by_udp: impl Fn(&[u8], SocketAddr) -> Vec<Vec<u8>> + Send + 'static,
    by_tcp: impl Fn(&[u8]) -> Vec<u8> + Send + 'static,
) -> SocketAddr {
    let port = free_port();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let address = udp.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            for message in by_udp(&buffer[..length], from) {
                let _ = udp.send_to(&message, from); // it may have gone
            }
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            let answer = by_tcp(&query);
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &answer].concat()).unwrap();
        }
    });
    address
}

fn reply(query: &[u8], limit: usize, asked: &Mutex<Vec<String>>) -> Vec<u8> {
    let query = Message::from_vec(query).unwrap();
    let mut answer = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    let question: Query = query.queries[0].clone();
    let name = question.name.to_string();
    asked.lock().unwrap().push(name.clone());
    answer.add_query(question.clone());
    let lower = name.to_ascii_lowercase();
    let soa = "ns.example. root.example. 1 60 60 60 60";
    if lower.contains("no") {
        answer.metadata.response_code = ResponseCode::NXDomain;
        let parts: Vec<&str> = soa.split(' ').collect();
        let soa = hickory_proto::rr::rdata::SOA::new(
            parts[0].parse().unwrap(),
            parts[1].parse().unwrap(),
            1,
            60,
            60,
            60,
            60,
        );
        answer.add_authority(Record::from_rdata(
            "example.".parse().unwrap(),
            60,
            RData::SOA(soa),
        ));
    } else {
        let count = if lower.contains("many") { 200 } else { 1 };
        for n in 1..=count {
            let address = RData::A(Ipv4Addr::new(192, 0, 2, n).into());
            answer.add_answer(Record::from_rdata(question.name.clone(), 300, address));
        }
    }
    let bytes = answer.to_vec().unwrap();
    if bytes.len() <= limit {
        return bytes;
    }
    answer.answers.clear();
    answer.metadata.truncation = true;
    answer.to_vec().unwrap()
}
