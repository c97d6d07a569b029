//! `kill -9` at any moment: what was acknowledged is there, and no half share or half change.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use guifi_tahoe::base32;
use guifi_tahoe::gbs::{Read, ReadTestWrite, TestWrite, Write};
use guifi_testing::fuzz::Chance;

use crate::client::Client;
use crate::place::Place;

const SHARES: [u8; 3] = [0, 1, 2];

fn index(kind: u8, thread: u8, number: u32) -> String {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&[kind, thread]);
    bytes[2..6].copy_from_slice(&number.to_be_bytes());
    base32::encode(&bytes)
}

fn content(seed: u64, size: usize) -> Vec<u8> {
    Chance::new(seed)
        .noise(size)
        .into_iter()
        .cycle()
        .take(size)
        .collect()
}

/// Uploads until the server is gone; returns what was acknowledged, and what may be there.
fn upload(client: &mut Client, thread: u8, from: u32, end: &AtomicBool) -> Vec<(String, Vec<u8>)> {
    let mut whole = Vec::new();
    for number in from.. {
        if end.load(Ordering::Relaxed) {
            break;
        }
        let index = index(0, thread, number);
        let bytes = content(u64::from(number) + 1, 70_000);
        if client
            .try_ask("GET", "/storage/v1/version", "", b"")
            .is_err()
        {
            break;
        }
        let Ok(allocated) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            client.allocate(&index, &[0], bytes.len() as u64)
        })) else {
            break;
        };
        assert_eq!(allocated.allocated, [0].into());
        let (first, second) = bytes.split_at(40_000);
        if client.patch(&index, 0, 0, first).is_err() {
            break;
        }
        match client.patch(&index, 0, 40_000, second) {
            Ok(answer) => assert_eq!(answer.code, 201),
            Err(_) => break,
        }
        whole.push((index, bytes));
    }
    whole
}

/// The version that a share has, as its bytes say.
fn version(bytes: &[u8]) -> u32 {
    let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(bytes, change_bytes(number), "a half share");
    number
}

fn change_bytes(number: u32) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(content(u64::from(number), 3000 + number as usize % 7));
    bytes
}

fn change(number: u32) -> ReadTestWrite {
    let bytes = change_bytes(number);
    let vector = TestWrite {
        new_length: Some(bytes.len() as u64),
        writes: vec![Write {
            offset: 0,
            data: bytes,
        }],
        ..TestWrite::default()
    };
    ReadTestWrite {
        vectors: SHARES.iter().map(|n| (*n, vector.clone())).collect(),
        reads: Vec::new(),
    }
}

/// Changes all shares of a file again and again; returns the last acknowledged version.
fn write(client: &mut Client, thread: u8, from: u32, end: &AtomicBool) -> u32 {
    let index = index(1, thread, 0);
    let mut last = from;
    while !end.load(Ordering::Relaxed) {
        match client.change(&index, "enabler", &change(last + 1)) {
            Ok(done) => assert!(done.unwrap().success),
            Err(_) => break,
        }
        last += 1;
    }
    last
}

/// Rounds in a usual run, and in a long one.
fn rounds() -> u64 {
    if std::env::var_os("GUIFI_LONG").is_some() {
        40
    } else {
        6
    }
}

#[test]
fn what_was_acknowledged_survives() {
    let mut place = Place::new("");
    let mut chance = Chance::new(7);
    let (mut uploaded, mut written) = (BTreeMap::new(), [0_u32; 2]);
    for round in 0..rounds() {
        let end = AtomicBool::new(false);
        let pause = Duration::from_millis(chance.below(700) + 50);
        let from = u32::try_from(round * 100_000).unwrap();
        let clients: Vec<Client> = (0..4).map(|_| place.client()).collect();
        std::thread::scope(|scope| {
            let end = &end;
            let mut clients = clients.into_iter();
            let uploads: Vec<_> = (0..2)
                .map(|thread| {
                    let mut client = clients.next().unwrap();
                    scope.spawn(move || upload(&mut client, thread, from, end))
                })
                .collect();
            let writes: Vec<_> = (0..2_u8)
                .map(|thread| {
                    let (mut client, last) =
                        (clients.next().unwrap(), written[usize::from(thread)]);
                    scope.spawn(move || write(&mut client, thread, last, end))
                })
                .collect();
            std::thread::park_timeout(pause);
            place.kill();
            end.store(true, Ordering::Relaxed);
            for done in uploads {
                uploaded.extend(done.join().unwrap());
            }
            for (done, last) in writes.into_iter().zip(&mut written) {
                *last = done.join().unwrap();
            }
        });
        place.start();
        let mut client = place.client();
        for (index, bytes) in &uploaded {
            let answer = client.get(&format!("/storage/v1/immutable/{index}/0"), "");
            assert_eq!(answer.code, 200, "{index} in round {round}");
            assert!(answer.body == *bytes, "{index} in round {round}");
        }
        for (thread, last) in (0_u8..).zip(&mut written) {
            let read = ReadTestWrite {
                reads: vec![Read {
                    offset: 0,
                    size: 10_000,
                }],
                ..ReadTestWrite::default()
            };
            let there = client.change(&index(1, thread, 0), "enabler", &read);
            let there = there.unwrap().unwrap().data;
            let versions: Vec<u32> = there.values().map(|reads| version(&reads[0])).collect();
            assert!(
                versions.windows(2).all(|pair| pair[0] == pair[1]),
                "{versions:?}"
            );
            let version = versions.first().copied().unwrap_or_default();
            // The one under way may have been done.
            assert!((*last..=*last + 1).contains(&version), "{last}, {version}");
            *last = version;
        }
        assert_eq!(
            place.state().join("incoming").read_dir().unwrap().count(),
            0
        );
    }
    assert!(
        uploaded.len() > 5 && written[0] > 5,
        "{} {written:?}",
        uploaded.len()
    );
}
