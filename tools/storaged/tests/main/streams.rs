//! A member that comes by a stream, with a stand-in for guifi-peerd.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use guifi_streams::{Event, Key, MAX_PACKET, PathKind, Request, SOCKET, packet};
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::client::{Client, SI, answer};
use crate::contract::{Town, wait};
use crate::place::Place;

const PEER: Key = Key([9; 32]);

/// guifi-peerd's end of the daemon's connection.
struct Peerd(OwnedFd);

fn listen(place: &Place) -> Socket {
    let path = place.dir.path().join(SOCKET.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    listener
}

impl Peerd {
    /// Takes the daemon's connection, and what it listens for.
    fn accept(listener: &Socket) -> Self {
        let peerd = Self(listener.accept().unwrap().0.into());
        assert_eq!(peerd.request(), Request::Hello);
        peerd.say(&Event::Hello { key: Key([7; 32]) }, None);
        let Request::Listen { id, protocol, .. } = peerd.request() else {
            panic!("it listens for nothing");
        };
        assert_eq!(protocol, "storage");
        peerd.say(&Event::Listening { id }, None);
        peerd
    }

    fn request(&self) -> Request {
        let mut buffer = vec![0; MAX_PACKET];
        let (length, _) = packet::receive(&self.0, &mut buffer).unwrap();
        Request::decode(&buffer[..length]).unwrap()
    }

    fn say(&self, event: &Event, stream: Option<UnixStream>) {
        let stream = stream.map(OwnedFd::from);
        packet::send(
            &self.0,
            &event.encode(),
            stream.as_ref().map(OwnedFd::as_fd),
        )
        .unwrap();
    }

    fn incoming(&self, stream: u64, member: bool) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let event = Event::Incoming {
            stream,
            peer: PEER,
            protocol: "storage".to_owned(),
            member,
            path: PathKind::Direct,
            rtt_us: 900,
            address: None,
        };
        self.say(&event, Some(theirs));
        ours
    }
}

#[test]
fn a_member_needs_no_swissnum_and_is_told_its_own() {
    // The socket is there before the daemon.
    let mut socket = None;
    let town = Town::with(true, |place| socket = Some(listen(place)));
    let peerd = Peerd::accept(&socket.unwrap());
    let mut stream = peerd.incoming(1, true);
    let ask = |stream: &mut UnixStream, path: &str| {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(stream).unwrap()
    };
    let told = ask(&mut stream, "/guifi/v1/account");
    assert_eq!(told.code, 200);
    let account: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(account["owner"], PEER.to_string());
    assert_eq!(ask(&mut stream, "/storage/v1/version").code, 200);
    // The same account over TCP.
    wait("the port", || {
        std::net::TcpStream::connect(town.place.address()).ok()
    });
    let swissnum = account["swissnum"].as_str().unwrap();
    let mut client = Client::new(town.place.address(), town.place.certificate(), swissnum);
    client.allocate(SI, &[0], 5);
    assert_eq!(client.patch(SI, 0, 0, b"share").unwrap().code, 201);
    let there = ask(&mut stream, &format!("/storage/v1/immutable/{SI}/0"));
    assert_eq!(there.body, b"share");
    let document = wait("streams", || {
        town.describe().filter(|d| d["streams"] == true)
    });
    assert_eq!(document["shares"], 1);

    let mut stranger = peerd.incoming(2, false);
    assert!(matches!(peerd.request(), Request::Reset { stream: 2, .. }));
    assert_eq!(stranger.read(&mut [0]).unwrap_or_default(), 0);
}
