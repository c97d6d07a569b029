//! Changes of key: chains of `rotate` records, and the identities they make.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE32_NOPAD;
use guifi_streams::Key;

use super::text;
use crate::kinds;
use crate::record::{Hash, Record, verify};

/// The context of the new key's signature in a rotation and of a countersignature on the use
/// of an invitation.
pub const CLAIM_CONTEXT: &str = "guifi-claim-v1";

/// All valid rotations.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Rotations {
    /// Old key to (new key, version of the rotation).
    next: BTreeMap<Key, BTreeMap<Key, u64>>,
    /// New key to old key.
    previous: BTreeMap<Key, Key>,
    /// Old keys with several rotations, and the one an administrator confirmed.
    decided: BTreeMap<Key, Key>,
}

/// What the new key signs: `rotate`, the community, the old key and the new one.
#[must_use]
pub fn rotation_message(community: &Hash, old: Key, new: Key) -> Vec<u8> {
    [
        b"rotate",
        community.as_slice(),
        old.0.as_slice(),
        new.0.as_slice(),
    ]
    .concat()
}

/// A signature in a body: base32 of its 64 bytes.
pub(super) fn signature_in(text: &str) -> Option<[u8; 64]> {
    BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .ok()?
        .try_into()
        .ok()
}

impl Rotations {
    pub(super) fn read(
        community: &Hash,
        records: &[&Record],
        was_member: impl Fn(Key) -> bool,
    ) -> Self {
        let mut rotations = Self::default();
        let mut sources: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
        let mut valid = Vec::new();
        for record in records {
            let old = record.key.owner;
            let Ok(new) = record.key.name.parse::<Key>() else {
                continue;
            };
            let proven = text(&record.json(), "signature")
                .and_then(signature_in)
                .is_some_and(|s| {
                    verify(
                        new,
                        CLAIM_CONTEXT,
                        &rotation_message(community, old, new),
                        &s,
                    )
                });
            if proven && new != old && !was_member(new) {
                sources.entry(new).or_default().insert(old);
                valid.push((old, new, record.version));
            }
        }
        for (old, new, version) in valid {
            // A key that two others lead to belongs to neither.
            if sources[&new].len() == 1 {
                rotations.next.entry(old).or_default().insert(new, version);
                rotations.previous.insert(new, old);
            }
        }
        rotations
    }

    /// The first key of the chain that `key` is in. A ring, which only its own owner can make,
    /// is named by its smallest key.
    pub(super) fn identity(&self, key: Key) -> Key {
        let mut seen = BTreeSet::new();
        let mut at = key;
        while let Some(previous) = self.previous.get(&at) {
            if !seen.insert(at) {
                return seen.first().copied().unwrap_or(key);
            }
            at = *previous;
        }
        at
    }

    /// The last key of the chain that starts with `identity`.
    pub(super) fn current(&self, identity: Key) -> Key {
        self.chain(identity)
            .last()
            .map_or(identity, |(_, new)| *new)
    }

    /// The changes of key that lead from `identity` to the key that it uses now, in order.
    pub(super) fn chain(&self, identity: Key) -> Vec<(Key, Key)> {
        let mut chain: Vec<(Key, Key)> = Vec::new();
        let mut at = identity;
        while let Some(next) = self.next_of(at) {
            if chain.iter().any(|(old, _)| *old == at) {
                break;
            }
            chain.push((at, next));
            at = next;
        }
        chain
    }

    /// All keys that lead from `identity`, itself first, forks included.
    pub(super) fn keys(&self, identity: Key) -> Vec<Key> {
        let mut keys = vec![identity];
        let mut at = 0;
        while at < keys.len() {
            for next in self
                .next
                .get(&keys[at])
                .into_iter()
                .flat_map(BTreeMap::keys)
            {
                if !keys.contains(next) {
                    keys.push(*next);
                }
            }
            at += 1;
        }
        keys
    }

    fn next_of(&self, key: Key) -> Option<Key> {
        let next = self.next.get(&key)?;
        match self.decided.get(&key) {
            Some(decided) => Some(*decided),
            None if next.len() == 1 => next.keys().next().copied(),
            None => None,
        }
    }

    /// Whether `old` leads to two keys and nobody has decided.
    pub(super) fn is_forked(&self, old: Key) -> bool {
        let several = self.next.get(&old).is_some_and(|next| next.len() > 1);
        several && !self.decided.contains_key(&old)
    }

    /// Identities with an undecided fork.
    pub(super) fn frozen(&self) -> BTreeSet<Key> {
        self.next
            .keys()
            .filter(|old| self.is_forked(**old))
            .map(|old| self.identity(*old))
            .collect()
    }

    /// An administrator names the rotation of `old` that counts; the first to do so decides.
    /// Says whether that changed anything.
    pub(super) fn decide(&mut self, old: Key, new: Key) -> bool {
        let forked = self
            .next
            .get(&old)
            .is_some_and(|n| n.len() > 1 && n.contains_key(&new));
        if !forked || self.decided.contains_key(&old) {
            return false;
        }
        self.decided.insert(old, new);
        true
    }

    /// Whether a record was signed before its key was given up, and is not for its successor
    /// to sign anew.
    pub(super) fn signed_in_time(&self, record: &Record) -> bool {
        let key = record.key.owner;
        match self
            .next_of(key)
            .and_then(|new| self.next.get(&key)?.get(&new).copied())
        {
            Some(rotated) => {
                let kind = &record.key.kind;
                kind == "rotate" || !kinds::expires(kind) && record.version <= rotated
            }
            None => true,
        }
    }

    /// How many changes of key lead to `key`.
    pub(super) fn generation(&self, key: Key) -> usize {
        let mut seen = BTreeSet::new();
        let mut at = key;
        while let Some(previous) = self.previous.get(&at) {
            if !seen.insert(at) {
                break;
            }
            at = *previous;
        }
        seen.len()
    }
}
