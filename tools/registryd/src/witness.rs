//! Statements that a box was met at an address, each signed by another member; they are
//! carried in the `box` record. Specified in net.guifi.Registry1(5), "Witnesses"; test vectors
//! are in `tests/fixtures/witnesses.json`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use data_encoding::BASE32_NOPAD;
use guifi_streams::{Key, context};
use minicbor::Encoder;
use serde_json::{Map, Value};

use crate::net::is_reachable;
use crate::record::{Hash, Record, verify};
use crate::rules::Ruling;
use crate::time::TOLERANCE_MS;

/// The most statements of one `box` record.
pub const MAX: usize = 4;
/// How long before the `box` record a statement may have been made: 90 days. Addresses change
/// hands.
const VALID_MS: u64 = 90 * 24 * 3600 * 1000;

/// A statement of `by` that it met a box at an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// Where the box was met.
    pub address: IpAddr,
    /// Who says so.
    pub by: Key,
    /// When, in milliseconds of community time.
    pub time: u64,
    /// Its signature over [`message`].
    pub signature: [u8; 64],
}

/// What a witness signs, after the context and a zero byte: the CBOR array of the community,
/// the key that was met, the address (4 or 16 bytes) and the time in milliseconds.
#[must_use]
pub fn message(community: &Hash, subject: Key, address: IpAddr, time: u64) -> Vec<u8> {
    let octets = match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let mut out = Vec::with_capacity(100);
    let written = Encoder::new(&mut out)
        .array(4)
        .and_then(|e| e.bytes(community))
        .and_then(|e| e.bytes(&subject.0))
        .and_then(|e| e.bytes(&octets))
        .and_then(|e| e.u64(time).map(|_| ()));
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    out
}

impl Statement {
    /// What a box answers that is asked for one; `by` is that box.
    #[must_use]
    pub fn read(map: &Map<String, Value>, by: Key) -> Option<Self> {
        let text = |member: &str| map.get(member)?.as_str();
        let signature = text("signature")?.to_ascii_uppercase();
        Some(Self {
            address: text("address")?.parse().ok()?,
            by,
            time: map.get("time")?.as_u64()?,
            signature: BASE32_NOPAD
                .decode(signature.as_bytes())
                .ok()?
                .try_into()
                .ok()?,
        })
    }

    fn read_listed(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        Self::read(map, map.get("by")?.as_str()?.parse().ok()?)
    }

    /// The answer of a box that is asked for one.
    #[must_use]
    pub fn answer(&self) -> Map<String, Value> {
        let signature = BASE32_NOPAD.encode(&self.signature).to_ascii_lowercase();
        let mut map = Map::new();
        map.insert("address".into(), self.address.to_string().into());
        map.insert("time".into(), self.time.into());
        map.insert("signature".into(), signature.into());
        map
    }

    /// The statement in a `box` record.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut map = self.answer();
        map.insert("by".into(), self.by.to_string().into());
        Value::Object(map)
    }

    /// Whether `by` signed it, about `subject`.
    #[must_use]
    pub fn verify(&self, community: &Hash, subject: Key) -> bool {
        let message = message(community, subject, self.address, self.time);
        verify(self.by, context::WITNESS, &message, &self.signature)
    }

    /// Whether it may stand in a record written at `version`, in milliseconds.
    #[must_use]
    pub fn is_timely(&self, version: u64) -> bool {
        self.time <= version.saturating_add(TOLERANCE_MS)
            && self.time.saturating_add(VALID_MS) >= version
    }

    /// Whether it counts for the box of `subject`: made by a member, by the key that it uses
    /// now, and not by the box itself.
    #[must_use]
    pub fn counts(&self, ruling: &Ruling, subject: Key) -> bool {
        ruling.is_member(self.by) && ruling.identity(self.by) != ruling.identity(subject)
    }
}

/// The statements of all `box` records that are signed as they should be, by owner. A signature
/// is checked once, not with every renewal of the record that carries it.
#[derive(Debug, Default)]
pub struct Witnesses(BTreeMap<Key, Vec<Statement>>);

impl Witnesses {
    /// Takes up a record of kind `box` in place of its predecessor.
    pub fn learn(&mut self, record: &Record) {
        let owner = record.key.owner;
        let known = self.0.remove(&owner).unwrap_or_default();
        let body = record.json();
        let list = |member: &str| {
            let list = body.get("spine").and_then(|s| s.get(member)?.as_array());
            list.map(Vec::as_slice).unwrap_or_default().iter()
        };
        let addresses: Vec<IpAddr> = list("addresses")
            .filter_map(|a| a.as_str()?.parse().ok())
            .filter(is_reachable)
            .collect();
        let good: Vec<Statement> = list("witnesses")
            .take(MAX)
            .filter_map(Statement::read_listed)
            .filter(|s| addresses.contains(&s.address) && s.is_timely(record.version))
            .filter(|s| known.contains(s) || s.verify(&record.community, owner))
            .collect();
        if !good.is_empty() {
            self.0.insert(owner, good);
        }
    }

    /// The record is gone.
    pub fn forget(&mut self, owner: Key) {
        self.0.remove(&owner);
    }

    /// The statements about the box of `owner` that count, in the order of its record.
    pub fn of<'a>(
        &'a self,
        owner: Key,
        ruling: &'a Ruling,
    ) -> impl Iterator<Item = &'a Statement> + 'a {
        let statements = self.0.get(&owner).into_iter().flatten();
        statements.filter(move |s| s.counts(ruling, owner))
    }
}

#[cfg(test)]
mod tests;
