//! Mutable files: the official caps of known keys, shares there and back, every byte changed.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use guifi_testing::fuzz;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::*;
use crate::cap::{Cap, Format, Object, Verifier};
use crate::{Encoding, Error};
use sdmf::Share;

/// One key for all tests: making one takes its time.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());

fn verifier() -> Verifier {
    KEY.cap(Format::Sdmf).to_readonly().to_verifier()
}

fn encoding(needed: u16, total: u16) -> Encoding {
    Encoding::new(needed, total).unwrap()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn verified(shares: &[Vec<u8>], numbers: &[u8]) -> Vec<Share> {
    let share = |&n: &u8| Share::verify(&verifier(), n, &shares[usize::from(n)]).unwrap();
    numbers.iter().map(share).collect()
}

#[test]
fn keys_of_the_official_vectors_give_their_caps() {
    let mut count = 0;
    for line in include_str!("../../tests/vectors/ssk.txt").lines() {
        let Some((cap, key)) = line.split_once(' ').filter(|_| line.starts_with("URI:")) else {
            continue;
        };
        let der = data_encoding::BASE64.decode(key.as_bytes()).unwrap();
        let key = PKey::from_rsa(Rsa::private_key_from_der(&der).unwrap()).unwrap();
        let key = KeyPair::from_der(&key.private_key_to_pkcs8().unwrap()).unwrap();
        let Cap::File(Object::Write(expected)) = cap.parse().unwrap() else {
            panic!("{cap}");
        };
        assert_eq!(key.cap(expected.format), expected);
        let again = KeyPair::decrypt(&expected, &key.encrypted()).unwrap();
        assert_eq!(again.der(), key.der());
        let signature = again.sign(b"message").unwrap();
        let public = PublicKey::from_der(key.public().der(), &expected.fingerprint).unwrap();
        public.verify(b"message", &signature).unwrap();
        assert!(public.verify(b"massage", &signature).is_err());
        assert!(public.verify(b"message", &signature[1..]).is_err());
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn contents_come_back_from_any_k_shares() {
    let read = KEY.cap(Format::Sdmf).to_readonly();
    for length in [0, 1, 2, 3, 1000] {
        let contents = pattern(length);
        let shares = sdmf::encode(&KEY, encoding(3, 5), 7, &contents).unwrap();
        for numbers in [[0, 1, 2], [4, 3, 1]] {
            let some = verified(&shares, &numbers);
            assert_eq!(sdmf::decode(&read, &some).unwrap(), contents);
            assert_eq!(some[0].version().sequence, 7);
            assert_eq!(
                (some[0].length(), some[0].encoding()),
                (length, encoding(3, 5))
            );
            assert_eq!(some[0].checkstring(), &shares[0][..57]);
        }
        if length > 0 {
            let few = sdmf::decode(&read, &verified(&shares, &[2, 4]));
            assert_eq!(few, Err(Error::TooFew { have: 2, need: 3 }));
        }
        let said = sdmf::share_length(&shares[0][..200]).unwrap();
        assert_eq!(said, Some(shares[0].len() as u64));
    }
}

#[test]
fn versions_are_ordered_and_not_mixed() {
    let old = sdmf::encode(&KEY, encoding(2, 3), 1, b"old").unwrap();
    let new = sdmf::encode(&KEY, encoding(2, 3), 2, b"new").unwrap();
    let (old, new) = (verified(&old, &[0, 1]), verified(&new, &[0, 1]));
    assert!(old[0].version() < new[0].version());
    let mixed = [old[0].clone(), new[1].clone()];
    let read = KEY.cap(Format::Sdmf).to_readonly();
    assert!(matches!(sdmf::decode(&read, &mixed), Err(Error::Misuse(_))));
}

#[test]
fn repair_makes_the_same_shares() {
    for length in [0, 500] {
        let shares = sdmf::encode(&KEY, encoding(2, 6), 3, &pattern(length)).unwrap();
        let mut some = verified(&shares, &[5, 2, 3]);
        // One share whose encrypted key was changed does not spoil the others.
        let mut wrong = shares[5].clone();
        *wrong.last_mut().unwrap() ^= 1;
        some[0] = Share::verify(&verifier(), 5, &wrong).unwrap();
        assert_eq!(sdmf::repair(&verifier(), &some).unwrap(), shares);
    }
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let shares = sdmf::encode(&KEY, encoding(2, 4), 1, &pattern(100)).unwrap();
    let cap = KEY.cap(Format::Sdmf);
    let check = |bytes: &[u8]| {
        let share = Share::verify(&verifier(), 1, bytes)?;
        KeyPair::decrypt(&cap, share.encrypted_key()).map(drop)
    };
    check(&shares[1]).unwrap();
    for at in 0..shares[1].len() {
        let mut share = shares[1].clone();
        share[at] ^= 0x40;
        assert!(check(&share).is_err(), "byte {at}");
        assert!(check(&shares[1][..at]).is_err(), "{at} bytes");
    }
    // Behind its end may be what is left of a longer version.
    check(&[&shares[1][..], b"old"].concat()).unwrap();
    for number in [0, 2, 4, 255] {
        assert!(Share::verify(&verifier(), number, &shares[1]).is_err());
    }
    let mut other = verifier();
    other.fingerprint[0] ^= 1;
    assert!(Share::verify(&other, 1, &shares[1]).is_err());
}

#[test]
fn too_much_is_refused() {
    let long = vec![0; sdmf::MAX_LENGTH + 1];
    assert!(sdmf::encode(&KEY, encoding(1, 1), 1, &long).is_err());
    assert!(sdmf::encode(&KEY, encoding(1, 256), 1, b"").is_err());
    let small = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    assert!(KeyPair::from_der(&small.private_key_to_pkcs8().unwrap()).is_err());
}

#[test]
fn nothing_makes_a_reader_panic() {
    let shares = sdmf::encode(&KEY, encoding(2, 4), 1, &pattern(100)).unwrap();
    fuzz::bytes("mutable shares", &shares, |bytes| {
        _ = sdmf::share_length(bytes);
        _ = sdmf::claimed_version(bytes);
        _ = Share::verify(&verifier(), 0, bytes);
    });
}
