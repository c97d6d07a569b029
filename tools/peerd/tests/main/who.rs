//! "Who are you" on TCP, between real daemons.

use crate::bed;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use bed::*;
use guifi_peerd::who::{GREETING, read_answer};
use guifi_streams::{ClientError, Reason};

fn raw(place: &Box, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(place.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = Vec::new();
    // Either may fail if the daemon closes first.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn a_box_says_who_it_is_and_proves_it() {
    let (_a, ca, b, cb) = pair();
    let found = ca.who(&b.address().to_string(), SOON).unwrap();
    assert_eq!(found.key, cb.own_key());
    assert_eq!(found.community.as_deref(), Some(COMMUNITY));
    assert_eq!(found.name, "osona");
    let output = Command::new(env!("CARGO_BIN_EXE_guifi-peer"))
        .args(["who", &b.address().to_string(), "--json"])
        .output()
        .unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["key"], cb.own_key().to_string());
    assert_eq!(said["community"]["name"], "osona");
}

#[test]
fn nobody_answers_before_joining() {
    let (a, b) = (Box::new(), Box::new());
    let refused = a.client().who(&b.address().to_string(), SOON);
    assert!(matches!(
        refused,
        Err(ClientError::Refused(Reason::Unreachable, _))
    ));
    let output = Command::new(env!("CARGO_BIN_EXE_guifi-peer"))
        .args(["who", &b.address().to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(output.stdout.is_empty());
}

#[test]
fn garbage_gets_no_answer_and_askers_are_held_to_a_pace() {
    let (_a, ca, b, _cb) = pair();
    let mut good = GREETING.to_vec();
    good.extend([5; 32]);
    assert!(read_answer(&raw(&b, &good), &[5; 32]).is_some());
    let cut = &good[..20];
    for garbage in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 500], cut] {
        assert_eq!(raw(&b, garbage), b"", "{garbage:?}");
    }
    let answered = (0..30).filter(|_| !raw(&b, &good).is_empty()).count();
    assert!((1..15).contains(&answered), "{answered}");
    // Others things go on meanwhile, and the pause ends.
    until("an answer again", SOON, || {
        ca.who(&b.address().to_string(), SOON).ok()
    });
}
