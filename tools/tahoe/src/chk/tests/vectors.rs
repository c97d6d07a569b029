//! Caps that official clients gave.

use super::*;
use crate::cap::{Cap, Object};

fn cap(secret: &[u8], parameters: Parameters, plaintext: &[u8]) -> String {
    let key = convergent(secret, &parameters, plaintext);
    let mut encoder = Encoder::new(parameters, &key);
    feed(&mut encoder, plaintext, |_| {});
    let cap = encoder.finish().unwrap().cap().unwrap();
    Cap::File(Object::Chk(cap)).to_string()
}

#[test]
fn caps_of_an_official_client_with_segments_of_1_mib() {
    let secret: Vec<u8> = (0..32).collect();
    let expected = include_str!("../../../tests/vectors/chk-1mib.txt");
    let caps = expected.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for expected in caps {
        let size = expected.rsplit(':').next().unwrap().parse().unwrap();
        let parameters = parameters(3, 10, size, DEFAULT_SEGMENT);
        assert_eq!(cap(&secret, parameters, &pattern(size)), expected);
        count += 1;
    }
    assert_eq!(count, 9);
}

#[test]
fn caps_of_the_official_vectors() {
    // The long ones take minutes without the optimiser.
    let longest = match std::env::var_os("GUIFI_LONG") {
        Some(_) => usize::MAX,
        None => 131_073,
    };
    let mut count = 0;
    for line in include_str!("../../../tests/vectors/chk.txt").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [secret, seed, length, expected] = fields[..] else {
            continue;
        };
        let Ok(length) = length.parse::<usize>() else {
            continue;
        };
        if length > longest {
            continue;
        }
        let bytes = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let plaintext: Vec<u8> = bytes(seed).into_iter().cycle().take(length).collect();
        let Ok(Cap::File(Object::Chk(known))) = expected.parse() else {
            panic!("{expected}");
        };
        let parameters = Parameters::new(known.encoding, length as u64, 131_072).unwrap();
        assert_eq!(cap(&bytes(secret), parameters, &plaintext), expected);
        count += 1;
    }
    assert!(count >= 60, "{count}");
}
