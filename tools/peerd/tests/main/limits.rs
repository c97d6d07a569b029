//! Limits: slow readers, many streams, few descriptors, foreign users, garbage.
#![allow(clippy::print_stderr)] // figures are said aloud

use crate::bed;

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use bed::*;
use guifi_streams::packet::{self, MAX_PACKET};
use guifi_streams::{Client, ClientError, Key, Reason, Stream};
use proptest::prelude::*;

/// Writes until nothing more is taken; how much was.
fn fill(stream: &Stream) -> usize {
    stream
        .socket
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut written = 0;
    loop {
        match (&stream.socket).write(&[7; 65536]) {
            Ok(n) => written += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return written,
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn eight_readers_that_stop_do_not_stop_a_ninth() {
    let (_a, ca, _b, cb) = pair();
    let listener = cb.listen("sync", 16).unwrap();
    let open = || ca.open(cb.own_key(), "sync", &[], SOON).unwrap();
    let stalled: Vec<_> = (0..8)
        .map(|_| (open(), listener.accept_within(SOON).unwrap()))
        .collect();
    for written in std::thread::scope(|scope| {
        let fillers: Vec<_> = stalled
            .iter()
            .map(|(ours, _)| scope.spawn(|| fill(ours)))
            .collect();
        fillers
            .into_iter()
            .map(|f| f.join().unwrap())
            .collect::<Vec<_>>()
    }) {
        // Back-pressure: neither endless nor nothing.
        assert!((100_000..8_000_000).contains(&written), "{written}");
    }
    let mut ninth = open();
    let mut theirs = listener.accept_within(SOON).unwrap();
    let writer = std::thread::spawn(move || {
        ninth.write_all(&vec![1; 5_000_000]).unwrap();
        ninth
    });
    let mut five = vec![0; 5_000_000];
    theirs.read_exact(&mut five).unwrap();
    drop(writer.join().unwrap());
    // And those who stopped can go on.
    let (_, reader) = &stalled[0];
    (&reader.socket).read_exact(&mut [0; 100_000]).unwrap();
}

#[test]
fn a_thousand_quiet_streams_cost_little() {
    let more = ["prlimit", "--nofile=16384:16384"];
    let (a, b) = (Box::with("", &more, &[]), Box::with("", &more, &[]));
    raise_own_limit();
    let (ca, cb) = (a.client(), b.client());
    join(&[(&a, &ca), (&b, &cb)]);
    let listener = cb.listen("sync", 64).unwrap();
    let mut open = Vec::new();
    let mut one = || {
        let mut ours = ca.open(cb.own_key(), "sync", &[], SOON).unwrap();
        let mut theirs = listener.accept_within(SOON).unwrap();
        ours.write_all(b"question").unwrap();
        theirs.read_exact(&mut [0; 8]).unwrap();
        open.push((ours, theirs));
    };
    one();
    let before = [a.private_kib(), b.private_kib()];
    (0..999).for_each(|_| one());
    for (place, before) in [(&a, before[0]), (&b, before[1])] {
        let grown = place.private_kib() - before;
        eprintln!("1,000 open streams: {before} KiB private, {grown} KiB more");
        assert!(grown < 32 << 10, "{grown} KiB");
    }
    // They all still work.
    for (ours, theirs) in &mut open {
        theirs.write_all(b"x").unwrap();
        ours.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn when_descriptors_run_short_streams_are_refused_with_a_reason() {
    let a = Box::new();
    let b = Box::with("", &["prlimit", "--nofile=256:256"], &[]);
    let (ca, cb) = (a.client(), b.client());
    join(&[(&a, &ca), (&b, &cb)]);
    let listener = cb.listen("sync", 8).unwrap();
    let mut open = Vec::new();
    let refusal = loop {
        match ca.open(cb.own_key(), "sync", &[], SOON) {
            Ok(stream) => open.push((stream, listener.accept_within(SOON).unwrap())),
            Err(e) => break e,
        }
        assert!(open.len() < 256);
    };
    assert!(matches!(refusal, ClientError::Refused(Reason::Busy, _)));
    // One peer leaves as much to the others.
    assert!(open.len() > 50, "{}", open.len());
    // Room again: streams again.
    open.clear();
    let stream = until("a stream", SOON, || {
        ca.open(cb.own_key(), "sync", &[], SOON).ok()
    });
    drop(stream);
}

#[test]
fn a_listener_that_takes_no_streams_has_them_reset_as_busy() {
    let (_a, ca, _b, cb) = pair();
    let _listener = cb.listen("sync", 2).unwrap();
    let open = || ca.open(cb.own_key(), "sync", &[], SOON);
    let _taken = [open().unwrap(), open().unwrap()];
    match open() {
        Ok(third) => {
            assert_eq!(rest(&third), b"");
            let ended = third.ended(SOON).unwrap();
            assert_eq!(ended.code, guifi_streams::reset::BUSY);
        }
        // The reset was faster than the answer.
        Err(e) => assert!(matches!(e, ClientError::Refused(Reason::Busy, _)), "{e}"),
    }
}

/// Not a test by itself: what a foreign user tries in the next test.
#[test]
fn a_foreign_user() {
    let Ok(socket) = std::env::var("FOREIGN_SOCKET") else {
        return;
    };
    let peer: Key = std::env::var("FOREIGN_PEER").unwrap().parse().unwrap();
    let client = Client::connect(socket.as_ref()).unwrap();
    let refused = |e: ClientError| matches!(e, ClientError::Refused(Reason::NotAllowed, _));
    assert!(refused(client.open(peer, "sync", &[], SOON).unwrap_err()));
    assert!(refused(client.listen("sync", 8).unwrap_err()));
    assert!(refused(
        client
            .sign(guifi_streams::context::RECORD, b"")
            .unwrap_err()
    ));
    assert!(refused(client.configure(&Default::default()).unwrap_err()));
    // What the configuration gives it, it may.
    drop(client.listen("kv-raft", 8).unwrap());
    drop(client.open(peer, "kv-raft", &[], SOON).unwrap());
}

#[test]
fn a_foreign_user_may_only_what_the_configuration_gives_it() {
    if !root_or_skip("a_foreign_user_may_only_what_the_configuration_gives_it") {
        return;
    }
    let a = Box::with("[protocol.kv-raft]\nusers = ['somebody']", &[], &[]);
    let b = Box::new();
    let (ca, cb) = (a.client(), b.client());
    join(&[(&a, &ca), (&b, &cb)]);
    let _listener = cb.listen("kv-raft", 8).unwrap();
    let passwd = "somebody:x:65533:65533::/:/bin/false\n";
    std::fs::write(a.dir.path().join("etc/passwd"), passwd).unwrap();
    let open = |path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    open(a.dir.path().to_path_buf(), 0o755);
    open(a.socket(), 0o666);
    // Where this program is, the user may not look.
    let copy = a.dir.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new(&copy)
        .args(["--exact", "limits::a_foreign_user"])
        .env("FOREIGN_SOCKET", a.socket())
        .env("FOREIGN_PEER", cb.own_key().to_string())
        .uid(65533)
        .gid(65533)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn garbage_on_the_socket_ends_that_connection_only() {
    let (a, ca, _b, cb) = pair();
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let _listener = cb.listen("sync", 8).unwrap();
    proptest!(config, |(greet: bool, bytes in prop::collection::vec(any::<u8>(), 1..300), likely: bool, kind in 0..9u8)| {
        let socket = packet::connect(&a.socket()).unwrap();
        if greet {
            packet::send(&socket, &guifi_streams::Request::Hello.encode(), None).unwrap();
        }
        let mut packet = if likely { vec![0x98, 7, 1, kind] } else { Vec::new() };
        packet.extend(bytes);
        // It may have been closed by then.
        let _ = packet::send(&socket, &packet, None);
        let _ = packet::send(&socket, &[0; MAX_PACKET], None);
    });
    ca.open(cb.own_key(), "sync", &[], SOON).unwrap();
    let others = until("the garbage is gone", SOON, || {
        let client = Client::connect(&a.socket()).ok()?;
        client.open(cb.own_key(), "sync", &[], SOON).ok()
    });
    drop(others);
}

#[test]
fn garbage_on_the_udp_port_and_in_stream_headers_is_survived() {
    let (a, ca, b, cb) = pair();
    let _listener = cb.listen("sync", 8).unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut seed = 1u32;
    for length in (0..1400).step_by(7) {
        let packet: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        socket.send_to(&packet, b.address()).unwrap();
    }
    // A member whose software is broken: headers cut short, too long, of another version.
    let runtime = mad::runtime();
    runtime.block_on(async {
        let secret = iroh::SecretKey::generate();
        let broken = Key(*secret.public().as_bytes());
        cb.configure(&community(vec![
            member(ca.own_key(), vec![a.address()]),
            member(broken, vec![]),
        ]))
        .unwrap();
        let (_endpoint, connection) = mad::connect_as(secret, LOCAL, &b, &cb).await.unwrap();
        for header in [
            &b"\x02\x04sync"[..],
            b"\x01\x00",
            b"\x01\xff",
            b"\x01\x04sy",
            b"\x01\x04SYNC",
            b"\x01\x04\xff\xff\xff\xff",
        ] {
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            send.write_all(header).await.unwrap();
            send.finish().unwrap();
            assert!(recv.read_to_end(16).await.is_err(), "{header:?}");
        }
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&guifi_peerd::header::encode("sync"))
            .await
            .unwrap();
        let mut status = [9];
        recv.read_exact(&mut status).await.unwrap();
        assert_eq!(status, [guifi_peerd::header::ACCEPTED]);
    });
    join(&[(&a, &ca), (&b, &cb)]);
    ca.open(cb.own_key(), "sync", &[], SOON).unwrap();
}

#[test]
fn a_stranger_that_says_nothing_is_disconnected() {
    let (_a, _ca, b, cb) = pair();
    let runtime = mad::runtime();
    let why = runtime.block_on(async {
        let (_endpoint, connection) = mad::connect_as(iroh::SecretKey::generate(), LOCAL, &b, &cb)
            .await
            .unwrap();
        let long = SOON * 3;
        tokio::time::timeout(long, connection.closed())
            .await
            .unwrap()
    });
    assert!(why.to_string().contains("idle"), "{why}");
}
