//! What a file is, told by its content.

use std::io::{BufRead as _, BufReader, Read};

use crate::fault::{Fault, quote};
use crate::xml::{Step, Xml};

/// The kinds of data.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Zones with everything in them.
    Cnml,
    /// Proxies of a zone.
    Proxies,
    /// What proxies let in whose users.
    Federation,
    /// Domains of a DNS service.
    Domains,
    /// All addresses.
    Addresses,
}

impl Kind {
    /// All, in the order of fetching.
    pub const ALL: [Self; 5] = [
        Self::Cnml,
        Self::Domains,
        Self::Proxies,
        Self::Federation,
        Self::Addresses,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cnml => "cnml",
            Self::Proxies => "proxies",
            Self::Federation => "federation",
            Self::Domains => "domains",
            Self::Addresses => "addresses",
        }
    }

    /// The kind of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Looks at the beginning of a file.
///
/// # Errors
/// If it is none of ours.
pub fn recognise(reader: impl Read) -> Result<Kind, Fault> {
    let mut reader = BufReader::new(reader);
    let begin = reader
        .fill_buf()
        .map_err(|e| Fault::fatal(None, e.to_string()))?;
    let text = String::from_utf8_lossy(&begin[..begin.len().min(4096)]).into_owned();
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.starts_with('<') {
        return of_xml(reader);
    }
    let line = text.lines().next().unwrap_or_default().trim();
    let mode = line.split_once('-').map(|(_, mode)| mode);
    match mode {
        _ if line.is_empty() => Err(Fault::fatal(None, "there is nothing in it")),
        Some("private" | "in" | "out" | "inout") => Ok(Kind::Federation),
        _ if line.matches([';', ',']).count() >= 2 => Ok(Kind::Proxies),
        _ => Err(Fault::fatal(
            None,
            format!("{} begins no data of the portal", quote(line)),
        )),
    }
}

fn of_xml(reader: impl Read) -> Result<Kind, Fault> {
    let mut xml = Xml::new(reader);
    let mut root = true;
    loop {
        match xml.step()? {
            Step::Open => match (root, xml.name()) {
                (true, "cnml") => root = false,
                (true, name) => {
                    let text = if name.eq_ignore_ascii_case("html") {
                        "this is a web page".to_owned()
                    } else {
                        format!("the root is {} in place of 'cnml'", quote(name))
                    };
                    return Err(Fault::fatal(xml.place(), text));
                }
                (false, "domains") => return Ok(Kind::Domains),
                (false, "subnet") => return Ok(Kind::Addresses),
                (false, "class" | "network" | "node") => return Ok(Kind::Cnml),
                (false, _) => {}
            },
            Step::Close => {}
            Step::End => return Err(Fault::fatal(None, "there is nothing in it")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_kind_is_known_by_its_content() {
        for (text, kind) in [
            (
                include_str!("../../../tests/fixtures/portal/detail.xml"),
                Kind::Cnml,
            ),
            (
                include_str!("../../../tests/fixtures/portal/domains.xml"),
                Kind::Domains,
            ),
            (
                include_str!("../../../tests/fixtures/portal/ips.xml"),
                Kind::Addresses,
            ),
            (
                include_str!("../../../tests/fixtures/portal/csvproxy.csv"),
                Kind::Proxies,
            ),
            (
                include_str!("../../../tests/fixtures/portal/federation.txt"),
                Kind::Federation,
            ),
            ("\u{feff}name,host,port\na,b,1\n", Kind::Proxies),
            ("<cnml><node id='1'/></cnml>", Kind::Cnml),
        ] {
            assert_eq!(recognise(text.as_bytes()).unwrap(), kind);
            assert_eq!(Kind::of(kind.word()), Some(kind));
        }
        for text in [
            "",
            " \n",
            "1706662800",
            "<html/>",
            "<!DOCTYPE html>",
            "<cnml/>",
            "hello",
        ] {
            assert!(recognise(text.as_bytes()).is_err(), "{text}");
        }
    }
}
