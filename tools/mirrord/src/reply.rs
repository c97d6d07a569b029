//! Which part of a file a request gets: ranges and conditions as APT uses them, RFC 9110
//! sections 13 and 14.

use hyper::StatusCode;
use hyper::header::{HeaderMap, IF_MODIFIED_SINCE, IF_RANGE, RANGE};
use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

/// What to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// The status.
    pub status: StatusCode,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

/// Decides on a file of this size and date.
#[must_use]
pub fn part(headers: &HeaderMap, size: u64, date: Timestamp) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let whole = Part {
        status: StatusCode::OK,
        start: 0,
        length: size,
    };
    let range = text(RANGE.as_str());
    let unchanged = text(IF_MODIFIED_SINCE.as_str())
        .and_then(parse_date)
        .is_some_and(|since| date <= since);
    if unchanged && range.is_none() {
        return Part {
            status: StatusCode::NOT_MODIFIED,
            length: 0,
            ..whole
        };
    }
    // A range of another version of the file would make a mixture.
    let other = text(IF_RANGE.as_str()).is_some_and(|given| parse_date(given) != Some(date));
    match range
        .filter(|_| !other)
        .and_then(|range| bounds(range, size))
    {
        None => whole,
        Some(None) => Part {
            status: StatusCode::RANGE_NOT_SATISFIABLE,
            length: 0,
            ..whole
        },
        Some(Some((start, length))) => Part {
            status: StatusCode::PARTIAL_CONTENT,
            start,
            length,
        },
    }
}

/// First byte and number of bytes of one range; `Some(None)` if the file has none of it, nothing
/// if it is not one range of bytes, which means the whole file.
fn bounds(range: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (from, to) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = (from.trim(), to.trim());
    let number = |digits: &str| -> Option<u64> {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    if from.is_empty() {
        let last = number(to)?.min(size);
        return Some((last > 0).then(|| (size - last, last)));
    }
    let start = number(from)?;
    let end = if to.is_empty() { u64::MAX } else { number(to)? };
    if end < start {
        return None;
    }
    let end = end.min(size.saturating_sub(1));
    Some((start < size).then(|| (start, end - start + 1)))
}

fn parse_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// A date as HTTP writes it; nothing for years that it has no digits for.
#[must_use]
pub fn http_date(date: Timestamp) -> Option<String> {
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&date)
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const DATE: &str = "2026-11-24T08:36:22Z";

    fn ask(headers: &[(&'static str, &str)]) -> (u16, u64, u64) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let part = part(&map, 100, DATE.parse().unwrap());
        (part.status.as_u16(), part.start, part.length)
    }

    #[test]
    fn ranges_are_cut() {
        for (range, expected) in [
            ("bytes=0-9", (206, 0, 10)),
            ("bytes=90-", (206, 90, 10)),
            ("bytes=90-1000", (206, 90, 10)),
            ("bytes=-10", (206, 90, 10)),
            ("bytes=-1000", (206, 0, 100)),
            ("bytes=100-", (416, 0, 0)),
            ("bytes=-0", (416, 0, 0)),
            ("bytes=9-0", (200, 0, 100)),
            ("bytes=0-9,20-29", (200, 0, 100)),
            ("bytes=a-b", (200, 0, 100)),
            ("bytes=+1-5", (200, 0, 100)),
            ("lines=1-2", (200, 0, 100)),
        ] {
            assert_eq!(ask(&[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn conditions_are_kept() {
        let date = http_date(DATE.parse().unwrap()).unwrap();
        assert_eq!(date, "Tue, 24 Nov 2026 08:36:22 GMT");
        assert_eq!(ask(&[("if-modified-since", &date)]).0, 304);
        assert_eq!(
            ask(&[("if-modified-since", "Tue, 24 Nov 2026 08:36:21 GMT")]).0,
            200
        );
        assert_eq!(ask(&[("if-modified-since", "yesterday")]).0, 200);
        assert_eq!(ask(&[("range", "bytes=9-"), ("if-range", &date)]).0, 206);
        assert_eq!(
            ask(&[
                ("range", "bytes=9-"),
                ("if-range", "Tue, 24 Nov 2026 08:36:23 GMT")
            ])
            .0,
            200
        );
        assert_eq!(
            ask(&[("range", "bytes=9-"), ("if-range", "\"tag\"")]).0,
            200
        );
    }

    proptest! {
        #[test]
        fn every_part_lies_in_the_file(range in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in any::<u64>()) {
            if let Some(Some((start, length))) = bounds(&range, size) {
                prop_assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size));
            }
        }
    }
}
