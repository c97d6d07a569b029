//! Domain names in wire form (RFC 1035 section 3.1) and their text form with escapes
//! (section 5.1; RFC 6763 section 4.3 for instance names).

use std::fmt;
use std::fmt::Write as _;

/// The most octets a name has on the wire, root label included.
pub const MAX_NAME: usize = 255;
/// The most octets a label has.
pub const MAX_LABEL: usize = 63;

/// A complete name in wire form, uncompressed, as written (comparison is up to the user of
/// [`Name::lower`]).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The root.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// The name of `labels`, the most specific first; `None` if one is empty or over 63 octets,
    /// or the whole over 255.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut wire, label)?;
        }
        wire.push(0);
        (wire.len() <= MAX_NAME).then(|| Self(wire.into_boxed_slice()))
    }

    /// Reads the text form; a last dot is not needed. `None` if it is not a name.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text == "." {
            return Some(Self::root());
        }
        let bytes = text.as_bytes();
        let (mut labels, mut label) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'.' => labels.push(std::mem::take(&mut label)),
                b'\\' => {
                    let (octet, used) = unescape(bytes.get(at + 1..)?)?;
                    label.push(octet);
                    at += used;
                }
                octet => label.push(octet),
            }
            at += 1;
        }
        if !label.is_empty() {
            labels.push(label);
        }
        Self::from_labels(labels.iter().map(Vec::as_slice))
    }

    /// Takes over wire form that was checked before: labels, then the root label.
    pub(crate) fn from_wire(wire: &[u8]) -> Self {
        Self(wire.into())
    }

    /// This name below which `label` is put in front.
    pub fn child(&self, label: &[u8]) -> Option<Self> {
        Self::from_labels(std::iter::once(label).chain(self.labels()))
    }

    /// The wire form.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels, the most specific first.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            if length == 0 {
                return None;
            }
            let (label, tail) = tail.split_at_checked(usize::from(length))?;
            rest = tail;
            Some(label)
        })
    }

    /// The same name with ASCII letters in lower case.
    #[must_use]
    pub fn lower(&self) -> Self {
        Self(self.0.to_ascii_lowercase().into_boxed_slice())
    }

    /// What stands in front of `suffix` (both compared octet by octet), without a root label;
    /// `None` if this name is not at or below it.
    pub fn below<'a>(&'a self, suffix: &Name) -> Option<&'a [u8]> {
        let cut = self.0.len().checked_sub(suffix.0.len())?;
        let mut at = 0;
        while at < cut {
            at += 1 + usize::from(self.0[at]);
        }
        (at == cut && self.0[cut..] == *suffix.0).then(|| &self.0[..cut])
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_char('.');
        }
        for label in self.labels() {
            write_label(f, label)?;
            f.write_char('.')?;
        }
        Ok(())
    }
}

/// Adds `label` with its length to `wire`.
pub(crate) fn push_label(wire: &mut Vec<u8>, label: &[u8]) -> Option<()> {
    let length = u8::try_from(label.len())
        .ok()
        .filter(|&l| (1..=MAX_LABEL as u8).contains(&l))?;
    wire.push(length);
    wire.extend_from_slice(label);
    Some(())
}

/// The octet that the text after a backslash stands for, and how many characters it takes.
pub(crate) fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    let first = *text.first()?;
    if !first.is_ascii_digit() {
        return Some((first, 1));
    }
    let digits = text.get(..3)?;
    let value = digits.iter().try_fold(0u16, |value, d| {
        d.is_ascii_digit().then(|| value * 10 + u16::from(d - b'0'))
    })?;
    Some((u8::try_from(value).ok()?, 3))
}

/// Writes one label with the escapes of a master file.
pub(crate) fn write_label(f: &mut impl fmt::Write, label: &[u8]) -> fmt::Result {
    for &octet in label {
        match octet {
            b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                f.write_char('\\')?;
                f.write_char(char::from(octet))?;
            }
            0x21..=0x7e => f.write_char(char::from(octet))?,
            _ => write!(f, "\\{octet:03}")?,
        }
    }
    Ok(())
}

/// Whether `label` is a host label (RFC 1123): letters, digits and inner hyphens.
pub fn is_host_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Splits a service type (`_http._tcp`) into its two labels; `None` if RFC 6335 does not
/// allow it, or DNS-SD uses it itself.
pub fn service_type(text: &str) -> Option<(&str, &str)> {
    let (service, protocol) = text.split_once('.')?;
    if !matches!(protocol, "_tcp" | "_udp") {
        return None;
    }
    let plain = service.strip_prefix('_')?;
    let good = is_host_label(plain)
        && plain.len() <= 15
        && plain.bytes().any(|b| b.is_ascii_alphabetic())
        && !plain.contains("--")
        && plain != "dns-sd";
    good.then_some((service, protocol))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_with_escapes_is_read_and_written() {
        for text in [
            r"Photos._http._tcp.vic.osona.internal.",
            r#"Dr\.\032No\032\"7\".x."#,
            r"\\.a.",
            r"\240\159\142\165.b.",
        ] {
            assert_eq!(Name::parse(text).unwrap().to_string(), text);
        }
        let name = Name::parse(r"a\.b.c").unwrap();
        assert_eq!(name.labels().collect::<Vec<_>>(), [&b"a.b"[..], &b"c"[..]]);
        assert_eq!(Name::parse("").unwrap(), Name::root());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "x".repeat(64);
        let many = "abcdefg.".repeat(32);
        for text in ["a..b", ".a", r"a\", r"a\25", r"a\256", &long, &many] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }

    #[test]
    fn below_counts_whole_labels_only() {
        let parent = Name::parse("vic.d").unwrap();
        let name = |t| Name::parse(t).unwrap();
        assert_eq!(name("a.vic.d").below(&parent), Some(&b"\x01a"[..]));
        assert_eq!(name("vic.d").below(&parent), Some(&b""[..]));
        assert_eq!(name("xvic.d").below(&parent), None);
        assert_eq!(name("d").below(&parent), None);
        // The octets of `vic.d` stand inside a label here.
        let tricky = Name::from_labels([&b"x\x03vic\x01d"[..]]).unwrap();
        assert_eq!(tricky.below(&parent), None);
    }

    #[test]
    fn service_types_follow_rfc_6335() {
        for good in ["_http._tcp", "_x-1._udp", "_a23456789012345._tcp"] {
            assert!(service_type(good).is_some(), "{good}");
        }
        for bad in [
            "http._tcp",
            "_http._sctp",
            "_http",
            "_._tcp",
            "_1._tcp",
            "_a--b._tcp",
            "_-a._tcp",
            "_a234567890123456._tcp",
            "_dns-sd._udp",
            "_http._tcp.x",
        ] {
            assert!(service_type(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_labels_survive_text(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)) {
            let name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(Name::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,300}") {
            let _ = Name::parse(&text);
        }
    }
}
