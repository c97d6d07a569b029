//! Base 32 as Tahoe writes it: RFC 4648 in lower case, no padding, bits left over are zero.

use data_encoding::BASE32_NOPAD;

/// The text of bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// The bytes of a text; `None` if a character, the length or a bit left over is wrong.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .ok()
}

/// The bytes of a text that stands for exactly `N` of them.
#[must_use]
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_canonical_is_refused() {
        assert_eq!(encode(&[0xff]), "74");
        assert_eq!(decode("74"), Some(vec![0xff]));
        for text in ["75", "7", "A4", "7 4", "74======", "1a"] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(decode_array::<2>("74"), None);
    }
}
