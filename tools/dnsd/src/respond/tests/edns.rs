//! EDNS as RFC 6891 and the queries of the EDNS compliance tester (ednscomp) want it.

use super::*;
use crate::cookie::{Baked, Cookie};

/// What an answer says: response code, version and flags of OPT if there is one, the number of
/// answers, and the octets of options.
#[derive(Debug, PartialEq)]
struct Said {
    code: u16,
    edns: Option<(u8, u16, usize)>,
    answers: usize,
}

/// Asks for the SOA record of the community's domain with these flags in the header and this
/// OPT record: size, version, flags, options.
fn said(header: [u8; 2], opt: Option<(u16, u8, u16, &[u8])>) -> Said {
    let mut bytes = query("osona.internal.", RecordType::SOA, None)
        .to_vec()
        .unwrap();
    bytes[2..4].copy_from_slice(&header);
    if let Some(opt) = opt {
        bytes[11] = 1;
        append(&mut bytes, opt);
    }
    let (_, out) = udp(&bytes);
    read(&out)
}

fn append(bytes: &mut Vec<u8>, (size, version, flags, options): (u16, u8, u16, &[u8])) {
    bytes.extend_from_slice(&[0, 0, 41]);
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(&[0, version]);
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(options.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(options);
}

fn read(out: &[u8]) -> Said {
    let message = Message::from_vec(out).unwrap();
    assert_eq!(out[3] & 0x60, 0, "Z and AD");
    // OPT is last, and read by hand: hickory hides what it does not know.
    let edns = message.edns.as_ref().map(|edns| {
        let options = edns.options().options.iter();
        let size = options.map(|(_, o)| usize::from(o.len()) + 4).sum();
        let flags = out[out.len() - size - 4..][..2].try_into().unwrap();
        (edns.version(), u16::from_be_bytes(flags), size)
    });
    Said {
        code: message.metadata.response_code.into(),
        edns,
        answers: message.answers.len(),
    }
}

const DO: u16 = 0x8000;
/// NSID, client subnet of no address, expire, and one that nobody knows.
const OPTIONS: [u8; 20] = [0, 3, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0, 0, 9, 0, 0, 0, 100, 0, 0];
const PLAIN: [u8; 2] = [0, 0];

#[test]
fn the_questions_of_the_compliance_tester_are_answered_right() {
    let right = |edns| Said {
        code: 0,
        edns,
        answers: 1,
    };
    let bare = Some((0, 0, 0));
    assert_eq!(said(PLAIN, None), right(None), "dns");
    assert_eq!(said([1, 0x20], None), right(None), "ad");
    assert_eq!(said([0, 0x40], None), right(None), "z");
    assert_eq!(said([0x05, 0xef], None).code, 0, "all flags but QR and TC");
    assert_eq!(said(PLAIN, Some((4096, 0, 0, &[]))), right(bare), "edns");
    assert_eq!(
        said(PLAIN, Some((512, 0, DO, &[]))),
        right(Some((0, DO, 0))),
        "edns@512"
    );
    assert_eq!(
        said(PLAIN, Some((100, 0, 0, &[]))),
        right(bare),
        "below 512"
    );
    assert_eq!(
        said(PLAIN, Some((0, 0, 0, &[]))),
        right(bare),
        "none at all"
    );
    assert_eq!(
        said(PLAIN, Some((4096, 0, DO, &[]))),
        right(Some((0, DO, 0))),
        "do"
    );
    assert_eq!(
        said(PLAIN, Some((4096, 0, 0x40, &[]))),
        right(bare),
        "ednsflags"
    );
    assert_eq!(
        said(PLAIN, Some((4096, 0, 0, &[0, 100, 0, 0]))),
        right(bare),
        "ednsopt"
    );
    assert_eq!(
        said(PLAIN, Some((4096, 0, 0, &OPTIONS))),
        right(bare),
        "optlist"
    );
    let bad_version = Said {
        code: 16,
        edns: bare,
        answers: 0,
    };
    assert_eq!(said(PLAIN, Some((4096, 1, 0, &[]))), bad_version, "edns1");
    assert_eq!(
        said(PLAIN, Some((4096, 1, 0x40, &[]))),
        bad_version,
        "edns1flags"
    );
    assert_eq!(
        said(PLAIN, Some((4096, 1, 0, &[0, 100, 0, 0]))),
        bad_version,
        "edns1opt"
    );
    assert_eq!(
        said(PLAIN, Some((4096, 255, 0, &OPTIONS))),
        bad_version,
        "edns255optlist"
    );
}

#[test]
fn what_is_malformed_is_told_so() {
    let code = |options: &[u8]| said(PLAIN, Some((4096, 0, 0, options))).code;
    assert_eq!(
        code(&[0xfd, 0xe9, 0, 9, 1, 2, 3]),
        1,
        "an option over the end"
    );
    assert_eq!(code(&[0, 1]), 1, "half an option");
    for length in [0, 7, 9, 15, 41] {
        let cookie = [&[0, 10, 0, length][..], &vec![7; usize::from(length)]].concat();
        assert_eq!(code(&cookie), 1, "a cookie of {length} octets");
    }
    let mut twice = query("osona.internal.", RecordType::SOA, Some(1232))
        .to_vec()
        .unwrap();
    append(&mut twice, (1232, 0, 0, &[]));
    twice[11] = 2;
    assert_eq!(udp(&twice).1[3] & 15, 1, "OPT twice");
    let mut named = query("osona.internal.", RecordType::SOA, None)
        .to_vec()
        .unwrap();
    named[11] = 1;
    named.extend_from_slice(&[1, b'a', 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    assert_eq!(udp(&named).1[3] & 15, 1, "OPT with a name");
}

#[test]
fn there_is_room_for_the_cookie() {
    let mut counts = Vec::new();
    for options in [&[][..], &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]] {
        let mut bytes = query(TEN, RecordType::PTR, None).to_vec().unwrap();
        bytes[11] = 1;
        append(&mut bytes, (700, 0, 0, options));
        let (_, mut out) = udp(&bytes);
        let baked = Baked {
            valid: false,
            both: [9; 24],
        };
        if !options.is_empty() {
            baked.attach(&mut out);
            assert_eq!(read(&out).edns, Some((0, 0, Cookie::SIZE)));
        }
        assert!(out.len() <= 700, "{}", out.len());
        counts.push(Message::from_vec(&out).unwrap().additionals.len());
    }
    assert!(counts[1] > 0 && counts[1] <= counts[0], "{counts:?}");
    // Where there is no OPT record there is none to add to.
    let (_, mut out) = udp(&query(TEN, RecordType::PTR, None).to_vec().unwrap());
    let before = out.clone();
    Baked {
        valid: true,
        both: [0; 24],
    }
    .attach(&mut out);
    assert_eq!(out, before);
}

#[test]
fn operations_and_classes_that_are_not_ours_are_told_so() {
    for code in 1..16u8 {
        let said = said([code << 3, 0], Some((1232, 0, 0, &[])));
        assert_eq!((said.code, said.answers), (4, 0), "operation {code}");
    }
    for class in [0u8, 2, 3, 4, 254, 255] {
        let mut bytes = query("version.bind.", RecordType::TXT, Some(1232))
            .to_vec()
            .unwrap();
        let end = bytes.len() - 11;
        bytes[end - 1] = class;
        let (_, out) = udp(&bytes);
        assert_eq!(read(&out).code, 5, "class {class}");
    }
}

#[test]
fn any_is_answered_with_one_set() {
    let bytes = query("osona.internal.", RecordType::ANY, Some(4096))
        .to_vec()
        .unwrap();
    let message = Message::from_vec(&udp(&bytes).1).unwrap();
    let types: BTreeSet<_> = message.answers.iter().map(|r| r.record_type()).collect();
    assert_eq!(types.len(), 1, "RFC 8482: {types:?}");
    assert!(message.additionals.is_empty());
}
