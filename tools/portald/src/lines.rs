//! Formats of one thing a line: lists of proxies, federation, tokens.

use std::io::{self, BufRead as _, BufReader, Read};
use std::net::Ipv4Addr;

use crate::dns_name::dns_name;
use crate::fault::{Fault, Faults, quote};
use crate::guard::Place;

/// The longest line, in bytes.
const MAX_LINE: u64 = 4096;
/// Lines of a file.
const MAX_LINES: u64 = 100_000;

/// A proxy of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proxy {
    /// Name of its service.
    pub nick: String,
    /// Name or IPv4 address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Who lets whose users in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Number of the proxy's service.
    pub proxy: u64,
    /// `private`, `in`, `out` or `inout`.
    pub mode: String,
}

/// Gives each line that is not blank, with its place.
fn lines(
    reader: impl Read,
    mut each: impl FnMut(Place, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut reader = BufReader::new(reader);
    for line in 1..=MAX_LINES {
        let place = Place { line, column: 1 };
        let failed = |e: io::Error| Fault::fatal(place, e.to_string());
        let mut bytes = Vec::new();
        let mut piece = reader.by_ref().take(MAX_LINE + 1);
        piece.read_until(b'\n', &mut bytes).map_err(failed)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() as u64 > MAX_LINE {
            return Err(Fault::fatal(
                place,
                format!("a line of more than {MAX_LINE} bytes"),
            ));
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if text.starts_with('<') {
            return Err(Fault::fatal(place, "this is a web page, or XML"));
        }
        if !text.is_empty() {
            each(place, text)?;
        }
    }
    Err(Fault::fatal(None, format!("more than {MAX_LINES} lines")))
}

/// Reads `nick;host;port`. The portal checks neither; the static list of the old add-on has
/// commas or semicolons, perhaps a header, and further columns.
///
/// # Errors
/// If it is something else altogether.
pub fn proxies(reader: impl Read) -> Result<(Vec<Proxy>, Faults), Fault> {
    let (mut found, mut faults) = (Vec::new(), Faults::default());
    let mut first = true;
    lines(reader, |place, line| {
        let head = std::mem::take(&mut first);
        let separator = if line.contains(';') { ';' } else { ',' };
        let fields: Vec<&str> = line
            .split(separator)
            .map(|field| field.trim().trim_matches('"'))
            .collect();
        let [nick, host, port, ..] = fields[..] else {
            faults.add(place, format!("{} is not NICK;HOST;PORT", quote(line)));
            return Ok(());
        };
        if head && !port.bytes().any(|b| b.is_ascii_digit()) {
            return Ok(()); // the names of the columns
        }
        match (host_name(host), port.parse()) {
            _ if nick.is_empty() => faults.add(place, "a proxy without a name"),
            (None, _) => faults.add(place, format!("{} is not a host", quote(host))),
            (Some(host), Ok(port)) if port != 0 => found.push(Proxy {
                nick: guifi_core::terminal::tame(nick),
                host,
                port,
            }),
            _ => faults.add(place, format!("{} is not a port", quote(port))),
        }
        Ok(())
    })?;
    match faults.list.first() {
        Some(fault) if found.is_empty() => Err(Fault::fatal(fault.place, fault.text.clone())),
        _ => Ok((found, faults)),
    }
}

/// An IPv4 address or a name; what looks like a number of another kind is neither.
fn host_name(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(address.to_string());
    }
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    dns_name(text).filter(|_| !numeric)
}

/// Reads `ID-MODE`, that of the proxy that asks first.
///
/// # Errors
/// If it is something else, or the portal does not know that proxy.
pub fn federation(reader: impl Read) -> Result<(Vec<Member>, Faults), Fault> {
    let (mut found, mut faults) = (Vec::<Member>::new(), Faults::default());
    lines(reader, |place, line| {
        match member(line) {
            Some(member) if found.is_empty() && member.proxy == 0 => {
                let text = "the portal does not know this proxy, or it does not work yet";
                return Err(Fault::fatal(place, text));
            }
            Some(member) if found.iter().any(|other| other.proxy == member.proxy) => {
                faults.add(place, format!("proxy {} is there twice", member.proxy));
            }
            Some(member) => found.push(member),
            None if found.is_empty() => {
                return Err(Fault::fatal(
                    place,
                    format!("{} is not ID-MODE", quote(line)),
                ));
            }
            None => faults.add(place, format!("{} is not ID-MODE", quote(line))),
        }
        Ok(())
    })?;
    if found.is_empty() {
        return Err(Fault::fatal(None, "there is nothing in it"));
    }
    Ok((found, faults))
}

fn member(line: &str) -> Option<Member> {
    let (proxy, mode) = line.split_once('-')?;
    let digits = !proxy.is_empty() && proxy.len() < 16 && proxy.bytes().all(|b| b.is_ascii_digit());
    let known = ["private", "in", "out", "inout"].contains(&mode);
    (digits && known).then(|| {
        Some(Member {
            proxy: proxy.parse().ok()?,
            mode: mode.to_owned(),
        })
    })?
}

/// Reads a token of freshness: a time, but only good for telling whether it is another one.
///
/// # Errors
/// If it is something else.
pub fn token(reader: impl Read) -> Result<String, Fault> {
    let mut text = String::new();
    reader
        .take(65)
        .read_to_string(&mut text)
        .map_err(|_| Fault::fatal(None, "this is not a token"))?;
    let text = text.trim();
    if (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else if text.starts_with('<') {
        Err(Fault::fatal(None, "this is a web page in place of a token"))
    } else {
        Err(Fault::fatal(None, "this is not a token"))
    }
}

#[cfg(test)]
mod tests;
