#![allow(clippy::unwrap_used)]

mod fuzz;
mod wire;

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::packet::{self, MAX_PACKET};
use crate::*;

const SOON: Duration = Duration::from_secs(5);
const OWN: Key = Key([7; 32]);
const PEER: Key = Key([9; 32]);

/// peerd's end of a connection, driven by the test.
struct Daemon(OwnedFd);

impl Daemon {
    fn request(&self) -> (Request, Option<OwnedFd>) {
        let mut buffer = vec![0; MAX_PACKET];
        let (length, descriptor) = packet::receive(&self.0, &mut buffer).unwrap();
        (Request::decode(&buffer[..length]).unwrap(), descriptor)
    }

    fn say(&self, event: &Event) {
        packet::send(&self.0, &event.encode(), None).unwrap();
    }

    fn say_with(&self, event: &Event, stream: UnixStream) {
        packet::send(
            &self.0,
            &event.encode(),
            Some(OwnedFd::from(stream).as_fd()),
        )
        .unwrap();
    }

    fn incoming(&self, stream: u64) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let event = Event::Incoming {
            stream,
            peer: PEER,
            protocol: "sync".to_owned(),
            member: true,
            path: PathKind::Direct,
            rtt_us: 900,
            address: Some("192.0.2.7:7656".to_owned()),
        };
        self.say_with(&event, theirs);
        ours
    }
}

/// A client, and a thread that plays peerd after the greeting.
fn with_daemon<T: Send + 'static>(
    play: impl FnOnce(Daemon) -> T + Send + 'static,
) -> (Client, JoinHandle<T>) {
    let (ours, theirs) = packet::pair().unwrap();
    let daemon = thread::spawn(move || {
        let daemon = Daemon(theirs);
        assert_eq!(daemon.request().0, Request::Hello);
        daemon.say(&Event::Hello { key: OWN });
        play(daemon)
    });
    (Client::from_socket(ours).unwrap(), daemon)
}

fn ended(end: End, code: u32) -> Ended {
    Ended {
        end,
        direction: Direction::Receive,
        code,
        text: String::new(),
    }
}

#[test]
fn a_stream_is_opened_and_its_end_is_told_before_end_of_file() {
    let (client, daemon) = with_daemon(|daemon| {
        let (Request::Open { id, addresses, .. }, _) = daemon.request() else {
            panic!("no open");
        };
        assert_eq!(addresses, ["192.0.2.1:7656"]);
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let event = Event::Opened {
            id,
            stream: 5,
            path: PathKind::Relay,
            rtt_us: 1500,
            member: false,
            address: None,
        };
        daemon.say_with(&event, theirs);
        ours.write_all(b"half of it").unwrap();
        let (stream, ended) = (5, ended(End::Reset, 300));
        daemon.say(&Event::Ended { stream, ended });
        drop(ours);
        daemon
    });
    assert_eq!(client.own_key(), OWN);
    let hints = ["192.0.2.1:7656".parse().unwrap()];
    let mut stream = client.open(PEER, "sync", &hints, SOON).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "half of it");
    assert_eq!(stream.ended(SOON).unwrap().code, 300);
    assert_eq!(
        (stream.path, stream.rtt),
        (PathKind::Relay, Duration::from_micros(1500))
    );
    drop(daemon.join().unwrap());
}

#[test]
fn a_refusal_carries_its_reason() {
    let (client, _daemon) = with_daemon(|daemon| {
        let (Request::Open { id, .. }, _) = daemon.request() else {
            panic!("no open");
        };
        let (reason, text) = (Reason::NoListener, "none there".to_owned());
        daemon.say(&Event::Refused { id, reason, text });
        daemon
    });
    match client.open(PEER, "sync", &[], SOON) {
        Err(ClientError::Refused(Reason::NoListener, text)) => assert_eq!(text, "none there"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn incoming_streams_are_accepted_and_what_exceeds_the_backlog_is_reset() {
    let (full, seen) = std::sync::mpsc::channel();
    let (client, daemon) = with_daemon(move |daemon| {
        let (Request::Listen { id, backlog, .. }, _) = daemon.request() else {
            panic!("no listen");
        };
        assert_eq!(backlog, 2);
        daemon.say(&Event::Listening { id });
        let kept = [daemon.incoming(1), daemon.incoming(2), daemon.incoming(3)];
        assert_eq!(
            daemon.request().0,
            Request::Reset {
                stream: 3,
                code: reset::BUSY
            }
        );
        full.send(()).unwrap();
        let stopped = daemon.request().0;
        (kept, stopped)
    });
    let listener = client.listen("sync", 2).unwrap();
    seen.recv().unwrap();
    let first = listener.accept_within(SOON).unwrap();
    assert_eq!((first.id, first.peer, first.member), (1, PEER, true));
    assert_eq!(first.address, Some("192.0.2.7:7656".parse().unwrap()));
    drop(listener);
    let protocol = "sync".to_owned();
    assert_eq!(daemon.join().unwrap().1, Request::Unlisten { protocol });
}

#[test]
fn the_end_of_the_connection_is_seen_everywhere() {
    let (client, daemon) = with_daemon(|daemon| {
        let (Request::Listen { id, .. }, _) = daemon.request() else {
            panic!("no listen");
        };
        daemon.say(&Event::Listening { id });
        let kept = daemon.incoming(1);
        let (Request::Sign { .. }, _) = daemon.request() else {
            panic!("no sign");
        };
        kept
    });
    let listener = client.listen("sync", 2).unwrap();
    let stream = listener.accept_within(SOON).unwrap();
    let signed = client.sign(context::RECORD, b"x");
    assert!(matches!(signed, Err(ClientError::Closed)), "{signed:?}");
    assert!(client.closed());
    assert!(matches!(listener.accept(), Err(ClientError::Closed)));
    assert_eq!(stream.ended(SOON).unwrap().end, End::Local);
    assert!(matches!(client.sign("x", b""), Err(ClientError::Closed)));
    drop(daemon.join().unwrap());
}

#[test]
fn dropping_everything_closes_the_connection() {
    let (client, daemon) = with_daemon(|daemon| {
        let mut buffer = vec![0; MAX_PACKET];
        packet::receive(&daemon.0, &mut buffer).unwrap().0
    });
    drop(client.clone());
    drop(client);
    assert_eq!(daemon.join().unwrap(), 0);
}

#[test]
fn a_configuration_travels_as_a_file() {
    let (client, daemon) = with_daemon(|daemon| {
        let (Request::Configure { id }, Some(file)) = daemon.request() else {
            panic!("no configuration");
        };
        daemon.say(&Event::Done { id });
        Configuration::from_memory_file(file).unwrap()
    });
    let sent = Configuration {
        community: Some("c".repeat(52)),
        name: "osona".to_owned(),
        members: vec![Member {
            relay: Some(RelayPorts {
                udp: 7656,
                tcp: 7657,
                certificate: Key([1; 32]).to_string(),
            }),
            relays: vec![OWN],
            coordinate: Some(Coordinate {
                x_us: -20,
                ..Coordinate::default()
            }),
            ..Member::new(PEER, vec!["[2001:db8::1]:7656".parse().unwrap()])
        }],
        banned: vec![OWN],
    };
    client.configure(&sent).unwrap();
    assert_eq!(daemon.join().unwrap(), sent);
}

#[test]
fn a_packet_too_large_is_refused_and_a_lost_descriptor_is_seen() {
    let (a, b) = packet::pair().unwrap();
    assert!(packet::send(&a, &vec![0; MAX_PACKET + 1], None).is_err());
    let two = [a.as_fd(), b.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&two)));
    let data = [std::io::IoSlice::new(b"x")];
    rustix::net::sendmsg(&a, &data, &mut control, rustix::net::SendFlags::NOSIGNAL).unwrap();
    let error = packet::receive(&b, &mut vec![0; MAX_PACKET]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn keys_are_read_as_they_are_written_and_nothing_else_is() {
    let text = PEER.to_string();
    assert_eq!(text.len(), 52);
    assert_eq!(text.parse(), Ok(PEER));
    assert_eq!(text.to_uppercase().parse(), Ok(PEER));
    // The last character holds one bit of the key; its other bits must be zero.
    let loose = format!("{}b", &text[..51]);
    for wrong in ["", "x", &text[1..], &loose, &text.replace('b', "1")] {
        assert_eq!(wrong.parse::<Key>(), Err(KeyError), "{wrong}");
    }
}

#[test]
fn protocol_names_are_short_and_plain() {
    assert!(protocol_name_is_valid("kv-raft2"));
    for wrong in ["", "Sync", "a b", "a/b", &"x".repeat(33)] {
        assert!(!protocol_name_is_valid(wrong), "{wrong}");
    }
}
