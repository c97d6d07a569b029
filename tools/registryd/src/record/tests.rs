#![allow(clippy::unwrap_used)]
use super::*;
use crate::testing::Signer;
use proptest::prelude::*;
use serde_json::json;

const NOW: u64 = 1_795_000_000_000;

fn service(version: u64, body: Value) -> Record {
    Signer::new(1).record([7; 32], "service", "_http._tcp/Photos", version, body)
}

#[test]
fn a_record_survives_its_encoding_and_its_signature_holds() {
    let record = service(NOW, json!({"port": 80}));
    let bytes = record.encode();
    assert_eq!(bytes.len(), record.size);
    assert_eq!(Record::decode(&bytes).unwrap(), record);
    assert!(record.verify());
}

#[test]
fn any_changed_bit_is_noticed() {
    let bytes = service(NOW, json!({"port": 80})).encode();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(
            Record::decode(&changed).is_err_and(|_| true)
                || !Record::decode(&changed).unwrap().verify()
        );
    }
    for cut in 0..bytes.len() {
        assert!(Record::decode(&bytes[..cut]).is_err());
    }
    assert!(Record::decode(&[&bytes[..], &[0]].concat()).is_err());
}

fn draft(
    kind: &str,
    name: &str,
    version: u64,
    expires: u64,
    body: Value,
) -> Result<Vec<u8>, String> {
    Draft {
        community: [7; 32],
        key: RecordKey {
            owner: Signer::new(1).key(),
            kind: kind.into(),
            name: name.into(),
        },
        version,
        expires,
        body: body.as_object().cloned(),
    }
    .content()
}

#[test]
fn limits_hold() {
    let ok = NOW + 1000;
    assert!(draft("service", "a", NOW, ok, json!({})).is_ok());
    for (kind, name, version, expires, body, why) in [
        ("Service", "a", NOW, ok, json!({}), "kind"),
        ("", "a", NOW, ok, json!({}), "kind"),
        ("service", "a\u{7}", NOW, ok, json!({}), "control"),
        ("service", &"a".repeat(161), NOW, ok, json!({}), "160"),
        ("service", "a", 0, ok, json!({}), "version"),
        ("service", "a", NOW, NOW, json!({}), "30 days"),
        ("service", "a", NOW, 0, json!({}), "30 days"),
        (
            "service",
            "a",
            NOW,
            NOW + MAX_LIFE_MS + 1,
            json!({}),
            "30 days",
        ),
        ("service", "a", NOW, ok, Value::Null, "removal"),
        ("member", "0", NOW, ok, json!({}), "expire"),
        ("ban", "x", NOW, 0, Value::Null, "removed"),
    ] {
        let error = draft(kind, name, version, expires, body).unwrap_err();
        assert!(error.contains(why), "{kind} {name:?}: {error}");
    }
}

#[test]
fn the_larger_version_replaces_and_hashes_break_ties() {
    let old = service(NOW, json!({"port": 1}));
    let new = service(NOW + 1, json!({"port": 2}));
    assert!(new.replaces(&old) && !old.replaces(&new) && !old.replaces(&old));
    let twin = service(NOW, json!({"port": 3}));
    assert_ne!(twin.replaces(&old), old.replaces(&twin));
}

#[test]
fn the_first_use_of_an_invitation_counts() {
    let invite = Signer::new(9);
    let used = |version, key: u8| {
        let body = json!({"key": Signer::new(key).key(), "invite": true});
        invite.record([7; 32], "member", "0", version, body)
    };
    let (first, second) = (used(NOW, 1), used(NOW + 5, 2));
    assert!(first.replaces(&second) && !second.replaces(&first));
}

/// The vectors are the contract: a change here breaks every box in the field.
#[test]
fn test_vectors() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../../../tests/fixtures/records.json")).unwrap();
    assert!(vectors.len() >= 5);
    let hex = |v: &Value| {
        data_encoding::HEXLOWER
            .decode(v.as_str().unwrap().as_bytes())
            .unwrap()
    };
    for vector in &vectors {
        let bytes = hex(&vector["encoded"]);
        let record = Record::decode(&bytes).unwrap();
        assert!(record.verify(), "{vector}");
        assert_eq!(record.encode(), bytes);
        assert_eq!(record.hash.to_vec(), hex(&vector["hash"]));
        assert_eq!(record.key.owner.to_string(), vector["owner"]);
        assert_eq!(record.key.kind, vector["kind"]);
        assert_eq!(record.key.name, vector["name"]);
        assert_eq!(record.version, vector["version"]);
        assert_eq!(record.expires, vector["expires"]);
        assert_eq!(record.body.is_empty(), vector["body"].is_null());
        if let Value::Object(body) = &vector["body"] {
            assert_eq!(&record.json(), body);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn mutations_never_panic_nor_pass(at in 0usize..400, with in any::<u8>()) {
        let mut bytes = service(NOW, json!({"port": 80, "txt": ["a=b"]})).encode();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert!(!record.verify());
        }
    }
}
