//! What readers see: every record that counts, with the standing of its owner, and since when,
//! by which a reader that missed something catches up.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
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

/// One visible record; entries are ordered by the keys of their records, as in a
/// [`crate::shelf::Shelf`].
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

impl Borrow<RecordKey> for Entry {
    fn borrow(&self) -> &RecordKey {
        &self.record.key
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.record.key.cmp(&other.record.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.record.key == other.record.key
    }
}

impl Eq for Entry {}

/// All visible records.
#[derive(Debug)]
pub struct View {
    epoch: String,
    sequence: u64,
    entries: BTreeSet<Entry>,
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
            entries: BTreeSet::new(),
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
        self.entries.iter()
    }

    /// The visible records of one key, in the order of kind and name.
    pub fn of_owner(&self, owner: Key) -> impl Iterator<Item = &Entry> {
        self.entries
            .range::<RecordKey, _>(RecordKey::first_of(owner)..)
            .take_while(move |e| e.record.key.owner == owner)
    }

    /// Makes `records` the visible ones of `owner`; notes the kinds that changed.
    pub fn set_owner(
        &mut self,
        owner: Key,
        records: Vec<Arc<Record>>,
        standing: &Arc<Standing>,
        changed: &mut Vec<String>,
    ) {
        let mut old: Vec<Entry> = self.of_owner(owner).cloned().collect();
        // One copy of an owner's standing serves all its records.
        let held = old.iter().map(|e| &e.standing).find(|s| *s == standing);
        let standing = held.unwrap_or(standing).clone();
        for record in records {
            if let Ok(at) = old.binary_search_by(|e| e.record.key.cmp(&record.key)) {
                let same = old.remove(at);
                if same.record.hash == record.hash && same.standing == standing {
                    continue;
                }
            }
            let sequence = self.step(&record.key.kind, changed);
            self.entries.replace(Entry {
                record,
                standing: standing.clone(),
                sequence,
            });
        }
        for entry in old {
            self.entries.remove(&entry.record.key);
            let sequence = self.step(&entry.record.key.kind, changed);
            self.gone.insert(sequence, entry.record.key.clone());
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
        let mut owners: Vec<Key> = self.entries.iter().map(|e| e.record.key.owner).collect();
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
            let all = self.entries.iter();
            all.filter(|e| wanted(&e.record.key) && in_zone(e))
                .for_each(|entry| push(entry.json(own)));
            return (true, lines);
        };
        for key in self.gone.range(since + 1..).map(|(_, k)| k) {
            if wanted(key) && !self.entries.contains(key) {
                push(removed(key));
            }
        }
        // To look at all of them takes a millisecond; a list in this order would be held for ever.
        let later = |e: &&Entry| e.sequence > since && wanted(&e.record.key);
        let mut changed: Vec<&Entry> = self.entries.iter().filter(later).collect();
        changed.sort_by_key(|e| e.sequence);
        for entry in changed {
            if in_zone(entry) {
                push(entry.json(own));
            } else {
                // Moved to another zone: for this reader it is gone.
                push(removed(&entry.record.key));
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
