#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

#[test]
fn keys_are_ordered_by_their_encoding() {
    let bytes = encode(&object(json!({"bb": 1, "a": -1, "c": [true, null, "x"]}))).unwrap();
    assert_eq!(
        bytes,
        [
            0xa3, 0x61, b'a', 0x20, 0x61, b'c', 0x83, 0xf5, 0xf6, 0x61, b'x', 0x62, b'b', b'b', 1
        ]
    );
}

#[test]
fn other_encodings_of_the_same_body_are_refused() {
    for (bytes, why) in [
        (vec![0xa2, 0x61, b'b', 1, 0x61, b'a', 1], "canonically"),
        (vec![0xa1, 0x61, b'a', 0x18, 1], "canonically"),
        (vec![0xa1, 0x61, b'a', 1, 0], "canonically"),
        (vec![0xbf, 0x61, b'a', 1, 0xff], "not allowed"),
        (vec![0xa2, 0x61, b'a', 1, 0x61, b'a', 1], "twice"),
        (vec![0xa1, 0x61, b'a', 0xf9, 0, 0], "not allowed"),
        (vec![0xa1, 0x61, b'a', 0x41, 0], "not allowed"),
        (vec![0x80], "not a map"),
        (vec![], "not CBOR"),
        (
            vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "length",
        ),
    ] {
        let error = decode(&bytes).unwrap_err();
        assert!(error.contains(why), "{bytes:x?}: {error}");
    }
}

#[test]
fn depth_and_size_have_limits() {
    let mut deep = json!({});
    for _ in 0..9 {
        deep = json!({"a": deep});
    }
    assert!(encode(&object(deep)).unwrap_err().contains("deep"));
    assert!(
        encode(&object(json!({"a": "x".repeat(5000)})))
            .unwrap_err()
            .contains("bytes")
    );
    assert!(
        encode(&object(json!({"a": 1.5})))
            .unwrap_err()
            .contains("integer")
    );
    assert!(decode(&[0x81; 4000]).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(".{0,6}", inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(members in prop::collection::hash_map(".{0,6}", value(), 0..6)) {
        let map: Map<String, Value> = members.into_iter().collect();
        if let Ok(bytes) = encode(&map) {
            prop_assert_eq!(decode(&bytes).unwrap(), map);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(map) = decode(&bytes) {
            prop_assert_eq!(encode(&map).unwrap(), bytes);
        }
    }
}
