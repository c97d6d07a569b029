//! Netstrings: a length, a colon, that many bytes, a comma.

use super::malformed;
use crate::Error;

/// Most digits of a length: no contents are longer than memory.
const MAX_DIGITS: usize = 12;

/// Takes the first netstring.
pub(super) fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let (bytes, after) = split(rest).ok_or(malformed("a netstring is cut or none"))?;
    *rest = after;
    Ok(bytes)
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = bytes.iter().take(MAX_DIGITS);
    let digits = digits.take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at_checked(digits)?;
    let length = std::str::from_utf8(number).ok()?.parse().ok()?;
    let (bytes, rest) = rest.strip_prefix(b":")?.split_at_checked(length)?;
    Some((bytes, rest.strip_prefix(b",")?))
}

/// Adds a netstring.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
    out.push(b',');
}
