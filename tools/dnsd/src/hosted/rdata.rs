//! The data of records as text: read by type (RFC 1035 section 5.1 and the RFC of each type).

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::RecordType;
use hickory_proto::serialize::txt::Parser;

use super::file::time;
use super::lex::Token;
use super::rrset::from_wire;
use crate::encode::rtype;
use crate::name::{Name, unescape};

/// What names without a last dot are relative to.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a>(pub &'a Name);

impl Origin<'_> {
    /// The name that `text` stands for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn name(self, text: &str) -> Result<Name, String> {
        if text == "@" {
            return Ok(self.0.clone());
        }
        let wrong = || format!("'{text}' is no name");
        let name = Name::parse(text)
            .filter(|_| !text.is_empty())
            .ok_or_else(wrong)?;
        let absolute = text.ends_with('.') && !text.ends_with(r"\.");
        if absolute {
            return Ok(name);
        }
        Name::from_labels(name.labels().chain(self.0.labels()))
            .ok_or_else(|| format!("'{text}' is too long a name"))
    }
}

/// The number of a type, by its name or as `TYPE…` (RFC 3597 section 5); none of those that
/// only exist in questions or messages.
pub fn rtype(text: &str) -> Option<u16> {
    let upper = text.to_ascii_uppercase();
    let number = match upper.strip_prefix("TYPE") {
        Some(number) => number.parse().ok()?,
        None => upper.parse::<RecordType>().ok()?.into(),
    };
    stored(number).then_some(number)
}

/// Whether records of a type can stand in a zone.
pub fn stored(rtype: u16) -> bool {
    !matches!(rtype, 0 | rtype::OPT | 128..=255 | 65535)
}

/// The data of a record of `rtype` in wire form.
///
/// # Errors
/// What is wrong with it.
pub fn read(rtype: u16, tokens: &[Token<'_>], origin: Origin<'_>) -> Result<Box<[u8]>, String> {
    let words: Vec<&str> = tokens.iter().map(Token::as_str).collect();
    if let [r"\#", length, digits @ ..] = &words[..] {
        return generic(length, digits);
    }
    let data: Vec<u8> = match (rtype, &words[..]) {
        (rtype::A, [address]) => address
            .parse::<Ipv4Addr>()
            .map_err(|_| format!("'{address}' is no IPv4 address"))?
            .octets()
            .into(),
        (rtype::AAAA, [address]) => address
            .parse::<Ipv6Addr>()
            .map_err(|_| format!("'{address}' is no IPv6 address"))?
            .octets()
            .into(),
        (rtype::NS | rtype::CNAME | rtype::PTR, [name]) => origin.name(name)?.wire().into(),
        (rtype::MX, [preference, name]) => [
            &number::<u16>(preference)?.to_be_bytes()[..],
            origin.name(name)?.wire(),
        ]
        .concat(),
        (rtype::SRV, [priority, weight, port, name]) => {
            let mut data = Vec::new();
            for word in [priority, weight, port] {
                data.extend_from_slice(&number::<u16>(word)?.to_be_bytes());
            }
            data.extend_from_slice(origin.name(name)?.wire());
            data
        }
        (rtype::SOA, [server, mailbox, serial, times @ ..]) if times.len() == 4 => {
            let mut data = [origin.name(server)?.wire(), origin.name(mailbox)?.wire()].concat();
            data.extend_from_slice(&number::<u32>(serial)?.to_be_bytes());
            for word in times {
                let seconds = time(word).ok_or_else(|| format!("'{word}' is no time"))?;
                data.extend_from_slice(&seconds.to_be_bytes());
            }
            data
        }
        (rtype::TXT, [_, ..]) => strings(&words)?,
        (rtype::A | rtype::AAAA | rtype::NS | rtype::CNAME | rtype::PTR | rtype::MX, _)
        | (rtype::SRV | rtype::SOA | rtype::TXT, _) => {
            return Err(format!("{} has the wrong number of words", text(rtype)));
        }
        _ => return rare(rtype, tokens),
    };
    Ok(data.into())
}

/// A type as people write it.
pub fn text(rtype: u16) -> String {
    match RecordType::from(rtype) {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse()
        .map_err(|_| format!("'{word}' is no number of this field"))
}

fn generic(length: &str, digits: &[&str]) -> Result<Box<[u8]>, String> {
    let length: u16 = number(length)?;
    let text = digits.concat();
    let data = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| "the data behind \\# is not hexadecimal".to_owned())?;
    if data.len() != usize::from(length) {
        return Err(format!(
            "the data behind \\# has {} octets, not {length}",
            data.len()
        ));
    }
    Ok(data.into())
}

fn strings(words: &[&str]) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    for word in words {
        let octets = octets(word).ok_or_else(|| format!("'{word}' has a wrong escape"))?;
        let length = u8::try_from(octets.len());
        data.push(length.map_err(|_| "a string has over 255 octets".to_owned())?);
        data.extend_from_slice(&octets);
    }
    if data.len() > usize::from(u16::MAX) {
        return Err("the strings have over 65,535 octets".into());
    }
    Ok(data)
}

fn octets(word: &str) -> Option<Vec<u8>> {
    let bytes = word.as_bytes();
    let mut octets = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&octet) = bytes.get(at) {
        if octet == b'\\' {
            let (octet, used) = unescape(bytes.get(at + 1..)?)?;
            octets.push(octet);
            at += used;
        } else {
            octets.push(octet);
        }
        at += 1;
    }
    Some(octets)
}

/// Types that hickory knows and we do not: one record in a file of its own.
fn rare(rtype: u16, tokens: &[Token<'_>]) -> Result<Box<[u8]>, String> {
    let words: Vec<String> = tokens
        .iter()
        .map(|token| {
            let word = token.as_str();
            if token.quoted {
                format!("\"{word}\"")
            } else {
                word.to_owned()
            }
        })
        .collect();
    let name = text(rtype);
    let line = format!(". 1 IN {name} {}\n", words.join(" "));
    let root = hickory_proto::rr::Name::root();
    let parsed = Parser::new(line, None, Some(root)).parse();
    let (_, sets) = parsed.map_err(|e| {
        format!("cannot read the data of type {name}: {e}; \\# takes any (RFC 3597)")
    })?;
    let record = sets
        .values()
        .flat_map(|set| set.records_without_rrsigs())
        .next();
    let record = record
        .and_then(from_wire)
        .filter(|record| record.rtype == rtype);
    record
        .map(|record| record.data)
        .ok_or_else(|| format!("cannot keep the data of type {name}"))
}
