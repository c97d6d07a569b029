//! Mutants of what strangers and seeds say on a `join` stream.
#![allow(clippy::unwrap_used)]

use guifi_testing::fuzz;
use serde_json::Value;

use super::invited::{frame_of, read_grant};
use super::*;
use crate::node::Grant;
use crate::testing::Signer;
use crate::witness::Statement;

fn home() -> Home {
    Home {
        name: "vic-01".to_owned(),
        zone: "vic".to_owned(),
    }
}

fn record(kind: &str, name: &str) -> Record {
    Signer::new(1).record([7; 32], kind, name, 1_795_000_000_000, json!({"key": "a"}))
}

#[test]
fn as_many_changes_of_key_as_are_told_survive_their_frame() {
    let signature = json!({"signature": "a".repeat(103)});
    let rotations: Vec<Arc<Record>> = (1..=6)
        .map(|n| {
            let new = Signer::new(n + 1).key().to_string();
            let (old, time) = (Signer::new(n), u64::MAX >> 16);
            Arc::new(old.record([7; 32], "rotate", &new, time, signature.clone()))
        })
        .collect();
    let long = Home {
        name: "n".repeat(63),
        zone: "z".repeat(100),
    };
    let map = body::decode(&rotations_frame(&long, &rotations).payload).unwrap();
    let read = rotations_in(&map).unwrap();
    assert!(read.iter().eq(rotations.iter().map(Arc::as_ref)));
    assert_eq!(home_in(&map), long);
}

/// What a member reads before it decides.
#[test]
fn mutants_of_requests() {
    let address = Some("10.1.0.2".parse().unwrap());
    let rotation = record("rotate", &Signer::new(2).key().to_string());
    let samples: Vec<Vec<u8>> = [
        admit_frame(&home(), Wish::Member),
        admit_frame(&home(), Wish::Other(Signer::new(2).key(), address)),
        admit_frame(&home(), Wish::Further),
        rotations_frame(&home(), &[rotation.into()]),
    ]
    .into_iter()
    .map(|frame| frame.payload)
    .collect();
    fuzz::bytes("request to join", &samples, |bytes| {
        if let Ok(map) = body::decode(bytes) {
            let _ = (home_in(&map), rotations_in(&map));
        }
    });
}

/// What a joiner, or a member that asks another, reads of the answer.
#[test]
fn mutants_of_answers() {
    let grant = Grant {
        slot: 7,
        time: 1_795_000_000_000,
        by: Signer::new(3).key(),
        countersignature: [5; 64],
    };
    let status = object(json!({"status": "member", "reason": ""}));
    let mut verdict = Vec::new();
    for frame in [
        Frame::new(kind::VERDICT, body::encode(&status).unwrap()),
        Frame::new(kind::RECORD, record("member", "0").encode()),
        Frame::new(kind::DONE, []),
    ] {
        frame.write(&mut verdict).unwrap();
    }
    fuzz::bytes("verdict", &[verdict], |mut bytes| {
        if let Ok(frame) = Frame::read(&mut bytes) {
            let _ = Verdict::read_after(&frame, &mut bytes);
        }
    });
    let granted = frame_of(&grant).unwrap().payload;
    fuzz::bytes("grant", &[granted], |bytes| {
        let _ = read_grant(bytes);
    });
    let said = object(json!({"address": "10.1.0.2", "time": 1_795_000_000_000_u64,
        "signature": Value::String("a".repeat(103))}));
    fuzz::bytes("witness", &[body::encode(&said).unwrap()], |bytes| {
        if let Ok(map) = body::decode(bytes) {
            let _ = Statement::read(&map, Signer::new(3).key());
        }
    });
}
