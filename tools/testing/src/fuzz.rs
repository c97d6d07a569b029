//! Garbage for whatever reads what others have written: valid samples, changed a little, and
//! now and then plain noise. Seeded, so that a failure comes again.
//!
//! Each input has a number. One that makes a reader panic is told with its number and in full;
//! `GUIFI_FUZZ_ONLY=NUMBER cargo test …` tries that one alone. `GUIFI_FUZZ_SEED=NUMBER` makes
//! other inputs. With `GUIFI_LONG` set there are a million of them, with `GUIFI_FUZZ_INPUTS`
//! so many, else a few.

mod calls;

use std::env;
use std::fmt::Write as _;
use std::time::Instant;

pub use calls::{Target, calls};

/// Inputs of an ordinary run, and of a long one.
const FEW: u64 = 3000;
const MANY: u64 = 1_000_000;
/// The longest input.
const MAX_BYTES: usize = 64 << 10;
/// The largest number of changes to one sample.
const MAX_CHANGES: u64 = 6;
/// Where readers count, and where encodings change.
const EDGES: [u64; 22] = [
    0,
    1,
    0x17,
    0x18,
    0x20,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    1 << 53,
    (1 << 53) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];
/// What texts are broken with.
const WORDS: [&str; 24] = [
    "",
    " ",
    "\n",
    "\0",
    "\t",
    "\"",
    "'",
    "\\",
    "%",
    "{}",
    "[[",
    "]]",
    "=",
    ":",
    "/",
    "../",
    ".",
    "-1",
    "99999999999999999999",
    "é",
    "\u{202e}",
    "\u{10ffff}",
    "\u{0301}",
    "ſ",
];

/// A small generator of random numbers (splitmix64), the same on every machine.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The numbers that belong to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.any().checked_rem(limit).unwrap_or_default()
    }

    /// A position in something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// One of them.
    ///
    /// # Panics
    /// If there are none.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }

    /// So many noisy bytes at most.
    pub fn noise(&mut self, most: usize) -> Vec<u8> {
        let length = self.index(most + 1);
        (0..length).map(|_| self.any().to_le_bytes()[0]).collect()
    }

    /// A number near an edge, or any.
    pub fn edge(&mut self) -> u64 {
        match self.below(4) {
            0 => self.any() >> self.below(64),
            1 => self.one(&EDGES).wrapping_sub(1),
            _ => *self.one(&EDGES),
        }
    }

    /// One of the samples, changed.
    pub fn mutant<S: AsRef<[u8]>>(&mut self, samples: &[S]) -> Vec<u8> {
        if samples.is_empty() || self.below(32) == 0 {
            return self.noise(512);
        }
        let mut bytes = self.one(samples).as_ref().to_vec();
        for _ in 0..=self.below(MAX_CHANGES) {
            self.change(&mut bytes, samples);
        }
        bytes.truncate(MAX_BYTES);
        bytes
    }

    /// One of the samples, changed, as text.
    pub fn text<S: AsRef<str>>(&mut self, samples: &[S]) -> String {
        let bytes: Vec<&[u8]> = samples.iter().map(|s| s.as_ref().as_bytes()).collect();
        let mut mutant = if self.below(3) == 0 && !bytes.is_empty() {
            self.one(&bytes).to_vec()
        } else {
            self.mutant(&bytes)
        };
        for _ in 0..self.below(3) {
            let at = self.index(mutant.len() + 1);
            let word = self.one(&WORDS).repeat(1 + self.index(3));
            mutant.splice(at..at, word.into_bytes());
        }
        String::from_utf8_lossy(&mutant).into_owned()
    }

    fn change<S: AsRef<[u8]>>(&mut self, bytes: &mut Vec<u8>, samples: &[S]) {
        let (from, to) = (self.index(bytes.len() + 1), self.index(bytes.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        let near = to.min(from + 1 + self.index(16));
        match self.below(10) {
            0 if from < bytes.len() => bytes[from] ^= 1 << self.below(8),
            1 if from < bytes.len() => bytes[from] = self.edge().to_le_bytes()[0],
            2 => bytes.truncate(from),
            3 => drop(bytes.drain(from..near)),
            4 => {
                let again = bytes[from..near].repeat(1 + self.index(4));
                bytes.splice(from..from, again);
            }
            // A number in the middle of it, as heads and lengths are written.
            5 | 6 => {
                let width = *self.one(&[1, 2, 4, 8]);
                let number = self.edge().to_be_bytes();
                let end = (from + width).min(bytes.len());
                bytes.splice(from..end, number[8 - width..].iter().copied());
            }
            7 => {
                let noise = self.noise(8);
                bytes.splice(from..from, noise);
            }
            8 => {
                let other = self.one(samples).as_ref();
                let (a, b) = (self.index(other.len() + 1), self.index(other.len() + 1));
                bytes.splice(from..to, other[a.min(b)..a.max(b)].iter().copied());
            }
            _ => {
                let word = *self.one(&WORDS);
                bytes.splice(from..near, word.bytes());
            }
        }
    }
}

/// How many inputs each reader gets.
#[must_use]
pub fn inputs() -> u64 {
    let long = env::var_os("GUIFI_LONG").is_some();
    number("GUIFI_FUZZ_INPUTS").unwrap_or(if long { MANY } else { FEW })
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Gives `check` so many numbers' chances, one after the other, and says how long it took.
///
/// # Panics
/// If `check` does.
pub fn rounds(name: &str, count: u64, mut check: impl FnMut(&mut Chance, &mut Input)) {
    let seed = number("GUIFI_FUZZ_SEED").unwrap_or(1);
    let range = match number("GUIFI_FUZZ_ONLY") {
        Some(only) => only..only + 1,
        None => 0..count,
    };
    let start = Instant::now();
    for round in range.clone() {
        let mut input = Input {
            name: name.to_owned(),
            round,
            seen: Vec::new(),
        };
        let mut chance = Chance::new(seed.rotate_left(32) ^ round);
        check(&mut chance, &mut input);
    }
    let seconds = start.elapsed().as_secs_f64();
    tell(&format!(
        "fuzz: {name}: {} inputs in {seconds:.1} s\n",
        range.end - range.start
    ));
}

/// Gives `check` mutants of the samples.
///
/// # Panics
/// If `check` does.
pub fn bytes<S: AsRef<[u8]>>(name: &str, samples: &[S], mut check: impl FnMut(&[u8])) {
    rounds(name, inputs(), |chance, input| {
        let mutant = chance.mutant(samples);
        check(input.is(mutant));
    });
}

/// Gives `check` mutants of the samples that are text.
///
/// # Panics
/// If `check` does.
pub fn texts<S: AsRef<str>>(name: &str, samples: &[S], mut check: impl FnMut(&str)) {
    rounds(name, inputs(), |chance, input| {
        let mutant = chance.text(samples);
        input.is(mutant.as_bytes().to_vec());
        check(&mutant);
    });
}

/// What a round tries, told if the reader panics.
#[derive(Debug)]
pub struct Input {
    name: String,
    round: u64,
    seen: Vec<u8>,
}

impl Input {
    /// Remembers the input.
    pub fn is(&mut self, bytes: Vec<u8>) -> &[u8] {
        self.seen = bytes;
        &self.seen
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex = self.seen.iter().fold(String::new(), |mut hex, byte| {
                // Writing to memory has no error.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            tell(&format!(
                "fuzz: {} panics at GUIFI_FUZZ_ONLY={}: {hex}\n  as text: {}\n",
                self.name,
                self.round,
                String::from_utf8_lossy(&self.seen).escape_debug()
            ));
        }
    }
}

#[allow(clippy::print_stderr)] // the harness shows it with a failure, or with --nocapture
fn tell(text: &str) {
    eprint!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_mutants_and_most_differ_from_their_samples() {
        let samples = ["a sample of some length", "another"];
        let mutants =
            || -> Vec<Vec<u8>> { (0..100).map(|n| Chance::new(n).mutant(&samples)).collect() };
        assert_eq!(mutants(), mutants());
        let changed = |m: &&Vec<u8>| samples.iter().all(|s| s.as_bytes() != m.as_slice());
        let changed = mutants().iter().filter(changed).count();
        assert!(changed > 80, "{changed}");
    }

    #[test]
    fn nothing_to_change_is_no_trouble() {
        for seed in 0..10_000 {
            let mut chance = Chance::new(seed);
            chance.mutant(&[""]);
            chance.text::<&str>(&[]);
            assert!(chance.mutant::<&[u8]>(&[]).len() <= 512);
        }
    }
}
