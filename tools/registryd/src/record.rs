//! One record of the book: its canonical encoding, hash, signature and limits.
//!
//! The format is specified in net.guifi.Registry1(5), "Records"; test vectors are in
//! `tests/fixtures/records.json`.

use std::sync::Arc;

use ed25519_dalek::{Signature, VerifyingKey};
use guifi_streams::Key;
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::body;
use crate::kinds;

/// What a record signature is made over: this, a zero byte, the content.
pub const CONTEXT: &str = "guifi-record-v1";
/// The largest encoded record in bytes.
pub const MAX_BYTES: usize = 4608;
/// The longest life of a record that expires, in milliseconds: 30 days.
pub const MAX_LIFE_MS: u64 = 30 * 24 * 3600 * 1000;
/// The longest kind, in bytes.
const MAX_KIND_BYTES: usize = 24;
/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 160;

/// A SHA-256 hash: of a record's content, or the identity of a community.
pub type Hash = [u8; 32];

/// What names a record: newer ones of the same key replace older ones.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordKey {
    /// The signing key.
    pub owner: Key,
    /// The kind: `service`, `box`, …
    pub kind: String,
    /// The name within owner and kind.
    pub name: String,
}

impl RecordKey {
    /// What comes before all keys of `owner`.
    #[must_use]
    pub fn first_of(owner: Key) -> Self {
        Self {
            owner,
            kind: String::new(),
            name: String::new(),
        }
    }
}

/// A record whose encoding is canonical and whose limits hold; its signature is checked by
/// [`Record::verify`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The community, zero in its own `founding` record.
    pub community: Hash,
    /// Owner, kind and name.
    pub key: RecordKey,
    /// Community time of writing in milliseconds since 1970 UTC, growing with each version.
    pub version: u64,
    /// End of life in milliseconds since 1970 UTC, 0 for never.
    pub expires: u64,
    /// The encoded body; empty for a removal.
    pub body: Vec<u8>,
    /// SHA-256 of the content.
    pub hash: Hash,
    /// Ed25519 signature by the owner.
    pub signature: [u8; 64],
    /// Bytes of the encoded record.
    pub size: usize,
}

/// A record about to be signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// As in [`Record`].
    pub community: Hash,
    /// As in [`Record`].
    pub key: RecordKey,
    /// As in [`Record`].
    pub version: u64,
    /// As in [`Record`].
    pub expires: u64,
    /// The body, `None` for a removal.
    pub body: Option<Map<String, Value>>,
}

impl Draft {
    /// The bytes that are signed (after [`CONTEXT`] and a zero byte) and hashed.
    ///
    /// # Errors
    /// A sentence if a limit is exceeded.
    pub fn content(&self) -> Result<Vec<u8>, String> {
        let body = match &self.body {
            Some(body) => body::encode(body)?,
            None => Vec::new(),
        };
        let content = encode_content(
            &self.community,
            &self.key,
            self.version,
            self.expires,
            &body,
        );
        check(&self.key, self.version, self.expires, &body)?;
        Ok(content)
    }

    /// The finished record.
    ///
    /// # Errors
    /// As [`Self::content`].
    pub fn sign(
        &self,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], String>,
    ) -> Result<Record, String> {
        let content = self.content()?;
        let signature = sign(&content)?;
        Record::decode(&encode(&content, &signature))
    }
}

fn encode_content(
    community: &Hash,
    key: &RecordKey,
    version: u64,
    expires: u64,
    body: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(120 + key.name.len() + body.len());
    let mut e = Encoder::new(&mut out);
    let written = e
        .array(7)
        .and_then(|e| e.bytes(community))
        .and_then(|e| e.bytes(&key.owner.0))
        .and_then(|e| e.str(&key.kind))
        .and_then(|e| e.str(&key.name))
        .and_then(|e| e.u64(version))
        .and_then(|e| e.u64(expires))
        .and_then(|e| e.bytes(body));
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    out
}

fn encode(content: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 72);
    let mut e = Encoder::new(&mut out);
    let written = e
        .array(2)
        .and_then(|e| e.bytes(content))
        .and_then(|e| e.bytes(signature));
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    out
}

/// The limits that hold whatever the signature says.
fn check(key: &RecordKey, version: u64, expires: u64, body: &[u8]) -> Result<(), String> {
    let kind = &key.kind;
    if kind.is_empty()
        || kind.len() > MAX_KIND_BYTES
        || !kind
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err(format!(
            "{kind:?} is not a kind: 1 to {MAX_KIND_BYTES} of a-z, 0-9 and -"
        ));
    }
    if key.name.len() > MAX_NAME_BYTES {
        return Err(format!("the name has over {MAX_NAME_BYTES} bytes"));
    }
    if key.name.chars().any(char::is_control) {
        return Err("the name has control characters".to_owned());
    }
    if version == 0 || version > (1 << 53) {
        return Err("the version is out of range".to_owned());
    }
    match (kinds::expires(kind), body.is_empty()) {
        (false, true) if kinds::is_final(kind) => Err(format!("a {kind} record cannot be removed")),
        (false, _) if expires != 0 => Err(format!("a {kind} record does not expire")),
        (true, true) if expires != version + MAX_LIFE_MS => {
            Err("a removal lives exactly 30 days".to_owned())
        }
        (true, false) if expires <= version || expires > version + MAX_LIFE_MS => {
            Err("a record lives at least 1 ms and at most 30 days".to_owned())
        }
        _ => Ok(()),
    }
}

impl Record {
    /// Decodes an encoded record; the signature is not checked.
    ///
    /// # Errors
    /// A sentence saying what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!(
                "a record of {} bytes, at most {MAX_BYTES} are allowed",
                bytes.len()
            ));
        }
        let bad = |e: minicbor::decode::Error| format!("not a record: {e}");
        let mut outer = Decoder::new(bytes);
        if outer.array().map_err(bad)? != Some(2) {
            return Err("not a record: not an array of two".to_owned());
        }
        let content = outer.bytes().map_err(bad)?;
        let signature: [u8; 64] = outer
            .bytes()
            .map_err(bad)?
            .try_into()
            .map_err(|_| "the signature does not have 64 bytes".to_owned())?;
        let mut d = Decoder::new(content);
        if d.array().map_err(bad)? != Some(7) {
            return Err("not a record: the content is not an array of seven".to_owned());
        }
        let community = hash_of(d.bytes().map_err(bad)?)?;
        let owner = Key(hash_of(d.bytes().map_err(bad)?)?);
        let kind = d.str().map_err(bad)?.to_owned();
        let name = d.str().map_err(bad)?.to_owned();
        let version = d.u64().map_err(bad)?;
        let expires = d.u64().map_err(bad)?;
        let body = d.bytes().map_err(bad)?.to_vec();
        let key = RecordKey { owner, kind, name };
        check(&key, version, expires, &body)?;
        if !body.is_empty() {
            body::decode(&body)?;
        }
        // One record, one encoding; also refuses trailing bytes.
        if encode_content(&community, &key, version, expires, &body) != content
            || encode(content, &signature) != bytes
        {
            return Err("the record is not encoded canonically".to_owned());
        }
        Ok(Self {
            community,
            key,
            version,
            expires,
            body,
            hash: Sha256::digest(content).into(),
            signature,
            size: bytes.len(),
        })
    }

    /// The encoded record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.content(), &self.signature)
    }

    fn content(&self) -> Vec<u8> {
        encode_content(
            &self.community,
            &self.key,
            self.version,
            self.expires,
            &self.body,
        )
    }

    /// Whether its life is over at community time `now`.
    #[must_use]
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires != 0 && self.expires <= now
    }

    /// Whether the owner signed it (strict Ed25519 of ed25519-dalek `verify_strict`).
    #[must_use]
    pub fn verify(&self) -> bool {
        #[cfg(test)]
        if let Some(known) = crate::testing::share::verdict(self) {
            return known;
        }
        self.verify_now()
    }

    pub(crate) fn verify_now(&self) -> bool {
        verify(self.key.owner, CONTEXT, &self.content(), &self.signature)
    }

    /// Whether it takes the place of `old`, which has the same key: the larger version, then
    /// the larger hash. For a use of an invitation it is the smaller of both, so that of two
    /// uses of one slot the first counts wherever they met.
    #[must_use]
    pub fn replaces(&self, old: &Self) -> bool {
        let order = (self.version, self.hash).cmp(&(old.version, old.hash));
        if self.is_invited() && old.is_invited() {
            order.is_lt()
        } else {
            order.is_gt()
        }
    }

    fn is_invited(&self) -> bool {
        self.key.kind == "member" && self.json().contains_key("invite")
    }

    /// Whether it removes its predecessor.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        self.body.is_empty()
    }

    /// The body as JSON; empty for a removal.
    #[must_use]
    pub fn json(&self) -> Map<String, Value> {
        // Checked when decoded.
        body::read(&self.body).unwrap_or_default()
    }

    /// The record for many to hold; in a simulation all boxes hold the same one.
    #[must_use]
    pub fn shared(self) -> Arc<Self> {
        #[cfg(test)]
        return crate::testing::share::record(self);
        #[cfg(not(test))]
        Arc::new(self)
    }
}

fn hash_of(bytes: &[u8]) -> Result<Hash, String> {
    bytes
        .try_into()
        .map_err(|_| "a key or hash does not have 32 bytes".to_owned())
}

/// Strict Ed25519 verification of `context`, a zero byte and `message`.
#[must_use]
pub fn verify(key: Key, context: &str, message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&key.0) else {
        return false;
    };
    let mut signed = Vec::with_capacity(context.len() + 1 + message.len());
    signed.extend_from_slice(context.as_bytes());
    signed.push(0);
    signed.extend_from_slice(message);
    key.verify_strict(&signed, &Signature::from_bytes(signature))
        .is_ok()
}

#[cfg(test)]
mod tests;
