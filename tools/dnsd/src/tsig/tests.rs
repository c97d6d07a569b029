//! Signatures against those of another implementation, against ours, and broken.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;

/// Made by dnspython 2.3 (Debian 12) with the octets 0 to 31 as secret of `Key.Example.`, at
/// [`NOW`]: a question for the SOA record of vall.example and its answer, by each algorithm; an
/// answer of three messages, the second with and without signature; the clock's error.
mod samples;

use samples::*;

const NOW: u64 = 1_800_000_000;

fn key(algorithm: Algorithm) -> Arc<Key> {
    let secret: Vec<u8> = (0..32).collect();
    let name = Name::parse("Key.Example.").unwrap();
    Arc::new(Key::new(&name, algorithm, &secret))
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn checked(message: &[u8], now: u64) -> Checked {
    let known = key(Algorithm::Sha256);
    check(message, now, |name| {
        (name == known.name()).then(|| known.clone())
    })
}

fn signer(message: &[u8]) -> (Signer, usize) {
    match checked(message, NOW) {
        Checked::Good { signer, at } => (signer, at),
        other => panic!("{other:?}"),
    }
}

fn refusal(message: &[u8], now: u64) -> Refusal {
    match checked(message, now) {
        Checked::Bad(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// The request of the samples without its signature.
fn plain() -> Vec<u8> {
    let mut message = bytes(REQUEST_256);
    message.truncate(signer(&bytes(REQUEST_256)).1);
    message[11] = 0;
    message
}

#[test]
fn requests_and_answers_of_others_are_believed() {
    for (algorithm, request, answer) in [
        (Algorithm::Sha256, REQUEST_256, ANSWER_256),
        (Algorithm::Sha384, REQUEST_384, ANSWER_384),
        (Algorithm::Sha512, REQUEST_512, ANSWER_512),
    ] {
        let key = key(algorithm);
        let good = check(&bytes(request), NOW, |_| Some(key.clone()));
        assert!(matches!(good, Checked::Good { .. }), "{good:?}");
        // Both sign the same request in the same way, apart from the case of the key's name.
        let mut ours = plain();
        let mut verifier = sign(&key, &mut ours, NOW);
        verifier.check(&bytes(answer), NOW).unwrap();
        assert!(verifier.is_complete());
    }
}

#[test]
fn an_answer_of_several_messages_is_a_chain() {
    for chain in [[CHAIN_0, CHAIN_1, CHAIN_2], [WHOLE_0, WHOLE_1, WHOLE_2]] {
        let key = key(Algorithm::Sha256);
        let mut verifier = sign(&key, &mut plain(), NOW);
        for message in chain {
            verifier.check(&bytes(message), NOW).unwrap();
        }
        assert!(verifier.is_complete());
    }
    let mut verifier = sign(&key(Algorithm::Sha256), &mut plain(), NOW);
    verifier.check(&bytes(WHOLE_0), NOW).unwrap();
    let lost = verifier.check(&bytes(WHOLE_2), NOW);
    assert_eq!(lost, Err(Fault::Signature), "one is missing");
}

#[test]
fn what_the_server_signs_the_client_believes() {
    let key = key(Algorithm::Sha256);
    let mut request = plain();
    let mut verifier = sign(&key, &mut request, NOW);
    let (mut signer, at) = signer(&request);
    assert_eq!(request.len(), at + key.size());
    for n in 0..5 {
        let mut answer = plain();
        answer[2] |= 0x80;
        answer[3] = n;
        signer.sign(&mut answer, NOW + 1);
        verifier.check(&answer, NOW + 2).unwrap();
    }
    assert!(verifier.is_complete());
}

#[test]
fn ninety_nine_messages_may_go_without_a_signature_but_not_the_first_and_last() {
    let key = key(Algorithm::Sha256);
    let begin = || sign(&key, &mut plain(), NOW);
    assert_eq!(begin().check(&plain(), NOW), Err(Fault::Unsigned));
    let mut verifier = begin();
    verifier.check(&bytes(WHOLE_0), NOW).unwrap();
    for _ in 0..99 {
        verifier.check(&plain(), NOW).unwrap();
        assert!(!verifier.is_complete());
    }
    assert_eq!(verifier.check(&plain(), NOW), Err(Fault::Unsigned));
}

#[test]
fn wrong_keys_and_signatures_are_refused_without_a_signature() {
    let stranger = |message: &[u8], key: Option<Arc<Key>>| match check(message, NOW, |_| key) {
        Checked::Bad(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let mut forged = bytes(REQUEST_256);
    forged[3] ^= 1;
    for (refusal, error) in [
        (stranger(&bytes(REQUEST_256), None), error::BADKEY),
        (
            stranger(&bytes(REQUEST_256), Some(key(Algorithm::Sha512))),
            error::BADKEY,
        ),
        (refusal(&forged, NOW), error::BADSIG),
    ] {
        assert_eq!(refusal.error(), error);
        let mut verifier = sign(&key(Algorithm::Sha256), &mut plain(), NOW);
        let mut answer = plain();
        refusal.sign(&mut answer, NOW);
        assert_eq!(
            verifier.check(&answer, NOW),
            Err(Fault::Refused(error)),
            "no signature"
        );
        let found = record::find(&answer).unwrap().unwrap();
        assert_eq!(found.owner.to_string(), "key.example.");
        assert!(found.mac.is_empty());
    }
}

#[test]
fn a_bad_clock_is_told_with_the_servers_time_and_a_signature() {
    let request = bytes(REQUEST_256);
    for now in [NOW - 300, NOW + 300] {
        assert!(matches!(checked(&request, now), Checked::Good { .. }));
    }
    for now in [0, NOW - 301, NOW + 301, u64::MAX] {
        let mut verifier = sign(&key(Algorithm::Sha256), &mut plain(), NOW);
        let refusal = refusal(&request, now);
        assert_eq!(refusal.error(), error::BADTIME);
        let mut answer = plain();
        refusal.sign(&mut answer, now);
        let told = now & 0xffff_ffff_ffff;
        assert_eq!(verifier.check(&answer, NOW), Err(Fault::Time(told)));
    }
    let mut verifier = sign(&key(Algorithm::Sha256), &mut plain(), NOW);
    let told = verifier.check(&bytes(BADTIME), NOW);
    assert_eq!(told, Err(Fault::Time(NOW + 1000)));
    let late = sign(&key(Algorithm::Sha256), &mut plain(), NOW).check(&bytes(ANSWER_256), 0);
    assert_eq!(late, Err(Fault::Time(NOW)));
}

#[test]
fn short_signatures_are_not_taken() {
    // Behind the signature: its identity, error, and length of other data.
    let shortened = |by: u8| {
        let mut message = bytes(REQUEST_256);
        let mac = message.len() - 6 - 32;
        message.drain(mac + 32 - usize::from(by)..mac + 32);
        message[mac - 1] -= by;
        let length = message.len() - mac + 10 + 13;
        let at = mac - 10 - 13 - 1;
        message[at] = u8::try_from(length).unwrap();
        message
    };
    let short = refusal(&shortened(16), NOW);
    assert_eq!(short.error(), error::BADTRUNC);
    let mut verifier = sign(&key(Algorithm::Sha256), &mut plain(), NOW);
    let mut answer = plain();
    short.sign(&mut answer, NOW);
    assert_eq!(record::find(&answer).unwrap().unwrap().mac.len(), 32);
    // It was signed over the short one, which this client never sent.
    assert_eq!(verifier.check(&answer, NOW), Err(Fault::Signature));
    for by in [17, 32] {
        assert!(matches!(checked(&shortened(by), NOW), Checked::Malformed));
    }
}

#[test]
fn a_signature_stands_at_the_end_or_nowhere() {
    assert!(matches!(checked(&plain(), NOW), Checked::Unsigned));
    let mut twice = bytes(REQUEST_256);
    key(Algorithm::Sha256)
        .variables(NOW)
        .append(&mut twice, &[0; 32]);
    let mut longer = bytes(REQUEST_256);
    longer.push(0);
    let mut answers = bytes(REQUEST_256);
    answers.swap(7, 11);
    answers[11] = 1;
    for wrong in [twice, longer, answers] {
        assert!(matches!(checked(&wrong, NOW), Checked::Malformed));
    }
    for end in 0..bytes(REQUEST_256).len() {
        assert!(matches!(
            checked(&bytes(REQUEST_256)[..end], NOW),
            Checked::Malformed
        ));
    }
}

#[test]
fn nothing_that_was_changed_is_believed() {
    let samples = [REQUEST_256, ANSWER_256, CHAIN_1, BADTIME].map(bytes);
    guifi_testing::fuzz::bytes("signed message", &samples, |bytes| {
        if let Checked::Good { at, .. } = checked(bytes, NOW) {
            // Its name alone may change on the way: letters of the key, and the number.
            assert_eq!(bytes[2..at], samples[0][2..at]);
        }
        let mut verifier = sign(&key(Algorithm::Sha256), &mut plain(), NOW);
        if verifier.check(bytes, NOW).is_ok() {
            assert_eq!(bytes[2..100], samples[1][2..100]);
        }
        match checked(bytes, NOW) {
            Checked::Bad(refusal) => refusal.sign(&mut plain(), NOW),
            Checked::Good { mut signer, .. } => signer.sign(&mut plain(), NOW),
            Checked::Unsigned | Checked::Malformed => {}
        }
    });
}

#[test]
fn algorithms_have_names_and_weak_ones_do_not_exist() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.name().parse(), Ok(algorithm));
        assert_eq!(
            Name::parse(algorithm.name()).unwrap().wire(),
            algorithm.wire()
        );
    }
    assert_eq!("HMAC-SHA256.".parse(), Ok(Algorithm::Sha256));
    for weak in ["hmac-md5", "hmac-sha1", "hmac-md5.sig-alg.reg.int", ""] {
        assert_eq!(weak.parse::<Algorithm>(), Err(()));
    }
}
