//! How fast one thread makes and reads shares: `cargo run --release -p guifi-tahoe --example speed`.
//! Prints MiB of plaintext per second of processor time, so that other work on the machine counts little; the
//! median of five rounds. At the end a large directory.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // A program for people, that may stop anywhere.

use std::hint::black_box;

use guifi_tahoe::chk::{Convergence, DEFAULT_SEGMENT, Encoder, Parameters, Segment};
use guifi_tahoe::directory::{Access, Entries, Entry, pack, unpack};
use guifi_tahoe::erasure::Code;
use guifi_tahoe::hash::tagged;
use guifi_tahoe::{Encoding, aes};
use rustix::time::{ClockId, clock_gettime};

const MIB: usize = 1 << 20;
const SIZE: usize = 32 * MIB;
const ROUNDS: usize = 5;

fn main() {
    let mut plaintext: Vec<u8> = (0..=250).cycle().take(SIZE).collect();
    measure("AES-128-CTR", || aes::apply(&[1; 16], &mut plaintext));
    measure("SHA-256", || _ = black_box(tagged(b"speed", &plaintext)));
    for (needed, total) in [(3, 10), (3, 4)] {
        let encoding = Encoding::new(needed, total).unwrap();
        let name = format!("{needed}-of-{total}");
        erasure(&name, encoding, &plaintext);
        let parameters = Parameters::new(encoding, SIZE as u64, DEFAULT_SEGMENT).unwrap();
        measure(&format!("{name}: convergent key"), || {
            let mut key = Convergence::new(&[2; 32], &parameters);
            key.update(&plaintext);
            black_box(key.finish());
        });
        let shares = encode(&name, &parameters, &plaintext);
        decode(&name, &shares);
    }
    directory();
}

/// Packs and unpacks 10,000 entries.
fn directory() {
    let cap = |i: usize| {
        let hash = guifi_tahoe::base32::encode(&tagged(b"speed", &i.to_le_bytes()));
        format!("URI:DIR2:{}a:{hash}", &hash[..25]).parse().unwrap()
    };
    let entry = |i| Entry::new(cap(i), "{\"tahoe\": {\"linkmotime\": 1}}".to_owned()).unwrap();
    let entries: Entries = (0..10_000)
        .map(|i| (format!("name {i}"), entry(i)))
        .collect();
    let access = Access::Write(&[4; 16]);
    let begin = processor_seconds();
    let packed = pack(&entries, access).unwrap();
    let middle = processor_seconds();
    assert!(unpack(&packed, access).unwrap() == entries);
    let (pack, unpack) = (middle - begin, processor_seconds() - middle);
    println!("{:8.0} ms     pack 10,000 entries", pack * 1e3);
    println!("{:8.0} ms     unpack them", unpack * 1e3);
}

/// A file's shares, and what reads them.
struct Shares {
    cap: guifi_tahoe::cap::Chk,
    bytes: Vec<Vec<u8>>,
}

fn erasure(name: &str, encoding: Encoding, plaintext: &[u8]) {
    let code = Code::new(encoding);
    let segment = MIB.next_multiple_of(encoding.needed()) - encoding.needed();
    let block = segment / encoding.needed();
    let mut all = vec![0; block * encoding.total()];
    measure(&format!("{name}: erasure code alone, encode"), || {
        for part in plaintext.chunks_exact(segment) {
            let (data, secondary) = all.split_at_mut(segment);
            data.copy_from_slice(part);
            code.encode(data, secondary).unwrap();
        }
    });
    let mut out = vec![0; segment];
    let last: Vec<(u8, &[u8])> = (0..).zip(all.chunks_exact(block)).collect();
    let last = &last[encoding.total() - encoding.needed()..];
    measure(
        &format!("{name}: erasure code alone, decode the last"),
        || {
            for _ in plaintext.chunks_exact(segment) {
                code.decode(last, &mut out).unwrap();
            }
        },
    );
}

fn encode(name: &str, parameters: &Parameters, plaintext: &[u8]) -> Shares {
    let segment_size = usize::try_from(parameters.segment_size()).unwrap();
    let mut segment = Segment::new();
    measure(&format!("{name}: encode"), || {
        let mut encoder = Encoder::new(*parameters, &[3; 16]);
        for (number, part) in (0..).zip(plaintext.chunks(segment_size)) {
            segment.prepare(parameters, number).copy_from_slice(part);
            encoder.encode(&mut segment).unwrap();
        }
        _ = black_box(encoder.finish().unwrap().tail(0));
    });
    let mut encoder = Encoder::new(*parameters, &[3; 16]);
    let mut bytes = vec![encoder.layout().header(); parameters.encoding().total()];
    for (number, part) in (0..).zip(plaintext.chunks(segment_size)) {
        segment.prepare(parameters, number).copy_from_slice(part);
        encoder.encode(&mut segment).unwrap();
        for (share, bytes) in (0..).zip(&mut bytes) {
            bytes.extend_from_slice(segment.block(share));
        }
    }
    let encoded = encoder.finish().unwrap();
    for (share, bytes) in (0..).zip(&mut bytes) {
        bytes.extend(encoded.tail(share));
    }
    Shares {
        cap: encoded.cap().unwrap(),
        bytes,
    }
}

fn decode(name: &str, shares: &Shares) {
    let needed = shares.cap.encoding.needed();
    let total = shares.cap.encoding.total();
    for (which, first) in [("first", 0), ("last", total - needed)] {
        let numbers: Vec<u8> = (0..=255).skip(first).take(needed).collect();
        measure(&format!("{name}: decode from the {which} {needed}"), || {
            read(shares, &numbers);
        });
    }
}

fn read(shares: &Shares, numbers: &[u8]) {
    use guifi_tahoe::chk::{Decoder, HEAD, Share};

    let mut decoder = Decoder::new(&shares.cap);
    let head = usize::try_from(HEAD).unwrap();
    let share = |&n: &u8| Share::new(n, &shares.bytes[usize::from(n)][..head]).unwrap();
    let mut readers: Vec<Share> = numbers.iter().map(share).collect();
    let mut out = Segment::new();
    let mut number = 0;
    while decoder.parameters().is_none_or(|p| number < p.segments()) {
        let mut blocks: Vec<(u8, &[u8])> = Vec::new();
        for share in &mut readers {
            let bytes = &shares.bytes[usize::from(share.number())];
            let mut last: &[u8] = &[];
            for need in share.needs(&decoder, number).unwrap() {
                let at = |offset| usize::try_from(offset).unwrap().min(bytes.len());
                last = &bytes[at(need.range.start)..at(need.range.end)];
                share.take(&mut decoder, &need, last).unwrap();
            }
            blocks.push((share.number(), last));
        }
        decoder.decode(number, &blocks, &mut out).unwrap();
        black_box(out.contents());
        number += 1;
    }
}

/// Prints how fast something does [`SIZE`] bytes.
fn measure(what: &str, mut round: impl FnMut()) {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = processor_seconds();
            round();
            processor_seconds() - begin
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let rate = (SIZE / MIB) as f64 / seconds[ROUNDS / 2];
    println!("{rate:8.0} MiB/s  {what}");
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
