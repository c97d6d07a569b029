//! Capabilities from text.

use std::str::FromStr;

use super::{Cap, Chk, ChkVerifier, Format, MAX_LENGTH, Object, Read, Verifier, Write};
use crate::{Encoding, Error, base32};

/// Which kinds of file a mark promises.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    ReadOnly,
    Immutable,
}

impl FromStr for Cap {
    type Err = Error;

    /// # Errors
    /// If the text is too long, is marked as less than it is, or has the beginning of a known
    /// kind but not its form.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            return Err(Error::Cap("longer than 4096 bytes"));
        }
        if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Error::Cap("empty, or with control characters"));
        }
        let (mark, bare) = if let Some(rest) = text.strip_prefix("ro.") {
            (Mark::ReadOnly, rest)
        } else if let Some(rest) = text.strip_prefix("imm.") {
            (Mark::Immutable, rest)
        } else {
            (Mark::None, text)
        };
        let cap = match known(bare)? {
            Some(cap) => cap,
            None => return Ok(Self::Unknown(text.to_owned())),
        };
        let less = cap.object().is_some_and(|object| match mark {
            Mark::None => false,
            Mark::ReadOnly => object.may_write(),
            Mark::Immutable => object.is_mutable(),
        });
        if less {
            return Err(Error::Cap("it allows more than its mark 'ro.' or 'imm.'"));
        }
        Ok(cap)
    }
}

/// The capability, `None` if its kind is not known.
fn known(text: &str) -> Result<Option<Cap>, Error> {
    let Some(rest) = text.strip_prefix("URI:") else {
        return Ok(None);
    };
    let Some((kind, fields)) = rest.split_once(':') else {
        return Ok(None);
    };
    let Some((directory, kind)) = file_kind(kind) else {
        return Ok(None);
    };
    let object = match kind {
        "LIT" => base32::decode(fields).map(Object::Literal),
        "CHK" => chk(fields)?.map(Object::Chk),
        "CHK-Verifier" => chk_verifier(fields)?.map(Object::ChkVerifier),
        _ => mutable(kind, fields),
    };
    let object = object.ok_or(Error::Cap("a field of it is wrong or missing"))?;
    Ok(Some(if directory {
        Cap::Directory(object)
    } else {
        Cap::File(object)
    }))
}

/// Whether a kind is of directories, and the kind of its file.
fn file_kind(kind: &str) -> Option<(bool, &str)> {
    Some(match kind {
        "LIT" | "CHK" | "CHK-Verifier" | "SSK" | "SSK-RO" | "SSK-Verifier" | "MDMF" | "MDMF-RO"
        | "MDMF-Verifier" => (false, kind),
        "DIR2" => (true, "SSK"),
        "DIR2-RO" => (true, "SSK-RO"),
        "DIR2-Verifier" => (true, "SSK-Verifier"),
        "DIR2-LIT" | "DIR2-CHK" | "DIR2-CHK-Verifier" | "DIR2-MDMF" | "DIR2-MDMF-RO"
        | "DIR2-MDMF-Verifier" => (true, kind.trim_start_matches("DIR2-")),
        _ => return None,
    })
}

fn chk(fields: &str) -> Result<Option<Chk>, Error> {
    let Some(((key, ueb_hash), rest)) = two(fields) else {
        return Ok(None);
    };
    let Some((encoding, size)) = numbers(rest)? else {
        return Ok(None);
    };
    Ok(Some(Chk {
        key,
        ueb_hash,
        encoding,
        size,
    }))
}

fn chk_verifier(fields: &str) -> Result<Option<ChkVerifier>, Error> {
    // The same fields, but that the first is the storage index.
    Ok(chk(fields)?.map(|cap| ChkVerifier {
        storage_index: cap.key,
        ueb_hash: cap.ueb_hash,
        encoding: cap.encoding,
        size: cap.size,
    }))
}

fn mutable(kind: &str, fields: &str) -> Option<Object> {
    let ((first, fingerprint), rest) = two(fields)?;
    let (format, right) = match kind.split_once('-') {
        Some((name, right)) => (name, right),
        None => (kind, ""),
    };
    let format = if format == "MDMF" {
        Format::Mdmf
    } else {
        Format::Sdmf
    };
    if !rest.is_empty() && format == Format::Sdmf {
        return None;
    }
    Some(match right {
        "" => Object::Write(Write {
            format,
            writekey: first,
            fingerprint,
        }),
        "RO" => Object::Read(Read {
            format,
            readkey: first,
            fingerprint,
        }),
        _ => Object::Verifier(Verifier {
            format,
            storage_index: first,
            fingerprint,
        }),
    })
}

/// A key or storage index, and a hash.
type Two = ([u8; 16], [u8; 32]);

/// The two values that most kinds begin with, and what follows them with its colon.
fn two(fields: &str) -> Option<(Two, &str)> {
    let (first, rest) = fields.split_once(':')?;
    let (second, rest) = match rest.find(':') {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let values = (base32::decode_array(first)?, base32::decode_array(second)?);
    Some((values, rest))
}

/// Needed shares, all shares and size, each after a colon.
fn numbers(rest: &str) -> Result<Option<(Encoding, u64)>, Error> {
    let mut parts = rest.split(':');
    let (Some(""), Some(needed), Some(total), Some(size), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Ok(None);
    };
    let (Some(needed), Some(total), Some(size)) = (number(needed), number(total), number(size))
    else {
        return Ok(None);
    };
    let small = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
    Ok(Some((Encoding::new(small(needed), small(total))?, size)))
}

/// A number as it would be printed: digits without leading zeros.
fn number(text: &str) -> Option<u64> {
    let canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}
