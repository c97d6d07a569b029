//! An amount of disk, as people write it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Bytes, or a part of the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Size {
    /// A number, or a text with K, M, G or T (powers of 1024).
    Bytes(u64),
    /// `10%`.
    Percent(u8),
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: u8 = percent.trim().parse().ok()?;
            return (percent <= 100).then_some(Self::Percent(percent));
        }
        let (number, power) = match text.chars().last()? {
            'K' | 'k' => (text.get(..text.len() - 1)?, 10),
            'M' => (text.get(..text.len() - 1)?, 20),
            'G' => (text.get(..text.len() - 1)?, 30),
            'T' => (text.get(..text.len() - 1)?, 40),
            _ => (text, 0),
        };
        let number: u64 = number.trim().parse().ok()?;
        number.checked_mul(1 << power).map(Self::Bytes)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or a text such as '20G' or '10%'")
            }

            fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes)
                    .map(Size::Bytes)
                    .map_err(|_| E::custom("a size is not negative"))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_letters_and_parts_are_read() {
        for (text, size) in [
            ("0", Size::Bytes(0)),
            ("12 G", Size::Bytes(12 << 30)),
            ("3k", Size::Bytes(3072)),
            ("1T", Size::Bytes(1 << 40)),
            ("100%", Size::Percent(100)),
        ] {
            assert_eq!(Size::parse(text), Some(size), "{text}");
        }
        for text in ["", "%", "G", "-1", "1.5G", "101%", "99999999999T", "1é"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
    }
}
