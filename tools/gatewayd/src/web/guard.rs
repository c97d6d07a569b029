//! Requests that web pages of others make a browser send are refused.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderValue, ORIGIN};

use crate::problem::{Problem, Reason};

/// Where a request came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Door {
    /// A TCP port, which browsers reach.
    Web,
    /// The Unix socket, which they do not.
    Socket,
}

/// Checks where a request is from.
///
/// # Errors
/// If it is from a page of somebody else, or names this machine as somebody else's.
pub(super) fn check(headers: &HeaderMap, door: Door) -> Result<(), Problem> {
    if door == Door::Socket {
        return Ok(());
    }
    let host = text(headers.get(HOST));
    // A foreign name that leads to this machine is how pages get around the next check.
    if !host.is_none_or(is_loopback) {
        return Err(refused(
            "it names this gateway as if it were another machine",
        ));
    }
    let same = |origin: &str| {
        let place = origin.strip_prefix("http://");
        place.is_some() && place == host
    };
    let foreign_origin =
        headers.contains_key(ORIGIN) && !text(headers.get(ORIGIN)).is_some_and(same);
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let foreign_site = site.is_some_and(|site| ![&b"same-origin"[..], b"none"].contains(&site));
    if foreign_origin || foreign_site {
        return Err(refused("it is from a web page of somebody else"));
    }
    Ok(())
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

fn refused(why: &str) -> Problem {
    Problem::new(Reason::Forbidden, format!("the request is refused: {why}"))
}

/// Whether a host, with or without a port, can be this machine alone.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn allowed(headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        check(&map, Door::Web).is_ok()
    }

    #[test]
    fn programs_and_own_pages_are_let_in() {
        for host in ["127.0.0.1:3456", "localhost", "LOCALHOST:1", "[::1]:3456"] {
            assert!(allowed(&[("host", host)]), "{host}");
            let origin = format!("http://{host}");
            assert!(allowed(&[("host", host), ("origin", &origin)]), "{host}");
        }
        assert!(allowed(&[]));
        assert!(allowed(&[
            ("host", "localhost"),
            ("sec-fetch-site", "none")
        ]));
    }

    #[test]
    fn pages_of_others_are_not() {
        for headers in [
            &[("host", "evil.example:3456")][..],
            &[("host", "127.0.0.1.evil.example")],
            &[("host", "localhost"), ("origin", "http://evil.example")],
            &[("host", "localhost"), ("origin", "null")],
            &[("host", "localhost:1"), ("origin", "http://localhost:2")],
            &[("host", "localhost"), ("origin", "https://localhost")],
            &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
            &[("host", "localhost"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(!allowed(headers), "{headers:?}");
        }
        let mut map = HeaderMap::new();
        map.insert("host", "x".parse().unwrap());
        assert!(check(&map, Door::Socket).is_ok());
    }
}
