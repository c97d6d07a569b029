//! Streams between real daemons: both ways, every kind of end, every refusal.

use crate::bed;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bed::*;
use guifi_streams::{Client, ClientError, End, Key, PathKind, Reason, Stream, context, reset};

fn reason(result: Result<Stream, ClientError>) -> Reason {
    match result {
        Err(ClientError::Refused(reason, _)) => reason,
        other => panic!("{other:?}"),
    }
}

fn connected(from: &Client, to: &Client) -> (Stream, Stream) {
    let listener = to.listen("sync", 8).unwrap();
    let ours = from.open(to.own_key(), "sync", &[], SOON).unwrap();
    let theirs = listener.accept_within(SOON).unwrap();
    (ours, theirs)
}

#[test]
fn bytes_go_both_ways_and_half_a_close_is_passed_on() {
    let (_a, ca, b, cb) = pair();
    let (mut ours, mut theirs) = connected(&ca, &cb);
    assert_eq!(theirs.peer, ca.own_key());
    assert!(theirs.member && ours.member);
    assert_eq!(ours.path, PathKind::Direct);
    assert_eq!(ours.address.map(|a| a.port()), Some(b.port));
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || {
        ours.write_all(&copy).unwrap();
        ours.socket.shutdown(Shutdown::Write).unwrap();
        ours
    });
    assert!(rest(&theirs) == sent);
    assert_eq!(theirs.ended(SOON).unwrap().end, End::Clean);
    // The other direction is still open.
    let ours = writer.join().unwrap();
    assert_eq!(ours.ended(Duration::ZERO), None);
    theirs.write_all(b"thanks").unwrap();
    drop(theirs);
    assert_eq!(rest(&ours), b"thanks");
    assert_eq!(ours.ended(SOON).unwrap().end, End::Clean);
}

#[test]
fn streams_can_be_opened_from_either_side_and_share_a_connection() {
    let (_a, ca, _b, cb) = pair();
    let (_one, _two) = connected(&ca, &cb);
    let listener = ca.listen("gossip", 8).unwrap();
    let mut back = cb.open(ca.own_key(), "gossip", &[], SOON).unwrap();
    back.write_all(b"x").unwrap();
    let mut byte = [0];
    listener
        .accept_within(SOON)
        .unwrap()
        .read_exact(&mut byte)
        .unwrap();
    assert_eq!(byte, *b"x");
}

#[test]
fn a_reset_is_told_with_its_code() {
    let (_a, ca, _b, cb) = pair();
    let (mut ours, theirs) = connected(&ca, &cb);
    ours.write_all(b"half of it").unwrap();
    let mut ten = [0; 10];
    (&theirs).read_exact(&mut ten).unwrap();
    ours.reset(300);
    assert_eq!(rest(&theirs), b"");
    let ended = theirs.ended(SOON).unwrap();
    assert_eq!((ended.end, ended.code), (End::Reset, 300));
}

#[test]
fn closing_is_not_an_abort_but_the_writer_learns_that_nobody_reads() {
    let (_a, ca, _b, cb) = pair();
    let (mut ours, theirs) = connected(&ca, &cb);
    drop(theirs);
    assert_eq!(rest(&ours), b"");
    let error = until("a broken pipe", SOON, || ours.write_all(&[0; 4096]).err());
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    let ended = until("stopped", SOON, || {
        ours.ended(Duration::ZERO).filter(|e| e.end == End::Stopped)
    });
    assert_eq!(ended.code, reset::CLOSED);
}

#[test]
fn a_reader_that_leaves_after_its_half_close_is_noticed() {
    let (_a, ca, _b, cb) = pair();
    let (ours, theirs) = connected(&ca, &cb);
    ours.socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&theirs), b"");
    assert_eq!(theirs.ended(SOON).unwrap().end, End::Clean);
    drop(ours);
    until("stopped", SOON * 2, || {
        theirs
            .ended(Duration::ZERO)
            .filter(|e| e.end == End::Stopped)
    });
}

/// Not a test by itself: the program that the next test kills. It opens a stream, writes, and
/// waits for its end.
#[test]
fn a_program_that_is_killed() {
    let Ok(socket) = std::env::var("VICTIM_SOCKET") else {
        return;
    };
    let peer: Key = std::env::var("VICTIM_PEER").unwrap().parse().unwrap();
    let client = Client::connect(socket.as_ref()).unwrap();
    let stream = client.open(peer, "sync", &[], SOON).unwrap();
    (&stream).write_all(b"half of it").unwrap();
    let _ = (&stream).read(&mut [0]);
}

#[test]
fn a_killed_program_is_a_reset_for_the_peer() {
    let (a, ca, _b, cb) = pair();
    let listener = cb.listen("sync", 8).unwrap();
    for _ in 0..10 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "streams::a_program_that_is_killed"])
            .env("VICTIM_SOCKET", a.socket())
            .env("VICTIM_PEER", cb.own_key().to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stream = listener.accept_within(SOON).unwrap();
        let mut half = [0; 10];
        (&stream).read_exact(&mut half).unwrap();
        victim.kill().unwrap();
        victim.wait().unwrap();
        assert_eq!(rest(&stream), b"");
        assert_eq!(stream.ended(SOON).unwrap().end, End::Reset);
    }
    drop(ca);
}

#[test]
fn a_stopped_daemon_is_a_lost_peer_sooner_than_a_killed_one() {
    let (mut a, ca, _b, cb) = pair();
    let (ours, theirs) = connected(&ca, &cb);
    let (mut killed, ck, _other, co) = pair();
    let (_of_killed, of_other) = connected(&ck, &co);
    a.stop();
    killed.kill();
    assert_eq!(rest(&theirs), b"");
    assert_eq!(theirs.ended(SOON).unwrap().end, End::Lost);
    assert!(of_other.ended(Duration::ZERO).is_none());
    assert_eq!(rest(&ours), b"");
    assert_eq!(ours.ended(SOON).unwrap().end, End::Local);
    assert!(ca.closed());
}

#[test]
fn a_killed_daemon_is_a_lost_peer_within_the_idle_time() {
    let (mut a, ca, _b, cb) = pair();
    let (_ours, theirs) = connected(&ca, &cb);
    a.kill();
    assert_eq!(rest(&theirs), b"");
    assert_eq!(theirs.ended(SOON).unwrap().end, End::Lost);
}

#[test]
fn a_daemon_killed_and_back_is_reached_before_its_old_connection_is_lost() {
    let (mut a, ca, b, cb) = pair();
    drop(connected(&cb, &ca));
    a.kill();
    a.restart();
    let again = a.client();
    join(&[(&a, &again), (&b, &cb)]);
    let listener = again.listen("sync", 8).unwrap();
    // That alone would take ten seconds; the benchmarks say how long it takes.
    let half = SOON / 2;
    let _stream = cb.open(again.own_key(), "sync", &[], half).unwrap();
    listener.accept_within(SOON).unwrap();
}

#[test]
fn what_a_killed_daemon_left_is_given_up_when_it_calls_again() {
    let (mut a, ca, b, cb) = pair();
    let (_ours, theirs) = connected(&ca, &cb);
    a.kill();
    a.restart();
    let again = a.client();
    join(&[(&a, &again), (&b, &cb)]);
    let listener = cb.listen("gossip", 8).unwrap();
    let _stream = again.open(cb.own_key(), "gossip", &[], SOON).unwrap();
    listener.accept_within(SOON).unwrap();
    // Not only after the ten seconds of silence, or more, in which it would be lost by itself.
    let ended = theirs.ended(SOON / 4);
    assert_eq!(ended.map(|ended| ended.end), Some(End::Lost));
}

#[test]
fn every_refusal_has_its_reason() {
    let (_a, ca, _b, cb) = pair();
    let b = cb.own_key();
    assert_eq!(reason(ca.open(b, "sync", &[], SOON)), Reason::NoListener);
    assert_eq!(reason(ca.open(b, "No Name", &[], SOON)), Reason::Invalid);
    assert_eq!(
        reason(ca.open(ca.own_key(), "sync", &[], SOON)),
        Reason::Invalid
    );
    let stranger = Key([0; 32]);
    assert_eq!(reason(ca.open(stranger, "sync", &[], SOON)), Reason::Denied);
    let unknown = Box::new().client().own_key();
    assert_eq!(reason(ca.open(unknown, "join", &[], SOON)), Reason::Unknown);
    let _listener = ca.listen("sync", 8).unwrap();
    let other = _a.client();
    assert!(matches!(
        other.listen("sync", 8),
        Err(ClientError::Refused(Reason::Taken, _))
    ));
    ca.configure(&Default::default()).unwrap();
    assert_eq!(reason(ca.open(b, "sync", &[], SOON)), Reason::Offline);
}

#[test]
fn a_dead_address_fails_and_the_second_time_sooner() {
    let (_a, ca, _b, _cb) = pair();
    let gone = Box::new();
    let (key, address) = (gone.client().own_key(), gone.address());
    drop(gone);
    let begin = Instant::now();
    let refused = reason(ca.open(key, "join", &[address], SOON));
    assert_eq!(refused, Reason::Unreachable);
    let first = begin.elapsed();
    let begin = Instant::now();
    reason(ca.open(key, "join", &[address], SOON));
    assert!(begin.elapsed() < first);
    let short = Duration::from_millis(300);
    let another = SocketAddrs::next(address);
    let refused = reason(ca.open(key, "join", &[address, another], short));
    assert_eq!(refused, Reason::TimedOut);
}

struct SocketAddrs;

impl SocketAddrs {
    fn next(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
        address.set_port(address.port().wrapping_add(1).max(1));
        address
    }
}

#[test]
fn a_stranger_may_join_and_nothing_else_and_the_banned_may_nothing() {
    let (_a, ca, b, cb) = pair();
    let stranger = Box::new();
    let cs = stranger.client();
    // It believes that all are members; the others do not.
    let everybody = vec![
        member(ca.own_key(), vec![]),
        member(cb.own_key(), vec![b.address()]),
    ];
    cs.configure(&community(everybody)).unwrap();
    let _sync = cb.listen("sync", 8).unwrap();
    let join = cb.listen("join", 8).unwrap();
    assert_eq!(
        reason(cs.open(cb.own_key(), "sync", &[], SOON)),
        Reason::Denied
    );
    let mut stream = cs.open(cb.own_key(), "join", &[], SOON).unwrap();
    stream.write_all(b"please").unwrap();
    let taken = join.accept_within(SOON).unwrap();
    assert!(!taken.member);
    let mut six = [0; 6];
    (&taken).read_exact(&mut six).unwrap();
    // Banned: the connection is closed, and a new one gets nowhere.
    let mut banning = community(vec![member(ca.own_key(), vec![])]);
    banning.banned = vec![cs.own_key()];
    cb.configure(&banning).unwrap();
    assert_eq!(rest(&stream), b"");
    assert_eq!(stream.ended(SOON).unwrap().end, End::Lost);
    assert_eq!(
        reason(cs.open(cb.own_key(), "join", &[], SOON)),
        Reason::Denied
    );
}

#[test]
fn configuring_again_leaves_streams_alone() {
    let (a, ca, b, cb) = pair();
    let (mut ours, mut theirs) = connected(&ca, &cb);
    for _ in 0..5 {
        join(&[(&a, &ca), (&b, &cb)]);
    }
    ours.write_all(b"still").unwrap();
    let mut five = [0; 5];
    theirs.read_exact(&mut five).unwrap();
    assert_eq!(&five, b"still");
    // Leaving ends them, and coming back works on the same port.
    cb.configure(&Default::default()).unwrap();
    assert_eq!(rest(&ours), b"");
    assert_eq!(ours.ended(SOON).unwrap().end, End::Lost);
    join(&[(&a, &ca), (&b, &cb)]);
    drop(connected(&ca, &cb));
}

#[test]
fn signatures_are_made_in_known_contexts_only() {
    let place = Box::new();
    let client = place.client();
    let signature = client.sign(context::RECORD, b"body").unwrap();
    let key = ed25519_dalek::VerifyingKey::from_bytes(&client.own_key().0).unwrap();
    key.verify_strict(
        b"guifi-record-v1\0body",
        &ed25519_dalek::Signature::from_bytes(&signature),
    )
    .unwrap();
    for wrong in ["", "guifi-who-v1", "TLS 1.3, client CertificateVerify"] {
        let refused = client.sign(wrong, b"body");
        assert!(matches!(
            refused,
            Err(ClientError::Refused(Reason::Invalid, _))
        ));
    }
}

#[test]
fn the_key_survives_restarts_and_the_socket_a_crash() {
    let mut place = Box::new();
    let key = place.client().own_key();
    place.kill();
    place.restart();
    assert_eq!(place.client().own_key(), key);
}

#[test]
fn a_listener_that_dies_frees_its_protocol_at_once() {
    let (a, ca, _b, cb) = pair();
    let first = a.client();
    let listener = first.listen("sync", 8).unwrap();
    drop((first, listener));
    let again = until("a free protocol", SOON, || ca.listen("sync", 8).ok());
    let _stream = cb.open(ca.own_key(), "sync", &[], SOON).unwrap();
    again.accept_within(SOON).unwrap();
}
