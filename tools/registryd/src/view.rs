//! What readers see: every record that counts, with the standing of its owner, and a log by
//! which a reader that missed something catches up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use guifi_streams::Key;
use serde_json::{Map, Value, json};

use crate::record::{Record, RecordKey};

/// Vanished records that are remembered for readers who catch up.
const MAX_GONE: usize = 20_000;

/// The standing of an owner at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Its effective host label.
    pub label: String,
    /// The zone of its box.
    pub zone: String,
    /// Its box is absent, or its `box` record has ended.
    pub stale: bool,
    /// Version of its latest `box` record, in milliseconds.
    pub seen: u64,
    /// Addresses of its box at which another member met it.
    pub witnessed: Vec<IpAddr>,
}

/// One visible record.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record.
    pub record: Arc<Record>,
    /// Its owner's standing.
    pub standing: Arc<Standing>,
    sequence: u64,
}

impl Entry {
    /// The document that readers get; `own` is the key of this box.
    #[must_use]
    pub fn json(&self, own: Key) -> Value {
        let record = &self.record;
        let mut document = json!({
            "owner": record.key.owner.to_string(),
            "owner_name": self.standing.label,
            "owner_zone": self.standing.zone,
            "kind": record.key.kind,
            "name": record.key.name,
            "version": record.version,
            "written_at": time_text(record.version),
            "expires_at": (record.expires != 0).then(|| time_text(record.expires)),
            "state": if self.standing.stale { "stale" } else { "live" },
            "seen_at": time_text(self.standing.seen),
            "own": record.key.owner == own,
            "body": record.json(),
        });
        if record.key.kind == "box" {
            let mut witnessed = self.standing.witnessed.clone();
            witnessed.sort();
            document["witnessed"] = json!(witnessed);
        }
        document
    }
}

/// RFC 3339 text of milliseconds since 1970 UTC, to the second.
#[must_use]
pub fn time_text(ms: u64) -> String {
    i64::try_from(ms / 1000)
        .ok()
        .and_then(|s| jiff::Timestamp::from_second(s).ok())
        .map_or_else(String::new, |t| t.to_string())
}

/// What `List` is asked for.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Kinds wanted; all if empty.
    pub kinds: Vec<String>,
    /// Only this owner's.
    pub owner: Option<Key>,
    /// Only those of owners in this zone.
    pub zone: Option<String>,
    /// The epoch and sequence that the reader has.
    pub since: Option<(String, u64)>,
}

/// All visible records.
#[derive(Debug)]
pub struct View {
    epoch: String,
    sequence: u64,
    entries: BTreeMap<RecordKey, Entry>,
    log: BTreeMap<u64, RecordKey>,
    gone: BTreeMap<u64, RecordKey>,
    /// Changes up to this sequence are no longer known one by one.
    forgotten: u64,
}

impl View {
    /// An empty view; `epoch` is new with every start.
    #[must_use]
    pub fn new(epoch: String) -> Self {
        Self {
            epoch,
            sequence: 0,
            entries: BTreeMap::new(),
            log: BTreeMap::new(),
            gone: BTreeMap::new(),
            forgotten: 0,
        }
    }

    /// The epoch and the sequence of the latest change.
    #[must_use]
    pub fn at(&self) -> (&str, u64) {
        (&self.epoch, self.sequence)
    }

    /// Number of visible records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is visible.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One record.
    #[must_use]
    pub fn get(&self, key: &RecordKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All visible records in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The visible records of one key, in the order of kind and name.
    pub fn of_owner(&self, owner: Key) -> impl Iterator<Item = &Entry> {
        let first = RecordKey {
            owner,
            kind: String::new(),
            name: String::new(),
        };
        self.entries
            .range(first..)
            .take_while(move |(k, _)| k.owner == owner)
            .map(|(_, e)| e)
    }

    /// Makes `records` the visible ones of `owner`; notes the kinds that changed.
    pub fn set_owner(
        &mut self,
        owner: Key,
        records: Vec<Arc<Record>>,
        standing: &Arc<Standing>,
        changed: &mut Vec<String>,
    ) {
        let mut old: BTreeMap<RecordKey, Entry> = BTreeMap::new();
        let first = RecordKey {
            owner,
            kind: String::new(),
            name: String::new(),
        };
        let keys: Vec<RecordKey> = self
            .entries
            .range(first..)
            .take_while(|(k, _)| k.owner == owner)
            .map(|(k, _)| k.clone())
            .collect();
        for key in keys {
            if let Some(entry) = self.entries.remove(&key) {
                old.insert(key, entry);
            }
        }
        for record in records {
            let key = record.key.clone();
            let entry = match old.remove(&key) {
                Some(same) if same.record.hash == record.hash && same.standing == *standing => same,
                other => {
                    if let Some(other) = other {
                        self.log.remove(&other.sequence);
                    }
                    let sequence = self.step(&key.kind, changed);
                    self.log.insert(sequence, key.clone());
                    Entry {
                        record,
                        standing: standing.clone(),
                        sequence,
                    }
                }
            };
            self.entries.insert(key, entry);
        }
        for (key, entry) in old {
            self.log.remove(&entry.sequence);
            let sequence = self.step(&key.kind, changed);
            self.gone.insert(sequence, key);
        }
        while self.gone.len() > MAX_GONE {
            if let Some((sequence, _)) = self.gone.pop_first() {
                self.forgotten = sequence;
            }
        }
    }

    fn step(&mut self, kind: &str, changed: &mut Vec<String>) -> u64 {
        if !changed.iter().any(|k| k == kind) {
            changed.push(kind.to_owned());
        }
        self.sequence += 1;
        self.sequence
    }

    /// Every owner that has a visible record.
    #[must_use]
    pub fn owners(&self) -> Vec<Key> {
        let mut owners: Vec<Key> = self.entries.keys().map(|k| k.owner).collect();
        owners.dedup();
        owners
    }

    /// The JSON lines that answer `question`, and whether they are everything (else they are
    /// the changes since).
    #[must_use]
    pub fn list(&self, question: &Question, own: Key) -> (bool, String) {
        let wanted = |key: &RecordKey| {
            (question.kinds.is_empty() || question.kinds.contains(&key.kind))
                && question.owner.is_none_or(|o| o == key.owner)
        };
        let in_zone = |entry: &Entry| {
            question
                .zone
                .as_ref()
                .is_none_or(|z| *z == entry.standing.zone)
        };
        let mut lines = String::new();
        let mut push = |document: Value| {
            lines.push_str(&document.to_string());
            lines.push('\n');
        };
        let since = question
            .since
            .as_ref()
            .filter(|(epoch, at)| {
                *epoch == self.epoch && *at >= self.forgotten && *at <= self.sequence
            })
            .map(|(_, at)| *at);
        let Some(since) = since else {
            let all = self.entries.iter().filter(|(k, e)| wanted(k) && in_zone(e));
            all.for_each(|(_, entry)| push(entry.json(own)));
            return (true, lines);
        };
        for key in self.gone.range(since + 1..).map(|(_, k)| k) {
            if wanted(key) && !self.entries.contains_key(key) {
                push(removed(key));
            }
        }
        for key in self
            .log
            .range(since + 1..)
            .map(|(_, k)| k)
            .filter(|k| wanted(k))
        {
            match self.entries.get(key) {
                Some(entry) if in_zone(entry) => push(entry.json(own)),
                // Moved to another zone: for this reader it is gone.
                Some(_) | None => push(removed(key)),
            }
        }
        (false, lines)
    }
}

fn removed(key: &RecordKey) -> Value {
    let mut line = Map::new();
    line.insert("owner".into(), key.owner.to_string().into());
    line.insert("kind".into(), key.kind.clone().into());
    line.insert("name".into(), key.name.clone().into());
    line.insert("removed".into(), true.into());
    Value::Object(line)
}
