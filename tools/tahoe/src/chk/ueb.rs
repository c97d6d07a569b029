//! The "URI extension block": what is known of a file whose cap has its hash.

use std::collections::BTreeMap;

use super::Parameters;
use crate::hash::{Hash, tagged};
use crate::{Encoding, Error};

/// Longest one that is read, in bytes.
pub const MAX_UEB: usize = 2000;

/// What is needed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ueb {
    /// How the file is cut.
    pub parameters: Parameters,
    /// Hash of the whole ciphertext; who writes it may leave it out.
    pub ciphertext_hash: Option<Hash>,
    /// Root of the hash tree over the segments' ciphertext.
    pub ciphertext_root: Hash,
    /// Root of the hash tree over the roots of the shares' block trees.
    pub share_root: Hash,
}

impl Ueb {
    /// Reads one. Keys that are not known are passed over.
    ///
    /// # Errors
    /// If it is too long, malformed, or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_UEB {
            return Err(malformed("longer than 2000 bytes"));
        }
        let mut values = BTreeMap::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (key, value, after) = entry(rest).ok_or(malformed("an entry is cut"))?;
            if values.insert(key, value).is_some() {
                return Err(malformed("a key comes twice"));
            }
            rest = after;
        }
        Self::from_values(&values)
    }

    fn from_values(values: &BTreeMap<&[u8], &[u8]>) -> Result<Self, Error> {
        let number = |key: &str| {
            let value = values.get(key.as_bytes());
            let number = value.and_then(|value| decimal(value));
            number.ok_or(malformed("a number is missing or none"))
        };
        let hash = |key: &str| {
            let hash = values.get(key.as_bytes()).map(|value| (*value).try_into());
            hash.transpose()
                .map_err(|_| malformed("a hash has not 32 bytes"))
        };
        let small = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
        let needed = small(number("needed_shares")?);
        let encoding = Encoding::new(needed, small(number("total_shares")?))?;
        let (size, segment_size) = (number("size")?, number("segment_size")?);
        let parameters = Parameters::of_segments(encoding, size, segment_size)?;
        let root = |key| hash(key)?.ok_or(malformed("a root is missing"));
        let ueb = Self {
            parameters,
            ciphertext_hash: hash("crypttext_hash")?,
            ciphertext_root: root("crypttext_root_hash")?,
            share_root: root("share_root_hash")?,
        };
        let said = |(key, value): (&str, String)| {
            let found = values.get(key.as_bytes());
            found.is_none_or(|found| *found == value.as_bytes())
        };
        if ueb.texts().into_iter().all(said) {
            Ok(ueb)
        } else {
            Err(malformed("it contradicts itself"))
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let texts = self.texts();
        let mut entries: BTreeMap<&str, &[u8]> = BTreeMap::new();
        entries.extend(texts.iter().map(|(key, value)| (*key, value.as_bytes())));
        entries.extend([
            ("crypttext_root_hash", self.ciphertext_root.as_slice()),
            ("share_root_hash", self.share_root.as_slice()),
        ]);
        if let Some(hash) = &self.ciphertext_hash {
            entries.insert("crypttext_hash", hash);
        }
        let mut bytes = Vec::new();
        for (key, value) in entries {
            bytes.extend_from_slice(format!("{key}:{}:", value.len()).as_bytes());
            bytes.extend_from_slice(value);
            bytes.push(b',');
        }
        bytes
    }

    /// The hash of a UEB's bytes, as in the cap.
    #[must_use]
    pub fn hash(bytes: &[u8]) -> Hash {
        tagged(b"allmydata_uri_extension_v1", bytes)
    }

    /// All entries that follow from the parameters.
    fn texts(&self) -> [(&'static str, String); 8] {
        let parameters = &self.parameters;
        let encoding = parameters.encoding();
        let (needed, total) = (encoding.needed(), encoding.total());
        let segment = parameters.segment_size();
        let tail = parameters.block(parameters.segments() - 1) * needed;
        [
            ("codec_name", "crs".to_owned()),
            ("codec_params", format!("{segment}-{needed}-{total}")),
            ("needed_shares", needed.to_string()),
            ("num_segments", parameters.segments().to_string()),
            ("segment_size", segment.to_string()),
            ("size", parameters.size().to_string()),
            ("tail_codec_params", format!("{tail}-{needed}-{total}")),
            ("total_shares", total.to_string()),
        ]
    }
}

fn malformed(why: &'static str) -> Error {
    Error::Malformed("UEB", why)
}

/// A key, its value, and what follows.
fn entry(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key, rest) = split(bytes)?;
    let (length, rest) = split(rest)?;
    let length = usize::try_from(decimal(length)?).ok()?;
    let (value, rest) = rest.split_at_checked(length)?;
    Some((key, value, rest.strip_prefix(b",")?))
}

/// What is before and after the first colon.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    let (before, rest) = bytes.split_at_checked(colon)?;
    Some((before, rest.get(1..)?))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
