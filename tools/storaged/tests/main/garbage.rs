//! Requests by those who want to see it fail: it answers, within its limits.

use guifi_tahoe::gbs::{Allocate, ReadTestWrite, TestWrite, Write, encode_corrupt};
use guifi_testing::fuzz::{Chance, inputs};

use crate::client::{SI, lease, secret, upload};
use crate::place::Place;

fn resident_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Heads and bodies that are right.
fn samples(authorization: &str) -> Vec<Vec<u8>> {
    let mut change = ReadTestWrite::default();
    let write = Write {
        offset: 3,
        data: b"data".to_vec(),
    };
    let vector = TestWrite {
        writes: vec![write],
        ..TestWrite::default()
    };
    change.vectors.insert(1, vector);
    let wish = Allocate {
        shares: [0, 1].into(),
        size: 20,
    };
    let enabler = secret("write-enabler", b"enabler");
    [
        ("GET", "/storage/v1/version".to_owned(), String::new(), vec![]),
        ("POST", format!("/storage/v1/immutable/{SI}"), lease() + &upload(), wish.encode()),
        (
            "PATCH",
            format!("/storage/v1/immutable/{SI}/0"),
            upload() + "Content-Range: bytes 0-9/*\r\n",
            b"0123456789".to_vec(),
        ),
        (
            "GET",
            format!("/storage/v1/immutable/{SI}/0"),
            "Range: bytes=0-9\r\n".to_owned(),
            vec![],
        ),
        (
            "POST",
            format!("/storage/v1/mutable/{SI}/read-test-write"),
            lease() + &enabler,
            change.encode(),
        ),
        (
            "POST",
            format!("/storage/v1/mutable/{SI}/1/corrupt"),
            String::new(),
            encode_corrupt("reason"),
        ),
        ("PUT", format!("/storage/v1/lease/{SI}"), lease(), vec![]),
    ]
    .into_iter()
    .map(|(method, path, headers, body)| {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend(body);
        request
    })
    .collect()
}

#[test]
fn no_request_ends_the_daemon_or_makes_it_grow() {
    let place = Place::new("space = 10000000\n[limits]\nidle_seconds = 1");
    let mut client = place.client();
    let samples = samples(&client.authorization);
    for sample in &samples {
        let answer = client.raw(sample).unwrap();
        assert!(answer.code < 500, "{answer:?}");
    }
    let mut chance = Chance::new(5);
    let mut broken = 0;
    // Each is a connection of its own.
    let count = (inputs() / 10).clamp(300, 100_000);
    for _ in 0..count {
        let request = if chance.below(3) == 0 {
            // The head right, the body not.
            let sample = chance.one(&samples).clone();
            let at = sample
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .unwrap()
                + 4;
            let body = chance.mutant(&[&sample[at..]]);
            let head = String::from_utf8(sample[..at].to_vec()).unwrap();
            let (before, _) = head.split_once("Content-Length").unwrap();
            let mut request = format!(
                "{before}Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            )
            .into_bytes();
            request.extend(body);
            request
        } else {
            // An end that is missing costs a second of waiting.
            let mut request = chance.mutant(&samples);
            request.extend_from_slice(b"\r\n\r\n");
            request
        };
        match client.raw(&request) {
            Ok(answer) => assert_ne!(answer.code, 500, "{}", String::from_utf8_lossy(&request)),
            Err(_) => broken += 1,
        }
    }
    let answer = place.client().get("/storage/v1/version", "");
    assert_eq!(answer.code, 200, "{broken} were not answered");
    assert!(
        resident_kib(place.pid()) < 15 << 10,
        "{} KiB",
        resident_kib(place.pid())
    );
}
