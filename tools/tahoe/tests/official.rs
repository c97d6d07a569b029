//! Shares and directories that the official program made (`fixtures/README`).
#![allow(clippy::unwrap_used)]

use guifi_tahoe::cap::{Cap, Chk, Object, Write};
use guifi_tahoe::chk::{Convergence, Decoder, Encoder, Parameters, Segment, Share};
use guifi_tahoe::directory::{Access, pack, unpack};
use guifi_tahoe::mutable::{KeyPair, mdmf, sdmf};
use guifi_tahoe::{Encoding, Error, ShareNumber};

fn fixture(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn object(name: &str) -> Object {
    let caps = String::from_utf8(fixture("caps.txt")).unwrap();
    let line = caps
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    let cap: Cap = line.unwrap().parse().unwrap();
    cap.object().unwrap().clone()
}

fn chk(name: &str) -> Chk {
    let Object::Chk(cap) = object(name) else {
        panic!("{name}");
    };
    cap
}

fn write_cap(name: &str) -> Write {
    let Object::Write(cap) = object(name) else {
        panic!("{name}");
    };
    cap
}

fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// The contents of an immutable file of one segment, after all of both shares was checked.
fn immutable(name: &str, numbers: [ShareNumber; 2]) -> Result<Vec<u8>, Error> {
    let mut decoder = Decoder::new(&chk(name));
    let mut blocks = Vec::new();
    for number in numbers {
        let bytes = fixture(&format!("{name}-{number}.share"));
        let mut share = Share::new(number, &bytes)?;
        let mut needs = share.audit(&decoder)?;
        needs.extend(share.needs(&decoder, 0)?.pop());
        let mut last = Vec::new();
        for need in needs {
            let at = |offset| usize::try_from(offset).unwrap().min(bytes.len());
            last = bytes[at(need.range.start)..at(need.range.end)].to_vec();
            share.take(&mut decoder, &need, &last)?;
        }
        blocks.push((number, last));
    }
    let blocks: Vec<(ShareNumber, &[u8])> = blocks.iter().map(|(n, b)| (*n, &b[..])).collect();
    let mut out = Segment::new();
    decoder.decode(0, &blocks, &mut out)?;
    Ok(out.contents().to_vec())
}

/// The shares of a mutable file, verified.
fn mutable(name: &str, numbers: [ShareNumber; 2]) -> Vec<sdmf::Share> {
    let verifier = write_cap(name).to_readonly().to_verifier();
    let share = |n| sdmf::Share::verify(&verifier, n, &fixture(&format!("{name}-{n}.share")));
    numbers.map(|n| share(n).unwrap()).into()
}

fn contents(name: &str, numbers: [ShareNumber; 2]) -> Vec<u8> {
    sdmf::decode(&write_cap(name).to_readonly(), &mutable(name, numbers)).unwrap()
}

#[test]
fn an_immutable_file_is_read() {
    assert_eq!(immutable("chk", [1, 3]).unwrap(), pattern(1000));
}

#[test]
fn we_make_the_same_shares() {
    let secret: Vec<u8> = (0..32).collect();
    let encoding = Encoding::new(2, 4).unwrap();
    let parameters = Parameters::new(encoding, 1000, 1 << 20).unwrap();
    let mut key = Convergence::new(&secret, &parameters);
    key.update(&pattern(1000));
    let mut encoder = Encoder::new(parameters, &key.finish());
    let mut segment = Segment::new();
    segment
        .prepare(&parameters, 0)
        .copy_from_slice(&pattern(1000));
    encoder.encode(&mut segment).unwrap();
    let header = encoder.layout().header();
    let encoded = encoder.finish().unwrap();
    assert_eq!(encoded.cap().unwrap(), chk("chk"));
    for number in [1, 3] {
        let share = [&header[..], segment.block(number), &encoded.tail(number)].concat();
        assert!(
            share == fixture(&format!("chk-{number}.share")),
            "share {number}"
        );
    }
}

#[test]
fn a_mutable_file_is_read_written_and_repaired() {
    let shares = mutable("ssk", [0, 3]);
    assert_eq!(shares[0].version().sequence, 2);
    assert_eq!(contents("ssk", [0, 3]), pattern(200));
    let verifier = write_cap("ssk").to_readonly().to_verifier();
    let repaired = sdmf::repair(&verifier, &shares).unwrap();
    let official = fixture("ssk-0.share");
    // Behind its end the server may keep what is left of the longer version.
    assert!(official.starts_with(&repaired[0]));
    let key = KeyPair::decrypt(&write_cap("ssk"), shares[0].encrypted_key()).unwrap();
    let new = sdmf::encode(&key, shares[0].encoding(), 3, b"new").unwrap();
    for (number, share) in (0..).zip(&new) {
        sdmf::Share::verify(&verifier, number, share).unwrap();
    }
}

#[test]
fn a_directory_is_read_and_packed_to_the_letter() {
    let contents = contents("dir", [1, 2]);
    let cap = write_cap("dir");
    let entries = unpack(&contents, Access::Write(&cap.writekey)).unwrap();
    let names: Vec<&str> = entries.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["Café ☕.txt", "future", "inner", "mutable", "small"]
    );
    assert_eq!(entries["mutable"].write, Some(Cap::File(object("ssk"))));
    assert_eq!(entries["Café ☕.txt"].read, Some(Cap::File(object("chk"))));
    assert_eq!(entries["Café ☕.txt"].write, None);
    let future = Cap::Unknown("ro.lafs://from_the_future".to_owned());
    assert_eq!(entries["future"].read, Some(future));
    assert!(entries["inner"].metadata.contains("linkcrtime"));
    assert!(pack(&entries, Access::Write(&cap.writekey)).unwrap() == contents);
    let readonly = unpack(&contents, Access::Read).unwrap();
    assert_eq!(readonly["inner"].write, None);
    assert_eq!(readonly["inner"].read, entries["inner"].read);
}

#[test]
fn an_empty_directory_is_read() {
    assert_eq!(contents("empty", [0, 3]), b"");
    let shares = mutable("empty", [0, 3]);
    let verifier = write_cap("empty").to_readonly().to_verifier();
    let repaired = sdmf::repair(&verifier, &shares).unwrap();
    assert!(repaired[3] == fixture("empty-3.share"));
}

#[test]
fn an_immutable_directory_is_read_and_packed_to_the_letter() {
    let contents = immutable("imm", [0, 2]).unwrap();
    let entries = unpack(&contents, Access::Immutable).unwrap();
    assert_eq!(entries["a"].read, Some(Cap::File(object("chk"))));
    assert_eq!(entries["a"].metadata, "{\"n\": 1}");
    assert_eq!(
        entries["b"].read.as_ref().unwrap().to_string(),
        "URI:LIT:aa"
    );
    assert!(pack(&entries, Access::Immutable).unwrap() == contents);
}

/// Part of a share, cut at its end.
fn part(bytes: &[u8], range: std::ops::Range<u64>) -> &[u8] {
    let at = |offset| {
        usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len())
    };
    &bytes[at(range.start)..at(range.end)]
}

/// Checks all of a share but the encrypted key.
fn mdmf_share(name: &str, number: ShareNumber, bytes: &[u8]) -> Result<mdmf::Share, Error> {
    let verifier = write_cap(name).to_readonly().to_verifier();
    let mut share = mdmf::Share::new(&verifier, number, part(bytes, 0..mdmf::FIRST_READ))?;
    share.take_hashes(part(bytes, share.hashes()))?;
    for segment in 0..share.segments() {
        share.check_block(segment, part(bytes, share.block(segment)))?;
    }
    Ok(share)
}

#[test]
fn a_mutable_file_of_many_segments_is_read() {
    let bytes = [0, 3].map(|n| fixture(&format!("mdmf-{n}.share")));
    let shares = [
        mdmf_share("mdmf", 0, &bytes[0]).unwrap(),
        mdmf_share("mdmf", 3, &bytes[1]).unwrap(),
    ];
    assert_eq!((shares[0].segments(), shares[0].length()), (4, 1000));
    let read = write_cap("mdmf").to_readonly();
    let mut contents = Vec::new();
    for segment in 0..4 {
        let block = |i: usize| part(&bytes[i], shares[i].block(segment));
        let blocks = [(&shares[1], block(1)), (&shares[0], block(0))];
        contents.extend(mdmf::decode(&read, segment, &blocks).unwrap());
        let few = mdmf::decode(&read, segment, &blocks[..1]);
        assert_eq!(few, Err(Error::TooFew { have: 1, need: 2 }));
    }
    assert_eq!(contents, pattern(1000));
    assert!(shares[0].check_block(4, &[]).is_err());
    KeyPair::decrypt(&write_cap("mdmf"), shares[0].encrypted_key()).unwrap();

    let empty = mdmf_share("mdmfempty", 1, &fixture("mdmfempty-1.share")).unwrap();
    assert_eq!((empty.segments(), empty.length()), (0, 0));
}

#[test]
fn a_changed_byte_of_it_is_noticed_wherever_it_is() {
    let good = fixture("mdmf-3.share");
    let check = |bytes: &[u8]| {
        let share = mdmf_share("mdmf", 3, bytes)?;
        KeyPair::decrypt(&write_cap("mdmf"), share.encrypted_key()).map(drop)
    };
    check(&good).unwrap();
    // Where the share ends is not looked at, nor what is between the public key and the blocks.
    let unused = |at: usize| (115..123).contains(&at) || (1959..2167).contains(&at);
    for at in (0..good.len()).filter(|&at| !unused(at)) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x02;
        assert!(check(&bytes).is_err(), "byte {at}");
    }
    for length in 0..good.len() {
        assert!(check(&good[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn nothing_makes_the_reader_of_it_panic() {
    guifi_testing::fuzz::bytes("MDMF shares", &[fixture("mdmf-3.share")], |bytes| {
        _ = mdmf_share("mdmf", 3, bytes);
    });
}
