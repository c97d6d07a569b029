//! Transfers message by message: good ones, bad ones, and mutants.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::hosted::{blob, file};

const ID: [u8; 2] = [7, 7];
const LIMITS: Size = Size {
    octets: 100_000,
    records: 1000,
};

fn zone() -> Name {
    Name::parse("vall.example").unwrap()
}

fn soa(serial: u32) -> String {
    format!("@ 60 SOA ns dns {serial} 60 60 600 60\n")
}

/// One message with these records of a master file.
fn message(kind: u16, text: &str) -> Vec<u8> {
    let records = file::read(text, None, &zone()).unwrap();
    let mut message = [&ID[..], &[0x84, 0, 0, 1]].concat();
    message.extend_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(zone().wire());
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message.extend_from_slice(&blob::write(&records));
    message
}

/// What comes of messages with these records, when the changes from `serial` were asked for.
fn read(serial: Option<u32>, texts: &[&str]) -> Result<Option<Fetched>, Fault> {
    let kind = if serial.is_some() {
        rtype::IXFR
    } else {
        rtype::AXFR
    };
    let messages: Vec<_> = texts.iter().map(|text| message(kind, text)).collect();
    feed(serial, &messages)
}

fn feed(serial: Option<u32>, messages: &[Vec<u8>]) -> Result<Option<Fetched>, Fault> {
    let mut stream = Stream::new(&zone(), ID, serial, LIMITS);
    let mut fetched = None;
    for message in messages {
        assert_eq!(fetched, None, "messages behind the end");
        fetched = stream.take(message)?;
    }
    Ok(fetched)
}

#[test]
fn a_whole_zone_comes_in_as_many_messages_as_the_server_likes() {
    let (start, rest) = (
        soa(3),
        "@ 60 NS ns\nns 60 A 10.0.0.1\nelsewhere.org. 60 A 10.0.0.2\n",
    );
    let all = format!("{start}{rest}{start}");
    let ways: [&[&str]; 3] = [
        &[&all],
        &[&start, "", "@ 60 NS ns\n", "ns 60 A 10.0.0.1\n", &start],
        &[&format!("{start}{rest}"), &start],
    ];
    let wanted = file::read(
        &(start.clone() + "@ 60 NS ns\nns 60 A 10.0.0.1\n"),
        None,
        &zone(),
    )
    .unwrap();
    for serial in [None, Some(1), Some(u32::MAX)] {
        for texts in ways {
            let Some(Fetched::Whole(records)) = read(serial, texts).unwrap() else {
                unreachable!("{texts:?}");
            };
            assert_eq!(blob::read(&records).unwrap(), wanted);
        }
    }
    assert_eq!(
        read(None, &[&start, rest]),
        Ok(None),
        "half of it is nothing"
    );
}

#[test]
fn changes_come_alone_if_the_server_has_them() {
    let (one, two, three) = (soa(1), soa(2), soa(3));
    let first = format!("{one}a 60 A 10.0.0.1\n{two}a 60 A 10.0.0.2\nb 60 A 10.0.0.3\n");
    let second = format!("{two}b 60 A 10.0.0.3\n{three}");
    let all = format!("{three}{first}{second}{three}");
    let Some(Fetched::Changes(changes)) = read(Some(1), &[&all]).unwrap() else {
        unreachable!();
    };
    let steps = changes
        .iter()
        .map(|c| (c.from, c.to, c.removed.len(), c.added.len()));
    assert_eq!(steps.collect::<Vec<_>>(), [(1, 2, 2, 3), (2, 3, 2, 1)]);
    let pieces: Vec<&str> = all.split_inclusive('\n').collect();
    assert_eq!(
        read(Some(1), &pieces).unwrap(),
        Some(Fetched::Changes(changes))
    );
    for (ours, theirs) in [(3, 3), (4, 3), (0, u32::MAX)] {
        assert_eq!(read(Some(ours), &[&soa(theirs)]), Ok(Some(Fetched::Same)));
    }
}

#[test]
fn whatever_is_out_of_order_is_thrown_away() {
    let (one, two, three) = (soa(1), soa(2), soa(3));
    let ns = "@ 60 NS ns\n";
    for (serial, text) in [
        (None, ns.to_owned()),
        (None, format!("{three}{ns}{two}")),
        (None, format!("{three}{three}{ns}")),
        (Some(1), format!("{three}{one}{two}{one}{three}{three}")),
        (Some(1), format!("{three}{one}{one}{three}")),
        (Some(2), format!("{three}{two}{one}{three}")),
        (Some(1), format!("{three}{one}{two}{three}{two}")),
    ] {
        let fault = read(serial, &[&text]).unwrap_err();
        assert!(matches!(fault, Fault::Order(_)), "{text}: {fault}");
    }
}

#[test]
fn answers_to_something_else_are_thrown_away() {
    let good = message(rtype::AXFR, &(soa(1) + &soa(1)));
    assert!(matches!(
        feed(None, std::slice::from_ref(&good)),
        Ok(Some(Fetched::Whole(_)))
    ));
    let changed = |at: usize, octet: u8| {
        let mut bytes = good.clone();
        bytes[at] = octet;
        feed(None, &[bytes]).unwrap_err()
    };
    assert_eq!(changed(0, 8), Fault::Foreign("identifier"));
    assert_eq!(changed(2, 0x04), Fault::Foreign("kind of message"));
    assert_eq!(changed(2, 0xac), Fault::Foreign("kind of message"));
    assert_eq!(changed(2, 0x86), Fault::Foreign("kind of message"));
    assert_eq!(changed(3, 5), Fault::Code(ResponseCode::Refused));
    assert_eq!(changed(5, 0), Fault::Foreign("question"));
    assert_eq!(changed(13, b'w'), Fault::Foreign("question"));
    assert_eq!(changed(7, 3), Fault::Broken);
    assert_eq!(feed(None, &[good[..11].to_vec()]), Err(Fault::Broken));
    let ixfr = message(rtype::IXFR, &(soa(1) + &soa(1)));
    assert_eq!(feed(None, &[ixfr]), Err(Fault::Foreign("question")));
    let meta = message(rtype::AXFR, &(soa(1) + "a 60 TYPE65280 \\# 0\n"));
    let at = meta.len() - 10;
    for rtype in [250u16, 41, 255, 0] {
        let mut meta = meta.clone();
        meta[at..at + 2].copy_from_slice(&rtype.to_be_bytes());
        assert_eq!(feed(None, &[meta]), Err(Fault::Record(rtype)));
    }
}

#[test]
fn a_zone_that_never_ends_ends_at_its_limits() {
    let mut stream = Stream::new(&zone(), ID, None, LIMITS);
    stream.take(&message(rtype::AXFR, &soa(1))).unwrap();
    let more = message(rtype::AXFR, "a 60 A 10.0.0.1\n");
    let fault = (0..).find_map(|_| stream.take(&more).err()).unwrap();
    assert_eq!(fault, Fault::Records(1000));
    let mut stream = Stream::new(&zone(), ID, None, LIMITS);
    stream.take(&message(rtype::AXFR, &soa(1))).unwrap();
    let empty = message(rtype::AXFR, "");
    let fault = (0..).find_map(|_| stream.take(&empty).err()).unwrap();
    assert_eq!(fault, Fault::Octets(100_000));
    // Short on the wire, long in memory.
    let mut message = message(rtype::AXFR, &soa(1));
    let name = u16::try_from(message.len()).unwrap() | 0xc000;
    message.extend_from_slice(&[63; 3 * 64]); // three labels of 63 times octet 63
    message.extend_from_slice(&[0xc0, 12]);
    message.extend_from_slice(&[0, 16, 0, 1, 0, 0, 0, 60, 0, 1, 0]);
    for _ in 0..900 {
        message.extend_from_slice(&name.to_be_bytes());
        message.extend_from_slice(&[0, 16, 0, 1, 0, 0, 0, 60, 0, 1, 0]);
    }
    message[6..8].copy_from_slice(&902u16.to_be_bytes());
    assert!(message.len() < 20_000);
    assert_eq!(feed(None, &[message]), Err(Fault::Octets(100_000)));
}

#[test]
fn mutants_of_transfers_are_read_or_thrown_away() {
    let (one, two, three) = (soa(1), soa(2), soa(3));
    let host = "host 60 A 10.0.0.1\n@ 60 MX 5 mail\n_x._tcp 60 SRV 0 0 80 host\n";
    let samples = [
        message(rtype::IXFR, &format!("{two}{host}{two}")),
        message(
            rtype::IXFR,
            &format!("{three}{one}{host}{two}{host}{two}{three}{three}"),
        ),
        message(rtype::IXFR, &one),
    ];
    guifi_testing::fuzz::bytes("transfer", &samples, |bytes| {
        let mut stream = Stream::new(&zone(), ID, Some(1), LIMITS);
        if let Ok(Some(Fetched::Whole(records))) = stream.take(bytes) {
            assert!(blob::read(&records).is_some());
        }
    });
}
