//! Garbage for every method on the bus and for the socket: the daemon lives, and answers after it.

use crate::bed;

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use bed::*;
use guifi_streams::{Key, MAX_PACKET, Request, context, packet};
use guifi_testing::bus::Bus;
use guifi_testing::fuzz::{self, Target, calls, inputs};
use guifi_testing::interface;

#[test]
fn no_call_ends_the_daemon() {
    let bus = Bus::new();
    let place = Box::with("", &[], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus.address())]);
    let (other, away) = (Box::new(), Key([5; 32]));
    let (client, theirs) = (place.client(), other.client());
    let members = vec![
        member(client.own_key(), vec![place.address()]),
        member(theirs.own_key(), vec![other.address()]),
    ];
    client.configure(&community(members)).unwrap();
    let (key, away) = (theirs.own_key().to_string(), away.to_string());
    let target = Target {
        name: guifi_bus::PEER.name,
        path: guifi_bus::PEER.path,
        interface: &interface("net.guifi.Peer1"),
        without: &[],
        slow: &["Connect", "Ping"],
        samples: &[&key, &away, "127.0.0.1:9", "[::1]:7656", "10.1.0.2:65536"],
    };
    calls(&bus.address(), target, inputs());
}

fn requests(peer: Key) -> Vec<Vec<u8>> {
    let (id, protocol) = (7, "sync".to_owned());
    [
        Request::Open {
            id,
            peer,
            protocol: protocol.clone(),
            deadline_ms: 5,
            addresses: vec!["127.0.0.1:9".to_owned()],
        },
        Request::Listen {
            id,
            protocol: protocol.clone(),
            backlog: 8,
        },
        Request::Unlisten { protocol },
        Request::Reset { stream: 1, code: 3 },
        Request::Sign {
            id,
            context: context::RECORD.to_owned(),
            bytes: vec![1; 40],
        },
        Request::Configure { id },
        Request::Who {
            id,
            address: "127.0.0.1:9".to_owned(),
            deadline_ms: 5,
        },
    ]
    .iter()
    .map(Request::encode)
    .collect()
}

/// A new control connection, greeted and non-blocking.
fn connect(place: &Box) -> OwnedFd {
    let socket = packet::connect(&place.socket()).unwrap();
    packet::send(&socket, &Request::Hello.encode(), None).unwrap();
    rustix::io::ioctl_fionbio(&socket, true).unwrap();
    socket
}

#[test]
fn no_packet_ends_the_daemon() {
    let mut place = Box::new();
    let client = place.client();
    let key = client.own_key();
    let members = vec![member(key, vec![place.address()])];
    client.configure(&community(members)).unwrap();
    let samples = requests(key);
    let mut socket = connect(&place);
    let mut buffer = vec![0; MAX_PACKET];
    fuzz::rounds("control packets to peerd", inputs(), |chance, input| {
        let mut mutant = chance.mutant(&samples);
        mutant.truncate(MAX_PACKET);
        let (beside, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let beside = (chance.below(16) == 0).then(|| beside.as_fd());
        // It ends connections that are not understood, and still reads what was sent there.
        let understood = Request::decode(&mutant).is_ok();
        let end = Instant::now() + SOON;
        // A full socket is waited out, a closed one is replaced.
        while let Err(e) = packet::send(&socket, input.is(mutant.clone()), beside) {
            match e.kind() {
                std::io::ErrorKind::WouldBlock => {
                    std::thread::park_timeout(Duration::from_micros(50));
                }
                _ => socket = connect(&place),
            }
            assert!(Instant::now() < end, "the daemon takes nothing more");
        }
        if !understood {
            socket = connect(&place);
        }
        while packet::receive(&socket, &mut buffer).is_ok_and(|(length, _)| length > 0) {}
    });
    assert!(place.child.try_wait().unwrap().is_none(), "it has died");
    let answer = place.client().sign(context::RECORD, b"still here");
    assert!(answer.is_ok(), "{answer:?}");
}
