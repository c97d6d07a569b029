//! What requests say in their headers: who asks, their secrets, and which part of a share.

use data_encoding::BASE64;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_RANGE, RANGE};

use super::reply::Refusal;

/// The scheme of `Authorization`.
const SCHEME: &str = "Tahoe-LAFS ";
/// The header of secrets, one for each.
const SECRETS: &str = "x-tahoe-authorization";
/// The longest secret, in bytes; those of leases have exactly 32.
const MAX_SECRET: usize = 128;

/// The kinds of secrets, in the order in which they are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Secrets {
    Renew,
    Cancel,
    Upload,
    Enabler,
}

impl Secrets {
    fn read(name: &str) -> Option<Self> {
        Some(match name {
            "lease-renew-secret" => Self::Renew,
            "lease-cancel-secret" => Self::Cancel,
            "upload-secret" => Self::Upload,
            "write-enabler" => Self::Enabler,
            _ => return None,
        })
    }
}

/// The swissnum that a request shows.
pub(crate) fn swissnum(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let encoded = text.strip_prefix(SCHEME)?.trim();
    String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok()
}

/// The secrets of a request, in the order in which they are wanted; none if they are not exactly
/// those that are wanted.
pub(crate) fn secrets<const N: usize>(
    headers: &HeaderMap,
    wanted: [Secrets; N],
) -> Option<[Vec<u8>; N]> {
    let mut found = [const { Vec::new() }; N];
    for value in headers.get_all(SECRETS) {
        let (name, encoded) = value.to_str().ok()?.trim().split_once(' ')?;
        let kind = Secrets::read(name)?;
        let secret = BASE64.decode(encoded.trim().as_bytes()).ok()?;
        let is_lease = matches!(kind, Secrets::Renew | Secrets::Cancel);
        if secret.is_empty() || secret.len() > MAX_SECRET || (is_lease && secret.len() != 32) {
            return None;
        }
        let at = wanted.iter().position(|want| *want == kind)?;
        let place = found.get_mut(at)?;
        if !place.is_empty() {
            return None;
        }
        *place = secret;
    }
    found
        .iter()
        .all(|secret| !secret.is_empty())
        .then_some(found)
}

/// As [`secrets`], for a request.
pub(super) fn wanted<const N: usize>(
    headers: &HeaderMap,
    wanted: [Secrets; N],
) -> Result<[Vec<u8>; N], Refusal> {
    secrets(headers, wanted).ok_or(Refusal::Bad("other secrets are wanted"))
}

/// A request with no secrets.
pub(super) fn none(headers: &HeaderMap) -> Result<(), Refusal> {
    wanted(headers, []).map(drop)
}

/// The part of a share that a `GET` asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Whole,
    /// From the first up to but not with the second.
    Some(u64, u64),
    /// Nothing of it is there.
    Nothing,
    /// Open, or several, or none at all.
    Wrong,
}

/// Reads `Range`, for a share of a size.
pub(crate) fn part(headers: &HeaderMap, size: u64) -> Part {
    let mut all = headers.get_all(RANGE).iter();
    let Some(value) = all.next() else {
        return Part::Whole;
    };
    let range = value.to_str().ok().and_then(|text| {
        let (begin, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
        Some((number(begin.trim())?, number(last.trim())?))
    });
    match range {
        Some((begin, last)) if begin <= last && all.next().is_none() => {
            let end = last.saturating_add(1).min(size);
            if begin < end {
                Part::Some(begin, end)
            } else {
                Part::Nothing
            }
        }
        _ => Part::Wrong,
    }
}

/// Reads `Content-Range`: from the first up to but not with the second.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let mut all = headers.get_all(CONTENT_RANGE).iter();
    let text = all.next()?.to_str().ok()?;
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (begin, last) = range.trim().split_once('-')?;
    let (begin, end) = (number(begin)?, number(last)?.checked_add(1)?);
    let known = size == "*" || number(size).is_some();
    (begin < end && known && all.next().is_none()).then_some((begin, end))
}

/// Decimal digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hyper::header::HeaderName;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        list.iter().map(pair).collect()
    }

    #[test]
    fn ranges_are_one_closed_part_or_wrong() {
        for (text, part_of) in [
            ("bytes=0-9", Part::Some(0, 10)),
            ("bytes=5-1000", Part::Some(5, 100)),
            ("bytes=99-18446744073709551615", Part::Some(99, 100)),
            ("bytes=100-100", Part::Nothing),
            ("bytes=5-4", Part::Wrong),
            ("bytes=5-", Part::Wrong),
            ("bytes=-5", Part::Wrong),
            ("bytes=0-1,3-4", Part::Wrong),
            ("bytes=+1-2", Part::Wrong),
            ("octets=0-1", Part::Wrong),
            ("", Part::Wrong),
        ] {
            assert_eq!(part(&headers(&[("range", text)]), 100), part_of, "{text}");
        }
        assert_eq!(part(&headers(&[]), 100), Part::Whole);
        let range = |text: &str| content_range(&headers(&[("content-range", text)]));
        assert_eq!(range("bytes 0-9/*"), Some((0, 10)));
        assert_eq!(range("bytes 3-3/10"), Some((3, 4)));
        for text in [
            "bytes 4-3/*",
            "bytes */10",
            "bytes 0-/*",
            "0-9/*",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_are_exactly_those_that_are_wanted() {
        let long = BASE64.encode(&[7; 32]);
        let renew = format!("lease-renew-secret {long}");
        let upload = "upload-secret eA==";
        let name = "x-tahoe-authorization";
        let wanted = [Secrets::Upload, Secrets::Renew];
        let read = |values: &[&str]| {
            let list: Vec<_> = values.iter().map(|value| (name, *value)).collect();
            secrets(&headers(&list), wanted)
        };
        assert_eq!(read(&[&renew, upload]), Some([b"x".to_vec(), vec![7; 32]]));
        assert_eq!(read(&[upload]), None);
        assert_eq!(read(&[&renew, upload, upload]), None);
        assert_eq!(read(&[&renew, "upload-secret ?"]), None);
        assert_eq!(read(&[&renew, "upload-secret"]), None);
        assert_eq!(read(&["lease-renew-secret eA==", upload]), None);
        assert_eq!(read(&[&renew, upload, "write-enabler eA=="]), None);
        assert_eq!(secrets(&headers(&[]), []), Some([]));
        assert_eq!(secrets(&headers(&[(name, upload)]), []), None);
        let show = |text: &str| swissnum(&headers(&[("authorization", text)]));
        assert_eq!(show("Tahoe-LAFS c3dpc3M="), Some("swiss".to_owned()));
        assert_eq!(show("Basic c3dpc3M="), None);
        assert_eq!(show("Tahoe-LAFS //8="), None);
    }
}
