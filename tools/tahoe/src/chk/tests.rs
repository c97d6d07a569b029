//! Immutable files: the official caps, whole shares there and back, and every byte changed.
#![allow(clippy::unwrap_used)]

mod mutants;
mod vectors;

use super::*;
use crate::cap::Chk;
use crate::{Encoding, Error, Key, ShareNumber};

/// A file whose shares are all there.
struct File {
    plaintext: Vec<u8>,
    cap: Chk,
    shares: Vec<Vec<u8>>,
}

/// The contents of the reference's vectors.
fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn parameters(needed: u16, total: u16, size: usize, segment: u64) -> Parameters {
    Parameters::new(Encoding::new(needed, total).unwrap(), size as u64, segment).unwrap()
}

fn convergent(secret: &[u8], parameters: &Parameters, plaintext: &[u8]) -> Key {
    let mut hasher = Convergence::new(secret, parameters);
    for part in plaintext.chunks(100_000) {
        hasher.update(part);
    }
    hasher.finish()
}

/// Feeds a file to an encoder; `each` gets every segment.
fn feed(encoder: &mut Encoder, plaintext: &[u8], mut each: impl FnMut(&Segment)) {
    let mut segment = Segment::new();
    let parameters = *encoder.parameters();
    let size = usize::try_from(parameters.segment_size()).unwrap();
    for (number, part) in (0..).zip(plaintext.chunks(size)) {
        segment.prepare(&parameters, number).copy_from_slice(part);
        encoder.encode(&mut segment).unwrap();
        each(&segment);
    }
}

fn encode(parameters: Parameters, key: &Key, plaintext: Vec<u8>) -> File {
    let mut encoder = Encoder::new(parameters, key);
    let size = encoder.share_size();
    let mut shares = vec![encoder.layout().header(); parameters.encoding().total()];
    feed(&mut encoder, &plaintext, |segment| {
        for (number, share) in (0..).zip(&mut shares) {
            share.extend_from_slice(segment.block(number));
        }
    });
    let encoded = encoder.finish().unwrap();
    for (number, share) in (0..).zip(&mut shares) {
        share.extend(encoded.tail(number));
        assert_eq!(share.len() as u64, size);
    }
    File {
        plaintext,
        cap: encoded.cap().unwrap(),
        shares,
    }
}

fn small_file() -> File {
    encode(parameters(3, 7, 1000, 100), &[7; 16], pattern(1000))
}

/// What a server gives of a share.
fn read(share: &[u8], range: &std::ops::Range<u64>) -> Vec<u8> {
    let at = |offset: u64| usize::try_from(offset).unwrap().min(share.len());
    share[at(range.start)..at(range.end)].to_vec()
}

/// Reads what is needed for a segment, and gives its block.
fn block(
    decoder: &mut Decoder,
    share: &mut Share,
    bytes: &[u8],
    segment: u64,
) -> Result<Vec<u8>, Error> {
    let mut last = Vec::new();
    for need in share.needs(decoder, segment)? {
        last = read(bytes, &need.range);
        share.take(decoder, &need, &last)?;
    }
    Ok(last)
}

/// Reads one segment from some shares.
fn segment(file: &File, from: &[ShareNumber], number: u64) -> Result<Vec<u8>, Error> {
    let mut decoder = Decoder::new(&file.cap);
    let mut blocks = Vec::new();
    for &share in from {
        let bytes = &file.shares[usize::from(share)];
        let mut reader = Share::new(share, &read(bytes, &(0..HEAD)))?;
        blocks.push((share, block(&mut decoder, &mut reader, bytes, number)?));
    }
    let blocks: Vec<(ShareNumber, &[u8])> = blocks.iter().map(|(n, b)| (*n, &b[..])).collect();
    let mut out = Segment::new();
    decoder.decode(number, &blocks, &mut out)?;
    Ok(out.contents().to_vec())
}

/// Reads all of a file, with one decoder.
fn whole(file: &File, from: &[ShareNumber]) -> Result<Vec<u8>, Error> {
    let mut decoder = Decoder::new(&file.cap);
    let mut shares: Vec<Share> = Vec::new();
    for &share in from {
        let head = read(&file.shares[usize::from(share)], &(0..HEAD));
        shares.push(Share::new(share, &head)?);
    }
    let (mut out, mut contents) = (Segment::new(), Vec::new());
    let mut number = 0;
    while decoder.parameters().is_none_or(|p| number < p.segments()) {
        let mut blocks = Vec::new();
        for share in &mut shares {
            let bytes = &file.shares[usize::from(share.number())];
            let n = share.number();
            blocks.push((n, block(&mut decoder, share, bytes, number)?));
        }
        let blocks: Vec<(ShareNumber, &[u8])> = blocks.iter().map(|(n, b)| (*n, &b[..])).collect();
        decoder.decode(number, &blocks, &mut out)?;
        contents.extend_from_slice(out.contents());
        number += 1;
    }
    Ok(contents)
}

#[test]
fn a_file_comes_back_from_any_k_shares() {
    for size in [1, 99, 100, 101, 102, 1000, 40_000] {
        let file = encode(parameters(3, 5, size, 100), &[9; 16], pattern(size));
        for from in [[0, 1, 2], [4, 2, 3], [1, 0, 4]] {
            assert!(whole(&file, &from).unwrap() == file.plaintext, "{size}");
        }
        let few = whole(&file, &[1, 3]);
        assert_eq!(few, Err(Error::TooFew { have: 2, need: 3 }));
    }
}

#[test]
fn any_segment_is_read_alone_and_few_hashes_with_it() {
    // 1000 segments: four groups of 256 leaves.
    let file = encode(parameters(2, 3, 10_000, 10), &[1; 16], pattern(10_000));
    for number in [0, 1, 255, 256, 511, 998, 999] {
        let at = number * 10;
        let expected = &file.plaintext[at..at + 10];
        assert_eq!(segment(&file, &[2, 0], number as u64).unwrap(), expected);
    }
    let bytes = &file.shares[0];
    let mut decoder = Decoder::new(&file.cap);
    let mut share = Share::new(0, bytes).unwrap();
    let needs = share.needs(&decoder, 700).unwrap();
    let read: u64 = needs
        .iter()
        .map(|need| need.range.end - need.range.start)
        .sum();
    assert!(read < 2 * (256 + 7) * 32 + 2004 + 5 * 34, "{read} bytes");
    block(&mut decoder, &mut share, bytes, 700).unwrap();
    // The rest of the group needs nothing but its blocks.
    for number in 512..768 {
        assert_eq!(share.needs(&decoder, number).unwrap().len(), 1);
    }
    assert!(share.needs(&decoder, 1000).is_err());
}

#[test]
fn a_long_share_has_wide_numbers() {
    let encoding = Encoding::new(1, 2).unwrap();
    for (size, header) in [
        ((1 << 32) - 1_000_000, 0x24),
        (1 << 32, 0x44),
        (1 << 39, 0x44),
    ] {
        let parameters = Parameters::new(encoding, size, DEFAULT_SEGMENT).unwrap();
        let layout = Layout::new(&parameters);
        assert_eq!(layout.data(), header);
        assert_eq!(layout.header().len() as u64, header);
        assert_eq!(Layout::parse(&layout.header()).unwrap(), layout);
        layout.check(&parameters).unwrap();
    }
}

#[test]
fn a_share_of_version_2_is_read() {
    let mut file = small_file();
    let parameters = parameters(3, 7, 1000, 100);
    let layout = Layout::version2(&parameters);
    for share in &mut file.shares {
        let ueb = layout.ueb().start as usize - 0x44 + 0x24;
        let (body, tail) = (share[0x24..ueb].to_vec(), share[ueb..].to_vec());
        *share = [layout.header(), body, vec![0; 4], tail].concat();
    }
    assert!(whole(&file, &[6, 5, 4]).unwrap() == file.plaintext);
}

#[test]
fn numbers_that_no_file_has_are_refused() {
    let encoding = Encoding::new(3, 10).unwrap();
    for (size, segment) in [
        (0, 1),
        (1 << 61, 1 << 20),
        (10, 0),
        (1 << 40, 9),
        (1 << 30, 1 << 25),
    ] {
        assert!(Parameters::new(encoding, size, segment).is_err());
    }
    // No multiple of 4 is as large as that.
    let four = Encoding::new(4, 10).unwrap();
    assert!(Parameters::new(four, u64::MAX, u64::MAX).is_err());
    for (needed, total) in [(0, 1), (2, 1), (1, 257)] {
        assert!(Encoding::new(needed, total).is_err());
    }
}

#[test]
fn repair_makes_the_same_shares() {
    let file = small_file();
    let verifier = file.cap.to_verifier();
    let mut decoder = Decoder::verifier(&verifier);
    let mut shares: Vec<Share> = [6, 1, 4]
        .map(|n: u8| Share::new(n, &file.shares[usize::from(n)]).unwrap())
        .into();
    let mut encoder = None;
    let (mut out, mut made) = (Segment::new(), Vec::new());
    for number in 0..10 {
        let mut blocks = Vec::new();
        for share in &mut shares {
            let bytes = &file.shares[usize::from(share.number())];
            let n = share.number();
            blocks.push((n, block(&mut decoder, share, bytes, number).unwrap()));
        }
        let blocks: Vec<(ShareNumber, &[u8])> = blocks.iter().map(|(n, b)| (*n, &b[..])).collect();
        assert!(decoder.decode(number, &blocks, &mut out).is_err()); // may not read
        decoder
            .decode_ciphertext(number, &blocks, &mut out)
            .unwrap();
        let encoder = encoder.get_or_insert_with(|| {
            let encoder = Encoder::repair(&verifier, decoder.ueb_bytes()).unwrap();
            assert_eq!(encoder.share_size(), file.shares[3].len() as u64);
            made = encoder.layout().header();
            encoder
        });
        encoder.encode(&mut out).unwrap();
        made.extend_from_slice(out.block(3));
    }
    let encoded = encoder.unwrap().finish().unwrap();
    made.extend(encoded.tail(3));
    assert!(made == file.shares[3]);
    assert_eq!((encoded.verifier(), encoded.cap()), (&verifier, None));
}

#[test]
fn repair_with_other_contents_fails() {
    let file = small_file();
    let ueb = {
        let mut decoder = Decoder::new(&file.cap);
        let mut share = Share::new(0, &file.shares[0]).unwrap();
        block(&mut decoder, &mut share, &file.shares[0], 0).unwrap();
        decoder.ueb_bytes().to_vec()
    };
    let mut encoder = Encoder::repair(&file.cap.to_verifier(), &ueb).unwrap();
    feed(&mut encoder, &file.plaintext, |_| {});
    assert!(matches!(encoder.finish(), Err(Error::Corrupt(_))));
}

#[test]
fn segments_come_in_order_and_all_of_them() {
    let parameters = parameters(3, 7, 1000, 100);
    let mut encoder = Encoder::new(parameters, &[0; 16]);
    let mut segment = Segment::new();
    assert!(encoder.encode(&mut segment).is_err());
    segment.prepare(&parameters, 1);
    assert!(encoder.encode(&mut segment).is_err());
    segment.prepare(&parameters, 0);
    encoder.encode(&mut segment).unwrap();
    assert!(encoder.encode(&mut segment).is_err());
    assert!(encoder.finish().is_err());
}
