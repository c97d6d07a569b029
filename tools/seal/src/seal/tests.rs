#![allow(clippy::unwrap_used)]
use super::*;
use data_encoding::BASE64;
use proptest::prelude::*;

/// Cheap enough for many tests.
const LITTLE: u8 = 1;

/// Made by age 1.1.1: `age -p`, passphrase "correct horse".
const OF_AGE: &str = "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBJZFFqVjNiUnEvUmNnRmE0eWlDbGdBIDE4CkZuNDF\
    INytocEpkUEJvZzhSM3JmSkM5Zi91RDFURDFWc0tFQVVud3BGclkKLS0tIEk4SkNBNnJraFRKQUlvOUJubFJ5VWlwQjFJSXJFdVpp\
    cDNoSmcyQi9XSFEK5FyYnf8x6C5c6eRpxlfGv/gpWOUhDOu4tpGr01zSGbB00ZS60OQbTZ8FsNKEz6E=";

#[test]
fn what_age_has_sealed_is_opened() {
    let sealed = BASE64.decode(OF_AGE.as_bytes()).unwrap();
    assert_eq!(open(&sealed, "correct horse").unwrap(), b"Hello from Vic\n");
    assert_eq!(open(&sealed, "correct house"), Err(Fault::Passphrase));
}

#[test]
fn every_length_comes_back() {
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
        let plain: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let sealed = seal_with(&plain, "x", LITTLE).unwrap();
        assert_eq!(open(&sealed, "x").unwrap(), plain, "{length}");
        assert_eq!(open(&sealed, "y"), Err(Fault::Passphrase));
    }
}

#[test]
fn no_part_may_be_missing() {
    let sealed = seal_with(&vec![7; 2 * PIECE], "x", LITTLE).unwrap();
    let header = sealed.len() - 2 * (PIECE + TAG) - 16;
    for length in (0..header + 40).chain([sealed.len() - PIECE - TAG, sealed.len() - 1]) {
        assert!(open(&sealed[..length], "x").is_err(), "{length}");
    }
    let longer = [&sealed[..], b"x"].concat();
    assert_eq!(open(&longer, "x"), Err(Fault::Damaged));
}

#[test]
fn what_is_something_else_is_said_to_be() {
    assert_eq!(open(b"", "x"), Err(Fault::Foreign));
    assert_eq!(open(b"PK\x03\x04", "x"), Err(Fault::Foreign));
    let other = format!("{VERSION}\n-> X25519 abc\nabc\n--- abc\n");
    assert_eq!(open(other.as_bytes(), "x"), Err(Fault::Recipient));
    let dear = format!("{VERSION}\n-> scrypt AAAA 60\nabc\n--- abc\n");
    assert_eq!(open(dear.as_bytes(), "x"), Err(Fault::Recipient));
}

proptest! {
    #[test]
    fn one_changed_bit_is_noticed(place in any::<prop::sample::Index>(), bit in 0..8u32) {
        let sealed = seal_with(b"the key of the box", "x", LITTLE).unwrap();
        let mut altered = sealed.clone();
        altered[place.index(sealed.len())] ^= 1u8 << bit;
        prop_assert!(open(&altered, "x").is_err());
    }
}

#[test]
fn mutants_are_opened_as_they_were_or_not_at_all() {
    let plain = b"the key of the box";
    let samples = [seal_with(plain, "x", LITTLE).unwrap()];
    guifi_testing::fuzz::bytes("sealed backup", &samples, |bytes| {
        // Work costs time, and is nobody's fault.
        if Header::parse(bytes).is_ok_and(|header| header.work <= 4) {
            assert!(open(bytes, "x").is_err() || bytes == samples[0]);
        }
    });
}
