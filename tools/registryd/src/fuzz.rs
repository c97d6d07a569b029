//! Mutants of everything that another box can send: none may make the registry panic.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use guifi_streams::Key;
use guifi_testing::fuzz;
use serde_json::{Map, Value, json};

use crate::body;
use crate::book::Book;
use crate::frame::{Frame, chunks, kind, read_clock_answer};
use crate::gossip::{Gossip, Output};
use crate::kinds;
use crate::record::{CONTEXT, Draft, MAX_LIFE_MS, Record, RecordKey};
use crate::sync::Session;
use crate::testing::Signer;

const T: u64 = 1_795_000_000_000;
const ID: [u8; 32] = [7; 32];

/// Bodies of every kind that a rule reads.
fn bodies() -> Vec<(&'static str, &'static str, Value)> {
    let (a, b) = (Signer::new(2).key(), Signer::new(3).key());
    vec![
        ("admin", "0", json!({"key": a})),
        ("member", "0", json!({"key": a})),
        (
            "member",
            "1",
            json!({"key": b, "invite": {"key": a, "slot": 0}, "signature": "aa"}),
        ),
        (
            "confirm",
            "k",
            json!({"key": a, "space": "dns", "name": "vic-01"}),
        ),
        ("ban", "k", json!({"key": b, "time": T, "by": [a, b]})),
        ("rotate", "k", json!({"key": b, "signature": "aa"})),
        (
            "invite",
            "i",
            json!({"key": a, "uses": 3, "expires": T + 9}),
        ),
        (
            "claim",
            "dns/0",
            json!({"space": "dns", "name": "vic-01", "zone": "vic", "time": T}),
        ),
        ("lapse", "k", json!({"key": a, "name": "vic-01", "time": T})),
        ("absent", "k", json!({"key": a, "version": T})),
        (
            "box",
            "box",
            json!({"spine": {"name": "vic-01", "zone": "vic", "addresses": ["10.1.0.2", "fd00::2"],
                "port": 7656, "relay": {"udp": 7656, "tcp": 7657, "certificate": a}, "relays": [b],
                "coordinate": {"x_us": -5, "y_us": 0, "z_us": 9, "height_us": 1, "error_permille": 2},
                "neighbours": [a, b], "witness": [{"key": a, "address": "10.1.0.2", "signature": "aa"}]}}),
        ),
        (
            "service",
            "_http._tcp/Photos",
            json!({"instance": "Photos", "type": "_http._tcp", "port": 80, "txt": ["path=/"],
                "host": {"name": "printer", "addresses": ["10.1.0.9"]}, "healthy": true}),
        ),
        ("host", "printer", json!({"addresses": ["10.1.0.9"]})),
        (
            "mirror",
            "guifi",
            json!({"urls": ["http://10.1.0.2:7659/"], "suite": "guifi"}),
        ),
    ]
}

fn records() -> Vec<Record> {
    let signer = Signer::new(1);
    let mut records: Vec<_> = bodies()
        .into_iter()
        .map(|(kind, name, body)| signer.record(ID, kind, name, T, body))
        .collect();
    records.push(signer.found("closed", &[&Signer::new(2)]));
    records.push(signer.record(ID, "service", "_http._tcp/Photos", T, Value::Null));
    records
}

#[test]
fn mutants_of_records() {
    let samples: Vec<_> = records().iter().map(Record::encode).collect();
    fuzz::bytes("record", &samples, |bytes| {
        if let Ok(record) = Record::decode(bytes) {
            assert_eq!(record.encode(), bytes, "one record, one encoding");
            let _ = record.json();
            let _ = record.replaces(&record);
        }
    });
}

#[test]
fn mutants_of_bodies() {
    let samples: Vec<_> = records().into_iter().map(|record| record.body).collect();
    fuzz::bytes("body", &samples, |bytes| {
        if let Ok(map) = body::decode(bytes) {
            assert_eq!(body::encode(&map).unwrap(), bytes, "one body, one encoding");
        }
    });
}

/// Valid signatures under senseless bodies: what a member may write, and the rules read.
#[test]
fn signed_nonsense_in_the_book() {
    let admin = Signer::new(1);
    let signers = [admin.clone(), Signer::new(2), Signer::new(3)];
    let founding = admin.found("closed", &[]);
    let fresh = || {
        let mut book = Book::new(founding.clone(), admin.key(), "e".into()).unwrap();
        let member = json!({"key": signers[1].key()});
        book.merge(
            vec![admin.record(book.community(), "member", "0", T, member)],
            T,
        );
        book
    };
    let samples: Vec<String> = bodies().iter().map(|(.., body)| body.to_string()).collect();
    let names: Vec<&str> = bodies().iter().map(|(_, name, _)| *name).collect();
    let kinds: Vec<&str> = bodies().iter().map(|(kind, ..)| *kind).collect();
    let mut book = fresh();
    let mut held = 0;
    fuzz::rounds("signed nonsense", fuzz::inputs(), |chance, input| {
        let text = if chance.below(2) == 0 {
            chance.one(&samples).clone()
        } else {
            chance.text(&samples)
        };
        input.is(text.clone().into_bytes());
        let body: Option<Map<String, Value>> = serde_json::from_str(&text).ok();
        let kind = *chance.one(&kinds);
        let name = match chance.below(3) {
            0 => chance.text(&names),
            1 => chance.one(&signers).key().to_string(),
            _ => (*chance.one(&names)).to_owned(),
        };
        let version = match chance.below(3) {
            0 => chance.edge(),
            _ => T + chance.below(1000),
        };
        let life = if kinds::expires(kind) { MAX_LIFE_MS } else { 0 };
        let signer = chance.one(&signers);
        let draft = Draft {
            community: book.community(),
            key: RecordKey {
                owner: signer.key(),
                kind: kind.into(),
                name,
            },
            version,
            expires: if life == 0 {
                0
            } else {
                version.saturating_add(life)
            },
            body,
        };
        let Ok(record) = draft.sign(|content| Ok(signer.sign(CONTEXT, content))) else {
            return;
        };
        book.merge(vec![record], T);
        held += 1;
        if held % 64 == 0 {
            book.sweep(T + held);
            let _ = book.view().list(&Default::default(), admin.key());
            // A full book is slow, and says nothing more.
            book = fresh();
        }
    });
}

#[test]
fn mutants_of_frames() {
    let mut samples = Vec::new();
    for (kind, payload) in [
        (kind::CLOCK, vec![7; 8]),
        (kind::CLOCK_ANSWER, vec![7; 16]),
        (kind::WANT, vec![1; 64]),
        (kind::RECORD, records()[0].encode()),
        (
            kind::VERDICT,
            body::encode(&map(json!({"status": "member", "reason": ""}))).unwrap(),
        ),
        (kind::DONE, vec![]),
    ] {
        let mut bytes = Vec::new();
        Frame::new(kind, payload).write(&mut bytes).unwrap();
        samples.push(bytes);
    }
    let mut bytes = Vec::new();
    Frame::hello(&ID, T).write(&mut bytes).unwrap();
    samples.push(bytes);
    fuzz::bytes("frame", &samples, |mut bytes| {
        while let Ok(frame) = Frame::read(&mut bytes) {
            let _ = frame.read_hello(&ID);
            let _ = read_clock_answer(&frame.payload);
            let _ = chunks(&frame.payload);
            let _ = body::decode(&frame.payload);
        }
    });
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// All frames of an honest session, and what is made of them by a liar.
#[test]
fn mutants_of_reconciliations() {
    let signer = Signer::new(1);
    let record = |n: u64| {
        let name = n.to_string();
        Arc::new(signer.record(ID, "service", &name, T + n, json!({"n": n})))
    };
    let all: Vec<_> = (0..40).map(record).collect();
    let session = |initiator| {
        let own = if initiator { &all[..30] } else { &all[10..] };
        Session::new(ID, own.iter().cloned(), initiator).unwrap()
    };
    let (mut asker, mut helper) = (session(true), session(false));
    let mut samples: [Vec<Frame>; 2] = [asker.start(T).unwrap(), Vec::new()];
    let mut queue: Vec<(bool, Frame)> = samples[0].iter().map(|f| (false, f.clone())).collect();
    while !queue.is_empty() {
        let (to_asker, frame) = queue.remove(0);
        let side = if to_asker { &mut asker } else { &mut helper };
        let reaction = side.receive(&frame, T).unwrap();
        let records = reaction
            .records
            .iter()
            .map(|r| Frame::new(kind::RECORD, r.encode()));
        let mut answers: Vec<_> = reaction.frames.into_iter().chain(records).collect();
        answers.extend(reaction.done.then(|| Frame::new(kind::DONE, [])));
        samples[usize::from(!to_asker)].extend(answers.clone());
        queue.extend(answers.into_iter().map(|f| (!to_asker, f)));
    }
    fuzz::rounds("reconciliation", fuzz::inputs(), |chance, input| {
        let initiator = chance.below(2) == 0;
        let mut side = session(initiator);
        let _ = side.start(T);
        let frames = &samples[usize::from(initiator)];
        let payloads: Vec<_> = frames.iter().map(|f| f.payload.clone()).collect();
        for frame in frames.iter().take(4 + chance.index(8)) {
            let mut frame = frame.clone();
            match chance.below(4) {
                0 => frame.payload = chance.mutant(&payloads),
                1 => frame.kind = chance.edge().to_le_bytes()[0],
                _ => {}
            }
            input.is(frame.payload.clone());
            if side.receive(&frame, T).is_err() {
                break;
            }
        }
    });
}

/// Messages that two honest trees exchange.
fn gossip_messages(now: Instant) -> Vec<Vec<u8>> {
    let keys = [Key([1; 32]), Key([2; 32]), Key([3; 32])];
    let mut trees: Vec<_> = keys.iter().map(|k| Gossip::new(*k, ID, 1, now)).collect();
    trees[1].join(&keys[..1], now);
    trees[2].join(&keys[..2], now);
    let mut messages = Vec::new();
    for round in 0..40_u64 {
        let now = now + Duration::from_millis(200 * round);
        trees[0].broadcast(vec![1; 40], now);
        for from in 0..trees.len() {
            trees[from].tick(now);
            for output in trees[from].outputs() {
                if let Output::Send(to, message) = output {
                    let to = keys.iter().position(|k| *k == to).unwrap();
                    trees[to].receive(keys[from], &message, now).unwrap();
                    messages.push(message);
                }
            }
        }
    }
    messages.sort();
    messages.dedup();
    messages
}

#[test]
fn mutants_of_gossip() {
    let start = Instant::now();
    let samples = gossip_messages(start);
    assert!(samples.len() > 5, "{}", samples.len());
    let mut tree = Gossip::new(Key([1; 32]), ID, 1, start);
    let mut now = start;
    fuzz::rounds("gossip", fuzz::inputs(), |chance, input| {
        let peer = Key([u8::try_from(2 + chance.below(4)).unwrap(); 32]);
        let message = chance.mutant(&samples);
        let _ = tree.receive(peer, input.is(message), now);
        now += Duration::from_millis(chance.below(30));
        match chance.below(64) {
            0 => tree.lost(peer, now),
            1 => tree.broadcast(vec![9; 30], now),
            2..=5 => tree.tick(now),
            // A box restarts now and then, too.
            6 if chance.below(32) == 0 => tree = Gossip::new(Key([1; 32]), ID, 1, now),
            _ => {}
        }
        tree.outputs();
    });
}
