#![allow(clippy::unwrap_used)]
use super::*;
use data_encoding::HEXLOWER;
use guifi_testing::fuzz;
use minicbor::Encoder;
use serde_json::json;

fn vector() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/storage.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn sample() -> Announcement {
    Announcement::from_body(&vector()["body"]).unwrap()
}

/// The encoding of net.guifi.Registry1(5), "Bodies", as far as the vector needs it.
fn encode(value: &Value, e: &mut Encoder<Vec<u8>>) {
    match value {
        Value::String(text) => drop(e.str(text).unwrap()),
        Value::Number(number) => drop(e.u64(number.as_u64().unwrap()).unwrap()),
        Value::Array(list) => {
            e.array(list.len() as u64).unwrap();
            list.iter().for_each(|value| encode(value, e));
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
            e.map(map.len() as u64).unwrap();
            for (key, value) in members {
                e.str(key).unwrap();
                encode(value, e);
            }
        }
        other => panic!("{other} is not in the vector"),
    }
}

#[test]
fn the_vector_of_the_manual() {
    let vector = vector();
    let announcement = sample();
    assert_eq!(announcement.server, ServerId([1; 32]));
    assert_eq!(announcement.tubid, [2; 20]);
    assert_eq!(announcement.seed, [3; 32]);
    assert_eq!(announcement.nurls[0].hash, [4; 32]);
    assert_eq!(announcement.nurls[1].host, "fd00::1");
    assert_eq!(announcement.to_body().unwrap(), vector["body"]);
    let mut encoder = Encoder::new(Vec::new());
    encode(&announcement.to_body().unwrap(), &mut encoder);
    let encoded = HEXLOWER.encode(encoder.writer());
    assert_eq!(encoded, vector["cbor"].as_str().unwrap());
    let page = guifi_testing::page("guifi-storage-record.5");
    assert!(
        page.replace("\n", "").contains(&encoded),
        "the manual has it, too"
    );
}

#[test]
fn what_is_not_known_is_kept() {
    let mut body = vector()["body"].clone();
    body["later"] = json!({"a": [1, true, null]});
    let read = Announcement::from_body(&body).unwrap();
    assert_eq!(read.to_body().unwrap(), body);
    body["nurls"] = json!(["pb+tor://x@y.onion:1/z#v=1", body["nurls"][0]]);
    assert_eq!(Announcement::from_body(&body).unwrap().nurls.len(), 1);
}

#[test]
fn a_wrong_member_is_named_or_missed() {
    for (member, value) in [
        ("server", json!("v0-short")),
        ("tubid", json!("a")),
        ("seed", json!(7)),
        ("given_bytes", json!(-1)),
    ] {
        let mut body = vector()["body"].clone();
        body[member] = value;
        assert!(Announcement::from_body(&body).is_err(), "{member}");
    }
    assert!(Announcement::from_body(&json!({})).is_err());
}

#[test]
fn nurls_come_back_as_they_were_and_others_are_refused() {
    let hash = "e8SDaAUjgdJAzWO-rKMEDJKb-QYoGQzptgzyIW7gm0Q";
    for text in [
        "127.0.0.1:37110/ogfshq62rfjgccmb52gpf7wl544wburj",
        "[fd00::2]:1/s",
        "box-1.vic.osona.internal:65535/a-b_c",
    ] {
        let text = format!("pb://{hash}@{text}#v=1");
        assert_eq!(text.parse::<Nurl>().unwrap().to_string(), text);
    }
    for text in [
        "127.0.0.1/s",
        "h:0/s",
        "h:65536/s",
        "h:+1/s",
        "h:1/",
        ":1/s",
        "[h]:1/s",
        "a b:1/s",
        "h:1/s\n",
        "[::1:1/s",
    ] {
        assert!(
            format!("pb://{hash}@{text}#v=1").parse::<Nurl>().is_err(),
            "{text}"
        );
    }
    for text in ["", "pb://", "pb://x@h:1/s#v=1", "pb+tor://x@h:1/s#v=1"] {
        assert!(text.parse::<Nurl>().is_err(), "{text}");
    }
    assert!(format!("pb://{hash}@h:1/s#v=2").parse::<Nurl>().is_err());
    assert!(
        format!("pb://{hash}@h:1/{}#v=1", "s".repeat(600))
            .parse::<Nurl>()
            .is_err()
    );
}

#[test]
fn mutants_of_a_nurl_come_back_equal_or_are_refused() {
    let text = sample().nurls[0].to_string();
    fuzz::texts("nurl", &[text], |text| {
        if let Ok(nurl) = text.parse::<Nurl>() {
            assert_eq!(nurl.to_string().parse(), Ok(nurl));
        }
    });
}

#[test]
fn servers_yaml_has_what_official_clients_ask_for() {
    let mut server = sample();
    server.nickname = "say \"x\": y".into();
    assert_eq!(
        servers_yaml([&server]),
        format!(
            "storage:\n  {}:\n    ann:\n      nickname: \"say \\\"x\\\": y\"\n      \
             anonymous-storage-FURL: \"pb://{}@tcp:10.1.0.2:7658/{}\"\n      \
             permutation-seed-base32: {}\n      anonymous-storage-NURLs:\n        - \"{}\"\n        - \"{}\"\n",
            server.server,
            base32::encode(&[2; 20]),
            server.nurls[0].swissnum,
            base32::encode(&[3; 32]),
            server.nurls[0],
            server.nurls[1],
        )
    );
    assert_eq!(servers_yaml([]), "storage: {}\n");
    server.nurls.clear();
    assert!(servers_yaml([&server]).ends_with("NURLs: []\n"));
}
