//! What a storage server says of itself: the body of a registry record of the kind `storage`
//! (guifi-storage-record(5)), and an entry of Tahoe's `servers.yaml`.
//!
//! Source of the latter: `docs/configuration.rst`, "Static Server Definitions"; readers of
//! 1.20 leave an entry without a FURL out, so there is one even if nobody answers Foolscap.

mod nurl;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::base32;
pub use nurl::Nurl;

/// The kind of the record.
pub const KIND: &str = "storage";
/// The name of the record: a box has one server.
pub const NAME: &str = "storage";
/// How many addresses of a server are read.
pub const MAX_NURLS: usize = 8;

/// A text that is not what it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invalid(&'static str);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Invalid {}

/// Identity of a server: `v0-` and an Ed25519 public key in base 32.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ServerId(pub [u8; 32]);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v0-{}", base32::encode(&self.0))
    }
}

impl std::str::FromStr for ServerId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.strip_prefix("v0-")
            .and_then(base32::decode_array)
            .map(Self)
            .ok_or(Invalid("a server's identity is v0- and 52 characters"))
    }
}

/// A storage server, as others find it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Announcement {
    /// Who it is.
    #[serde(deserialize_with = "parsed", serialize_with = "printed")]
    pub server: ServerId,
    /// SHA-1 of the first certificate (DER). Secrets of leases and write enablers are derived
    /// from it, so it never changes.
    #[serde(with = "base32_bytes")]
    pub tubid: [u8; 20],
    /// Orders the servers for a storage index.
    #[serde(with = "base32_bytes")]
    pub seed: [u8; 32],
    /// For people.
    #[serde(default)]
    pub nickname: String,
    /// Where it is reached, the best first. None: only by a stream to the owner of the record.
    #[serde(default, deserialize_with = "known_nurls")]
    pub nurls: Vec<Nurl>,
    /// What its owner gives, in bytes.
    #[serde(default)]
    pub given_bytes: u64,
    /// What was free of it when it was announced, in bytes; the server knows better.
    #[serde(default)]
    pub free_bytes: u64,
    /// Whatever else the record has.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl Announcement {
    /// Reads the body of a record.
    ///
    /// # Errors
    /// If a member is missing or wrong; addresses of unknown forms are left out.
    pub fn from_body(body: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(body)
    }

    /// The body of the record.
    ///
    /// # Errors
    /// None are known.
    pub fn to_body(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    /// The FURL: its tubid is what counts, since nobody answers Foolscap there.
    #[must_use]
    pub fn furl(&self) -> String {
        let tubid = base32::encode(&self.tubid);
        match self.nurls.first() {
            Some(nurl) => {
                let place = nurl::place(&nurl.host, nurl.port);
                format!("pb://{tubid}@tcp:{place}/{}", nurl.swissnum)
            }
            None => format!("pb://{tubid}@tcp:127.0.0.1:1/none"),
        }
    }
}

/// `servers.yaml` with these servers, as official clients read it in `private/`.
#[must_use]
pub fn servers_yaml<'a>(servers: impl IntoIterator<Item = &'a Announcement>) -> String {
    let mut text = String::from("storage:\n");
    let none = text.len();
    for server in servers {
        // A JSON text is a YAML text.
        let nickname = Value::String(server.nickname.clone());
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "  {}:\n    ann:\n      nickname: {nickname}\n      anonymous-storage-FURL: \"{}\"\n      \
             permutation-seed-base32: {}\n      anonymous-storage-NURLs:",
            server.server,
            server.furl(),
            base32::encode(&server.seed)
        );
        if server.nurls.is_empty() {
            text.push_str(" []");
        }
        for nurl in &server.nurls {
            let _ = write!(text, "\n        - \"{nurl}\"");
        }
        text.push('\n');
    }
    if text.len() == none {
        text.truncate(none - 1);
        text.push_str(" {}\n");
    }
    text
}

fn parsed<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err = Invalid>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(serde::de::Error::custom)
}

fn printed<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Those that can be read: later programs may have other forms beside.
fn known_nurls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Nurl>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let known = texts.iter().filter_map(|text| text.parse().ok());
    Ok(known.take(MAX_NURLS).collect())
}

mod base32_bytes {
    use super::{Deserialize as _, Deserializer, Serializer, base32};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&base32::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        from: D,
    ) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(from)?;
        base32::decode_array(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("{N} bytes in base 32 are wanted")))
    }
}
