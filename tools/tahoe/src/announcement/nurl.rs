//! Where a server is reached and by which key it proves itself: a NURL.
//!
//! Source: `docs/specifications/url.rst`.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::Invalid;

/// The longest text that is read, in bytes.
const MAX_TEXT: usize = 512;
/// The longest swissnum, in bytes; those of official servers have 32.
const MAX_SWISSNUM: usize = 128;

/// `pb://HASH@HOST:PORT/SWISSNUM#v=1`.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nurl {
    /// SHA-256 of the `SubjectPublicKeyInfo` (DER) of the server's certificate.
    pub hash: [u8; 32],
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The secret that gives access.
    pub swissnum: String,
}

impl fmt::Display for Nurl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = BASE64URL_NOPAD.encode(&self.hash);
        let place = place(&self.host, self.port);
        write!(f, "pb://{hash}@{place}/{}#v=1", self.swissnum)
    }
}

/// `HOST:PORT`, an IPv6 address in brackets.
pub(super) fn place(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl FromStr for Nurl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or(Invalid("a NURL is pb://HASH@HOST:PORT/SWISSNUM#v=1"))
    }
}

fn parse(text: &str) -> Option<Nurl> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let rest = text.strip_prefix("pb://")?.strip_suffix("#v=1")?;
    let (hash, rest) = rest.split_once('@')?;
    let (place, swissnum) = rest.split_once('/')?;
    let (host, port) = place.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inside) => inside
            .strip_suffix(']')
            .filter(|h| h.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => Some(host).filter(|h| is_name(h))?,
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    Some(Nurl {
        hash: BASE64URL_NOPAD
            .decode(hash.as_bytes())
            .ok()?
            .try_into()
            .ok()?,
        host: host.to_owned(),
        port: port.parse().ok().filter(|port| digits && *port != 0)?,
        swissnum: Some(swissnum).filter(|s| is_swissnum(s))?.to_owned(),
    })
}

/// Whether a text may be a host's name or IPv4 address.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_swissnum(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~=".contains(&byte);
    (1..=MAX_SWISSNUM).contains(&text.len()) && text.bytes().all(allowed)
}

impl TryFrom<String> for Nurl {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Nurl> for String {
    fn from(nurl: Nurl) -> Self {
        nurl.to_string()
    }
}
