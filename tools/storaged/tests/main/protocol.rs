//! Every row of the protocol, with its codes.

use guifi_tahoe::gbs::{
    Allocate, Read, ReadTestWrite, Test, TestWrite, Version, Write, decode_required, encode_corrupt,
};

use crate::client::{Client, SI, lease, secret, upload};
use crate::place::Place;

#[test]
fn who_may_ask_and_what_there_is() {
    let place = Place::new("");
    let mut client = place.client();
    // What it accepts does not matter.
    let answer = client.get("/storage/v1/version", "Accept: */*\r\n");
    assert_eq!(answer.code, 200);
    let version = Version::decode(&answer.body).unwrap();
    assert!(version.available > 0 && version.maximum_mutable > 0);
    for (path, code) in [
        ("/", 404),
        ("/storage/v1/immutable/short/shares", 404),
        ("/guifi/v1/account", 404),
        ("/storage/v1/lease/a7u7nte5ywgm6puqf6ozv2vvme", 405),
    ] {
        assert_eq!(client.get(path, "").code, code, "{path}");
    }
    assert_eq!(client.get("/storage/v1/version", &upload()).code, 400);
    for wrong in ["Tahoe-LAFS d3Jvbmc=", "Basic x", "", "Tahoe-LAFS"] {
        client.authorization = wrong.into();
        assert_eq!(client.get("/storage/v1/version", "").code, 401, "{wrong}");
        assert_eq!(client.get("/nothing", "").code, 401, "{wrong}");
    }
}

#[test]
fn an_immutable_share_from_its_beginning_to_its_end() {
    let place = Place::new("");
    let mut client = place.client();
    let path = format!("/storage/v1/immutable/{SI}/3");
    assert!(client.shares("immutable", SI).is_empty());
    assert_eq!(client.get(&path, "").code, 404);
    assert_eq!(client.patch(SI, 3, 0, b"x").unwrap().code, 404);
    let lease_path = format!("/storage/v1/lease/{SI}");
    assert_eq!(client.ask("PUT", &lease_path, &lease(), b"").code, 404);

    let allocated = client.allocate(SI, &[3, 4], 10);
    assert_eq!(allocated.allocated, [3, 4].into());
    assert_eq!(
        client.patch(SI, 3, 8, b"xyz").unwrap().code,
        416,
        "too long"
    );
    let answer = client.patch(SI, 3, 0, b"0123").unwrap();
    let missing = decode_required(&answer.body).unwrap();
    assert_eq!(
        (answer.code, missing[0].begin, missing[0].end),
        (200, 4, 10)
    );
    assert_eq!(client.patch(SI, 3, 2, b"xx").unwrap().code, 409);
    let other = secret("upload-secret", b"other") + "Content-Range: bytes 0-0/*\r\n";
    assert_eq!(client.ask("PATCH", &path, &other, b"x").code, 401);
    assert_eq!(client.ask("PATCH", &path, &upload(), b"x").code, 416);
    let range = "Content-Range: bytes 4-9/*\r\n";
    assert_eq!(
        client.ask("PATCH", &path, &(upload() + range), b"x").code,
        400
    );
    assert_eq!(client.ask("PATCH", &path, range, b"456789").code, 400);
    assert!(
        client.shares("immutable", SI).is_empty(),
        "nobody sees it yet"
    );
    let answer = client.patch(SI, 3, 4, b"456789").unwrap();
    assert_eq!(answer.code, 201);
    assert!(decode_required(&answer.body).unwrap().is_empty());
    assert_eq!(client.patch(SI, 3, 4, b"456789").unwrap().code, 404);

    assert_eq!(client.shares("immutable", SI), [3].into());
    let again = client.allocate(SI, &[3, 5], 10);
    assert_eq!(again.already_have, [3].into());
    assert_eq!(again.allocated, [5].into());
    for (headers, code, body) in [
        ("", 200, "0123456789"),
        ("Range: bytes=2-4\r\n", 206, "234"),
        ("Range: bytes=8-2000\r\n", 206, "89"),
        ("Range: bytes=10-11\r\n", 204, ""),
        ("Range: bytes=5-\r\n", 416, ""),
        ("Range: bytes=0-1,3-4\r\n", 416, ""),
        ("Range: bytes=-1\r\n", 416, ""),
    ] {
        let answer = client.get(&path, headers);
        assert_eq!((answer.code, answer.body), (code, body.into()), "{headers}");
        if code == 206 {
            let type_of = "content-type: application/octet-stream";
            assert!(answer.head.contains(type_of), "{}", answer.head);
            assert!(
                answer.head.contains("content-range: bytes "),
                "{}",
                answer.head
            );
        }
    }
    assert_eq!(client.ask("PUT", &lease_path, &lease(), b"").code, 204);
    assert_eq!(client.ask("PUT", &lease_path, "", b"").code, 400);

    let abort = |number: u8| format!("/storage/v1/immutable/{SI}/{number}/abort");
    assert_eq!(client.ask("PUT", &abort(3), &upload(), b"").code, 405);
    let other = secret("upload-secret", b"other");
    assert_eq!(client.ask("PUT", &abort(4), &other, b"").code, 401);
    assert_eq!(client.ask("PUT", &abort(4), &upload(), b"").code, 200);
    assert_eq!(client.ask("PUT", &abort(4), &upload(), b"").code, 404);
    assert_eq!(client.allocate(SI, &[4], 10).allocated, [4].into());
}

#[test]
fn messages_are_of_their_type_and_size() {
    let place = Place::new("");
    let mut client = place.client();
    let path = format!("/storage/v1/immutable/{SI}");
    let all = lease() + &upload();
    let wish = Allocate {
        shares: [1].into(),
        size: 1,
    };
    for (headers, body, code) in [
        (all.clone(), b"no CBOR".to_vec(), 400),
        (all.clone(), vec![0; 9000], 413),
        (
            all.clone() + "Content-Type: application/json\r\n",
            wish.encode(),
            415,
        ),
        (lease(), wish.encode(), 400),
        (
            all.clone() + &secret("write-enabler", b"x"),
            wish.encode(),
            400,
        ),
        (
            all + "Content-Type: application/cbor\r\n",
            wish.encode(),
            200,
        ),
    ] {
        assert_eq!(client.ask("POST", &path, &headers, &body).code, code);
    }
}

fn one(shares: &[u8], old: &[u8], new: &[u8]) -> ReadTestWrite {
    let vector = TestWrite {
        tests: vec![Test {
            offset: 0,
            size: old.len() as u64 + 1,
            specimen: old.to_vec(),
        }],
        writes: vec![Write {
            offset: 0,
            data: new.to_vec(),
        }],
        new_length: None,
    };
    ReadTestWrite {
        vectors: shares.iter().map(|n| (*n, vector.clone())).collect(),
        reads: vec![Read {
            offset: 1,
            size: 100,
        }],
    }
}

#[test]
fn a_mutable_file_is_made_changed_and_deleted() {
    let place = Place::new("");
    let mut client = place.client();
    let change = |client: &mut Client, wish: &ReadTestWrite| {
        client.change(SI, "enabler", wish).unwrap().unwrap()
    };
    assert!(client.shares("mutable", SI).is_empty());
    let made = change(&mut client, &one(&[0, 5], b"", b"first"));
    assert!(made.success && made.data.is_empty());
    assert_eq!(client.shares("mutable", SI), [0, 5].into());
    assert!(client.shares("immutable", SI).is_empty());
    let refused = change(&mut client, &one(&[0], b"other", b"x"));
    assert!(!refused.success);
    assert_eq!(refused.data[&5], [b"irst".to_vec()], "all shares are read");
    let wrong = client.change(SI, "other", &one(&[0], b"first", b"x"));
    assert_eq!(wrong.unwrap(), Err(401));
    let path = format!("/storage/v1/mutable/{SI}/5");
    let answer = client.get(&path, "Range: bytes=1-2\r\n");
    assert_eq!((answer.code, answer.body), (206, b"ir".to_vec()));
    let lease_path = format!("/storage/v1/lease/{SI}");
    assert_eq!(client.ask("PUT", &lease_path, &lease(), b"").code, 204);

    let corrupt = |kind: &str, number: u8| format!("/storage/v1/{kind}/{SI}/{number}/corrupt");
    let words = encode_corrupt("the hash is wrong");
    assert_eq!(
        client.ask("POST", &corrupt("mutable", 5), "", &words).code,
        200
    );
    assert_eq!(
        client.ask("POST", &corrupt("mutable", 6), "", &words).code,
        404
    );
    assert_eq!(
        client
            .ask("POST", &corrupt("immutable", 5), "", &words)
            .code,
        404
    );
    let long = encode_corrupt(&"x".repeat(32766));
    assert_eq!(
        client.ask("POST", &corrupt("mutable", 5), "", &long).code,
        400
    );

    let mut gone = one(&[0, 5], b"first", b"");
    for vector in gone.vectors.values_mut() {
        vector.new_length = Some(0);
    }
    assert!(change(&mut client, &gone).success);
    assert!(client.shares("mutable", SI).is_empty());
    assert_eq!(client.get(&path, "").code, 404);
    assert_eq!(client.ask("PUT", &lease_path, &lease(), b"").code, 404);
}
