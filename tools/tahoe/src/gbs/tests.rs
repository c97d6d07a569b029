//! Messages against what another program, Python's cbor2, makes of the same values.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use guifi_testing::fuzz;

use super::*;

fn version() -> Version {
    Version {
        maximum_immutable: 1 << 40,
        maximum_mutable: 69_105_000_000_000_000,
        available: 12345,
        application: b"x/1".to_vec(),
    }
}

fn allocate() -> Allocate {
    Allocate {
        shares: Shares::from([0, 3, 200]),
        size: 1000,
    }
}

fn allocated() -> Allocated {
    Allocated {
        already_have: Shares::from([1]),
        allocated: Shares::new(),
    }
}

const REQUIRED: [Range; 2] = [
    Range { begin: 0, end: 10 },
    Range {
        begin: 70000,
        end: 80000,
    },
];

fn read_test_write() -> ReadTestWrite {
    let first = TestWrite {
        tests: vec![Test {
            offset: 0,
            size: 1,
            specimen: Vec::new(),
        }],
        writes: vec![Write {
            offset: 0,
            data: b"abc".to_vec(),
        }],
        new_length: None,
    };
    let second = TestWrite {
        new_length: Some(0),
        ..TestWrite::default()
    };
    ReadTestWrite {
        vectors: BTreeMap::from([(0, first), (7, second)]),
        reads: vec![Read {
            offset: 0,
            size: 4000,
        }],
    }
}

fn read_test_written() -> ReadTestWritten {
    ReadTestWritten {
        success: true,
        data: BTreeMap::from([(0, vec![b"ab".to_vec(), Vec::new()]), (9, Vec::new())]),
    }
}

#[test]
fn messages_are_as_cbor2_writes_them() {
    let vectors = [
        (
            version().encode(),
            "a2582f687474703a2f2f616c6c6d79646174612e6f72672f7461686f652f70726f746f636f6c732f73746f72\
             6167652f7631a3581c6d6178696d756d2d696d6d757461626c652d73686172652d73697a651b000001000000\
             0000581a6d6178696d756d2d6d757461626c652d73686172652d73697a651b00f582a1a13410004f61766169\
             6c61626c652d7370616365193039536170706c69636174696f6e2d76657273696f6e43782f31",
        ),
        (
            allocate().encode(),
            "a26d73686172652d6e756d62657273d9010283000318c86e616c6c6f63617465642d73697a651903e8",
        ),
        (
            allocated().encode(),
            "a26c616c72656164792d68617665d90102810169616c6c6f6361746564d9010280",
        ),
        (
            encode_required(&REQUIRED),
            "a168726571756972656482a265626567696e0063656e640aa265626567696e1a0001117063656e641a00013880",
        ),
        (
            read_test_write().encode(),
            "a272746573742d77726974652d766563746f7273a200a3647465737481a3666f6666736574006473697a6501\
             6873706563696d656e4065777269746581a2666f6666736574006464617461436162636a6e65772d6c656e67\
             7468f607a3647465737480657772697465806a6e65772d6c656e677468006b726561642d766563746f7281a2\
             666f6666736574006473697a65190fa0",
        ),
        (
            read_test_written().encode(),
            "a26773756363657373f56464617461a20082426162400980",
        ),
        (
            encode_corrupt("bad block"),
            "a166726561736f6e6962616420626c6f636b",
        ),
        (encode_shares(&Shares::from([0, 1, 2])), "d9010283000102"),
    ];
    for (written, expected) in vectors {
        assert_eq!(HEXLOWER.encode(&written), expected);
    }
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(Version::decode(&version().encode()).unwrap(), version());
    assert_eq!(Allocate::decode(&allocate().encode()).unwrap(), allocate());
    assert_eq!(
        Allocated::decode(&allocated().encode()).unwrap(),
        allocated()
    );
    assert_eq!(
        decode_required(&encode_required(&REQUIRED)).unwrap(),
        REQUIRED
    );
    assert_eq!(decode_corrupt(&encode_corrupt("why")).unwrap(), "why");
    let message = read_test_write();
    assert_eq!(ReadTestWrite::decode(&message.encode()).unwrap(), message);
    let message = read_test_written();
    assert_eq!(ReadTestWritten::decode(&message.encode()).unwrap(), message);
}

#[test]
fn lengths_may_be_left_open_and_unknown_keys_are_passed_over() {
    // {_ "x": [_ {}], "share-numbers": 258([_ 1]), "allocated-size": 5}
    let open =
        b"\xbf\x61x\x9f\xa0\xff\x6dshare-numbers\xd9\x01\x02\x9f\x01\xff\x6eallocated-size\x05\xff";
    let message = Allocate::decode(open).unwrap();
    assert_eq!((message.shares, message.size), (Shares::from([1]), 5));
}

#[test]
fn malformed_messages_are_refused() {
    let mut long = encode_shares(&Shares::from([0]));
    long.push(0);
    let many = [&[0xd9, 1, 2, 0x99, 1, 1][..], &[0; 257]].concat();
    for body in [
        &b""[..],
        b"\x80",                         // a list without the tag
        b"\xd9\x01\x03\x80",             // another tag
        b"\xd9\x01\x02\x81\x19\x01\x00", // share 256
        b"\xd9\x01\x02\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        &long,
        &many,
    ] {
        assert!(decode_shares(body).is_err(), "{body:02x?}");
    }
    assert!(Allocate::decode(b"\xa0").is_err());
    assert!(Version::decode(b"\xa0").is_err());
    assert!(decode_corrupt(&encode_corrupt("")).is_err());
    assert!(decode_corrupt(&encode_corrupt(&"x".repeat(MAX_REASON + 1))).is_err());
}

#[test]
fn no_body_makes_a_reader_panic() {
    let samples = [
        version().encode(),
        allocate().encode(),
        allocated().encode(),
        encode_required(&REQUIRED),
        read_test_write().encode(),
        read_test_written().encode(),
        encode_corrupt("bad block"),
        encode_shares(&Shares::from([0, 1, 2])),
    ];
    fuzz::bytes("bodies of the storage protocol", &samples, |body| {
        _ = Version::decode(body);
        _ = Allocate::decode(body);
        _ = Allocated::decode(body);
        _ = decode_required(body);
        _ = decode_corrupt(body);
        _ = decode_shares(body);
        if let Ok(message) = ReadTestWrite::decode(body) {
            assert_eq!(ReadTestWrite::decode(&message.encode()).unwrap(), message);
        }
        if let Ok(message) = ReadTestWritten::decode(body) {
            assert_eq!(ReadTestWritten::decode(&message.encode()).unwrap(), message);
        }
    });
}
