//! Keys and records for tests.
#![allow(clippy::unwrap_used)]

pub(crate) mod share;

use ed25519_dalek::{Signer as _, SigningKey};
use guifi_streams::Key;
use serde_json::{Map, Value, json};

use crate::kinds;
use crate::record::{CONTEXT, Draft, Hash, MAX_LIFE_MS, Record, RecordKey};

/// A box's key in a test.
#[derive(Clone)]
pub(crate) struct Signer(SigningKey);

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    /// One of as many as a test needs.
    pub(crate) fn numbered(number: usize) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        Self(SigningKey::from_bytes(&seed))
    }

    pub(crate) fn key(&self) -> Key {
        Key(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.0
            .sign(&[context.as_bytes(), &[0], message].concat())
            .to_bytes()
    }

    /// A signed record that lives as long as it may; a null body makes a removal.
    pub(crate) fn record(
        &self,
        community: Hash,
        kind: &str,
        name: &str,
        version: u64,
        body: Value,
    ) -> Record {
        let expires = if kinds::expires(kind) {
            version + MAX_LIFE_MS
        } else {
            0
        };
        let body: Option<Map<String, Value>> = body.as_object().cloned();
        let key = RecordKey {
            owner: self.key(),
            kind: kind.into(),
            name: name.into(),
        };
        Draft {
            community,
            key,
            version,
            expires,
            body,
        }
        .sign(|content| Ok(self.sign(CONTEXT, content)))
        .unwrap()
    }

    /// The founding record of a community that this key founds with `others`.
    pub(crate) fn found(&self, policy: &str, others: &[&Self]) -> Record {
        let administrators: Vec<String> = std::iter::once(self)
            .chain(others.iter().copied())
            .map(|s| s.key().to_string())
            .collect();
        self.record(
            [0; 32],
            "founding",
            "founding",
            1000,
            json!({
                "name": "osona", "domain": "osona.internal", "policy": policy,
                "administrators": administrators, "terms": "Be kind.",
            }),
        )
    }
}
