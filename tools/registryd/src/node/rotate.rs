//! Changes of key: this box's own, made in one step, and what is left to say of it to those
//! who have not heard.

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use guifi_core::{Error, Kind};
use guifi_streams::Key;
use serde_json::{Map, Value, json};

use super::{Effect, Favour, Node, Now};
use crate::kinds;
use crate::record::{CONTEXT, Draft, Record, RecordKey};
use crate::store::Change;

/// So many changes of one key are told at the door.
const MAX_HEARD: usize = 6;

/// What a key is after a change of key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// Its member uses it, or it never changed.
    InUse,
    /// Its member uses this one instead.
    LeftFor(Key),
    /// It leads to two keys, or is one of them: an administrator must decide.
    Frozen,
}

impl Node {
    /// Whether this box still has the key that the community knows it by.
    #[must_use]
    pub fn key_state(&self) -> KeyState {
        let ruling = self.book.ruling();
        let identity = ruling.identity(self.own);
        if ruling.frozen.contains(&identity) {
            return KeyState::Frozen;
        }
        match ruling.members.get(&identity) {
            Some(member) if member.current != self.own => KeyState::LeftFor(member.current),
            _ => KeyState::InUse,
        }
    }

    /// The keys for which the key of this box was given up, by this box or by a thief.
    #[must_use]
    pub fn successors(&self) -> Vec<Key> {
        let own = self.book.of_owner(self.own);
        own.filter(|r| r.key.kind == "rotate")
            .filter_map(|r| r.key.name.parse().ok())
            .collect()
    }

    /// Why this box may not write, if it may not: its key was given up.
    pub(super) fn key_is_left(&self) -> Option<String> {
        match self.key_state() {
            KeyState::InUse => None,
            KeyState::LeftFor(key) => Some(format!("the key of this box was given up for {key}")),
            KeyState::Frozen => Some(
                "the key of this box was given up for two others: an administrator must decide"
                    .to_owned(),
            ),
        }
    }

    /// Gives up the key of this box for `new`, which has signed that as `signature` and signs
    /// with `sign`. What this box says is said again with the new key, in the same step: no
    /// crash leaves half of it. The box then goes on with that key as another node.
    ///
    /// # Errors
    /// A sentence if a key is out of reach or the disk does not take it; nothing is changed.
    pub fn rotate(
        &mut self,
        new: Key,
        signature: &[u8; 64],
        sign: impl Fn(&[u8]) -> Result<[u8; 64], String>,
        now: Now,
    ) -> Result<(), String> {
        self.watch_clock(now);
        if self.successors().contains(&new) {
            return Ok(());
        }
        let ruling = self.book.ruling();
        if !ruling.members.contains_key(&ruling.identity(self.own)) {
            let why = self.key_is_left();
            return Err(why.unwrap_or_else(|| "this box is no member".to_owned()));
        }
        let version = self.community_time(now).max(self.own_last + 1);
        let signature = BASE32_NOPAD.encode(signature).to_ascii_lowercase();
        let body = json!({"signature": signature}).as_object().cloned();
        let key = RecordKey {
            owner: self.own,
            kind: "rotate".into(),
            name: new.to_string(),
        };
        let rotation = self
            .draft(&key, body, version, 0)
            .sign(|content| self.signer.sign(CONTEXT, content))?;
        let mut records = vec![rotation];
        for held in self.book.of_owner(self.own) {
            let kind = &held.key.kind;
            if held.is_removal() || !kinds::expires(kind) || kind == "absent" {
                continue;
            }
            let draft = Draft {
                community: self.community(),
                key: RecordKey {
                    owner: new,
                    ..held.key.clone()
                },
                version,
                expires: version + (held.expires - held.version),
                body: Some(held.json()),
            };
            records.push(draft.sign(&sign)?);
        }
        let changes: Vec<Change> = records
            .iter()
            .map(|r| Change::Put(Arc::new(r.clone())))
            .collect();
        self.store.apply(&changes)?;
        let encoded: Vec<Vec<u8>> = records.iter().map(Record::encode).collect();
        let merged = self.book.merge(records, self.community_time(now));
        if !self.successors().contains(&new) {
            let refused = merged.refused.first();
            return Err(refused
                .map_or("the change does not count", |(_, why)| why)
                .to_owned());
        }
        self.own_last = version;
        self.rotating = true;
        log::info!("the key of this box is given up for {new}");
        self.digest(merged, now);
        for record in encoded {
            self.gossip.broadcast(record, now.at);
        }
        self.pump(now);
        Ok(())
    }

    /// The changes of key by which this box has its key, the last ones, in order.
    #[must_use]
    pub fn own_rotations(&self) -> Vec<Arc<Record>> {
        let ruling = self.book.ruling();
        let keys = ruling.keys(ruling.identity(self.own));
        let mut rotations = Vec::new();
        let mut at = self.own;
        while rotations.len() < MAX_HEARD {
            let name = at.to_string();
            let mut records = keys.iter().flat_map(|key| self.book.of_owner(*key));
            let Some(found) = records.find(|r| r.key.kind == "rotate" && r.key.name == name) else {
                break;
            };
            at = found.key.owner;
            rotations.push(found.clone());
        }
        rotations.reverse();
        rotations
    }

    /// Brings the own changes of key to somebody: those who have not heard of them do not speak
    /// with this box, and who is no member is heard at the door only.
    pub(super) fn plead(&mut self) {
        let heard = self.key_state() == KeyState::InUse && !self.neighbours.is_empty();
        if heard || self.own_rotations().is_empty() {
            return;
        }
        let partners = self.partners();
        if let Some(partner) = self.pick(&partners) {
            self.effects.push(Effect::Ask(partner, Favour::Rotation));
        }
    }

    /// Takes in the changes of key of somebody at the door, each from the key of the one before,
    /// the last to the caller's.
    ///
    /// # Errors
    /// A sentence if they are none, or of nobody who is known.
    pub fn hear_rotations(
        &mut self,
        records: Vec<Record>,
        from: Key,
        now: Now,
    ) -> Result<(), String> {
        let mut at = from;
        for record in records.iter().rev() {
            if record.key.kind != "rotate" || record.key.name != at.to_string() {
                return Err("these are no changes to the caller's key".to_owned());
            }
            at = record.key.owner;
        }
        if records.len() > MAX_HEARD {
            return Err("these are too many changes of a key".to_owned());
        }
        // What strangers make of their own keys must not take the place of what waits.
        let ruling = self.book.ruling();
        let known = |r: &Record| ruling.members.contains_key(&ruling.identity(r.key.owner));
        if !records.iter().any(known) {
            return Err("nobody here had that key".to_owned());
        }
        self.merge(records, now);
        Ok(())
    }

    /// Decides, as an administrator, that of the changes of a key the one to `new` counts.
    /// Answers the `key` that the member uses now: a higher rank may have decided otherwise.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`] if this box does not administer, [`Kind::Failed`] if nothing is to be
    /// decided.
    pub fn confirm_key(&mut self, new: Key, now: Now) -> Result<Value, Error> {
        self.must_administer()?;
        let name = new.to_string();
        let rotations = self.book.records().filter(|r| r.key.kind == "rotate");
        let old = rotations
            .filter(|r| r.key.name == name)
            .map(|r| r.key.owner)
            .find(|old| self.book.ruling().is_forked(*old))
            .ok_or_else(|| {
                let text = format!("{new} is not one of two keys that another was given up for");
                Error::new(Kind::Failed, text).hint("guifi-registry list rotate")
            })?;
        let body: Option<Map<String, Value>> = json!({"key": new}).as_object().cloned();
        self.write("confirm", &format!("rotate/{old}"), body, 0, now)
            .map_err(Error::failed)?;
        self.pump(now);
        let ruling = self.book.ruling();
        let member = ruling.members.get(&ruling.identity(old));
        Ok(json!({"old": old, "key": member.map(|m| m.current)}))
    }
}
