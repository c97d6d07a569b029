//! Capabilities as text.

use std::fmt;

use super::{Cap, Format, Object};
use crate::base32;

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(object) => object.write(f, false),
            Self::Directory(object) => object.write(f, true),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

impl Object {
    fn write(&self, f: &mut fmt::Formatter<'_>, directory: bool) -> fmt::Result {
        let prefix = if directory { "DIR2-" } else { "" };
        match self {
            Self::Literal(data) => write!(f, "URI:{prefix}LIT:{}", base32::encode(data)),
            Self::Chk(cap) => {
                write!(f, "URI:{prefix}CHK:{}:", base32::encode(&cap.key))?;
                write!(f, "{}:", base32::encode(&cap.ueb_hash))?;
                numbers(f, cap.encoding, cap.size)
            }
            Self::ChkVerifier(cap) => {
                let index = base32::encode(&cap.storage_index);
                write!(f, "URI:{prefix}CHK-Verifier:{index}:")?;
                write!(f, "{}:", base32::encode(&cap.ueb_hash))?;
                numbers(f, cap.encoding, cap.size)
            }
            Self::Write(cap) => {
                let kind = mutable_kind(cap.format, directory);
                two(f, kind, "", &cap.writekey, &cap.fingerprint)
            }
            Self::Read(cap) => {
                let kind = mutable_kind(cap.format, directory);
                two(f, kind, "-RO", &cap.readkey, &cap.fingerprint)
            }
            Self::Verifier(cap) => {
                let kind = mutable_kind(cap.format, directory);
                two(f, kind, "-Verifier", &cap.storage_index, &cap.fingerprint)
            }
        }
    }
}

fn mutable_kind(format: Format, directory: bool) -> &'static str {
    match (format, directory) {
        (Format::Sdmf, false) => "SSK",
        (Format::Sdmf, true) => "DIR2",
        (Format::Mdmf, false) => "MDMF",
        (Format::Mdmf, true) => "DIR2-MDMF",
    }
}

fn two(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    right: &str,
    first: &[u8; 16],
    fingerprint: &[u8; 32],
) -> fmt::Result {
    let (first, second) = (base32::encode(first), base32::encode(fingerprint));
    write!(f, "URI:{kind}{right}:{first}:{second}")
}

fn numbers(f: &mut fmt::Formatter<'_>, encoding: crate::Encoding, size: u64) -> fmt::Result {
    write!(f, "{}:{}:{size}", encoding.needed(), encoding.total())
}
