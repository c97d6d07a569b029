//! Writing this box's own records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{Node, Now};
use crate::kinds;
use crate::record::{CONTEXT, Draft, MAX_LIFE_MS, Record, RecordKey};
use crate::rules;
use crate::store::Change;
use crate::time::TOLERANCE_MS;

/// The shortest life of a record: boxes look once a minute what must be renewed.
const MIN_LIFE_MS: u64 = 5 * 60 * 1000;
/// How soon a record that no neighbour heard is brought to somebody.
const UNHEARD: Duration = Duration::from_millis(300);

/// How fast local users may write; faster writes wait.
#[derive(Clone, Copy, Debug)]
pub struct WritePace {
    /// Writes at once.
    pub burst: u32,
    /// Then one in this time.
    pub every: Duration,
}

/// Why a record was not written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteError {
    /// Too fast: the same call does it after this time.
    Later(Duration),
    /// The record makes no sense, or the quota is used up.
    Invalid(String),
    /// The key is out of reach for the moment.
    NoKey(String),
    /// There is no such record.
    NotFound,
    /// Disk or key do not work.
    Failed(String),
}

/// A token bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pace: WritePace,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(pace: WritePace, now: Instant) -> Self {
        Self {
            pace,
            tokens: f64::from(pace.burst),
            at: now,
        }
    }

    /// Takes a token, or says how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let every = self.pace.every.as_secs_f64().max(1e-9);
        let gained = now.saturating_duration_since(self.at).as_secs_f64() / every;
        self.tokens = (self.tokens + gained).min(f64::from(self.pace.burst));
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) * every))
    }
}

impl Node {
    /// Writes a record of this box for a local user: durable when this returns. A body that is
    /// there already, with most of its life before it, is left as it is.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn put(
        &mut self,
        kind: &str,
        name: &str,
        body: Map<String, Value>,
        lifetime: Duration,
        now: Now,
    ) -> Result<u64, WriteError> {
        self.watch_clock(now);
        let life = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let life = if life == 0 {
            MAX_LIFE_MS
        } else {
            life.clamp(MIN_LIFE_MS, MAX_LIFE_MS)
        };
        let key = RecordKey {
            owner: self.own,
            kind: kind.into(),
            name: name.into(),
        };
        if let Some(held) = self.book.get(&key)
            && held.json() == body
            && !held.is_removal()
            && !is_half_spent(held.version, held.expires, self.community_time(now))
            && (held.expires == 0 || held.expires - held.version == life)
        {
            return Ok(held.version);
        }
        self.check_room(&key, &body)?;
        self.bucket.take(now.at).map_err(WriteError::Later)?;
        let version = self.write_checked(kind, name, Some(body), life, now)?;
        self.pump(now);
        Ok(version)
    }

    /// Sets one part of a record that several tools share.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn set_part(
        &mut self,
        kind: &str,
        name: &str,
        part: &str,
        value: Map<String, Value>,
        now: Now,
    ) -> Result<u64, WriteError> {
        let key = RecordKey {
            owner: self.own,
            kind: kind.into(),
            name: name.into(),
        };
        let held = self.book.get(&key).filter(|r| !r.is_removal());
        let mut body = held.map(|r| r.json()).unwrap_or_default();
        let life = held.map_or(MAX_LIFE_MS, |r| r.expires.saturating_sub(r.version));
        body.insert(part.to_owned(), Value::Object(value));
        self.put(kind, name, body, Duration::from_millis(life), now)
    }

    /// Removes a record of this box.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn remove(&mut self, kind: &str, name: &str, now: Now) -> Result<(), WriteError> {
        self.watch_clock(now);
        let key = RecordKey {
            owner: self.own,
            kind: kind.into(),
            name: name.into(),
        };
        if self.book.get(&key).is_none_or(|r| r.is_removal()) {
            return Err(WriteError::NotFound);
        }
        self.bucket.take(now.at).map_err(WriteError::Later)?;
        self.write_checked(kind, name, None, MAX_LIFE_MS, now)?;
        self.pump(now);
        Ok(())
    }

    fn check_room(&self, key: &RecordKey, body: &Map<String, Value>) -> Result<(), WriteError> {
        let mut draft = self.draft(key, Some(body.clone()), 1 << 41, MAX_LIFE_MS);
        draft.expires = if kinds::expires(&key.kind) {
            draft.version + 1000
        } else {
            0
        };
        // The size does not depend on the signature.
        let record = draft.sign(|_| Ok([0; 64])).map_err(WriteError::Invalid)?;
        let own = self
            .book
            .of_owner(self.own)
            .filter(|r| r.key != *key)
            .map(|r| r.as_ref());
        let limit = rules::limit_bytes(self.book.ruling().members.len());
        let counted = rules::counted(own.chain(std::iter::once(&record)), limit);
        if counted.iter().any(|r| r.key == *key) {
            return Ok(());
        }
        Err(WriteError::Invalid(format!(
            "this box's quota is used up: {} services of one type and {limit} bytes in all count",
            rules::MAX_SERVICES_PER_TYPE
        )))
    }

    pub(super) fn draft(
        &self,
        key: &RecordKey,
        body: Option<Map<String, Value>>,
        version: u64,
        life: u64,
    ) -> Draft {
        Draft {
            community: self.community(),
            key: key.clone(),
            version,
            expires: if kinds::expires(&key.kind) {
                version + life
            } else {
                0
            },
            body,
        }
    }

    /// Writes a record of this box, whoever wants it: signed, on disk, then in the book and on
    /// its way.
    pub(super) fn write(
        &mut self,
        kind: &str,
        name: &str,
        body: Option<Map<String, Value>>,
        life: u64,
        now: Now,
    ) -> Result<u64, String> {
        self.write_checked(kind, name, body, life, now)
            .map_err(|e| match e {
                WriteError::Invalid(why) | WriteError::Failed(why) | WriteError::NoKey(why) => why,
                WriteError::Later(_) | WriteError::NotFound => "not now".to_owned(),
            })
    }

    fn write_checked(
        &mut self,
        kind: &str,
        name: &str,
        body: Option<Map<String, Value>>,
        life: u64,
        now: Now,
    ) -> Result<u64, WriteError> {
        let key = RecordKey {
            owner: self.own,
            kind: kind.into(),
            name: name.into(),
        };
        if let Some(why) = self.key_is_left() {
            return Err(WriteError::NoKey(why));
        }
        let version = self.community_time(now).max(self.own_last + 1);
        let draft = self.draft(&key, body, version, life);
        draft.content().map_err(WriteError::Invalid)?;
        let record = draft
            .sign(|content| self.signer.sign(CONTEXT, content))
            .map_err(WriteError::NoKey)?
            .shared();
        // On disk first: the book must not know what a power cut could take back.
        let stored = self.store.apply(&[Change::Put(record.clone())]);
        self.write_failed = stored.is_err();
        stored.map_err(WriteError::Failed)?;
        let encoded = record.encode();
        let merged = self.book.merge(vec![record], self.community_time(now));
        if merged.accepted.is_empty() {
            let why = merged
                .refused
                .first()
                .map_or("an equal one is there", |(_, why)| why);
            return Err(WriteError::Failed(format!(
                "the record does not count: {why}"
            )));
        }
        self.counters.records_written += 1;
        self.own_last = version;
        self.digest(merged, now);
        self.gossip.broadcast(encoded, now.at);
        if self.neighbours.is_empty() {
            // Nobody heard that: whoever can be reached gets it by comparing books.
            self.syncs.after(UNHEARD, now.at);
        }
        Ok(version)
    }

    /// Sorts out what this box has signed and taken back: some had taken it up all the same, as
    /// it was not their clock that was wrong. What the box says now is signed once more, above
    /// that. The others' records are returned.
    pub(super) fn defend(&mut self, records: Vec<Arc<Record>>, now: Now) -> Vec<Arc<Record>> {
        let time = self.community_time(now);
        let (revenants, records): (Vec<_>, Vec<_>) = records.into_iter().partition(|r| {
            r.key.owner == self.own
                && r.version <= self.taken_back
                && self.book.get(&r.key).is_some_and(|held| r.replaces(held))
                && r.verify()
        });
        for record in revenants {
            let Some(held) = self.book.get(&record.key).cloned() else {
                continue;
            };
            // One from the future comes again when its time has come.
            if record.version > time + TOLERANCE_MS {
                continue;
            }
            self.own_last = self.own_last.max(record.version);
            let body = (!held.is_removal()).then(|| held.json());
            let life = held.expires.saturating_sub(held.version);
            let (kind, name) = (&held.key.kind, &held.key.name);
            if let Err(e) = self.write(kind, name, body, life, now) {
                log::warn!("cannot sign {kind}/{name} above an older word of this box: {e}");
            }
        }
        records
    }

    /// Writes again what has spent half of its life, and what was signed while the clock was
    /// ahead, which the others hold apart.
    pub(super) fn refresh_own(&mut self, now: Now) {
        let time = self.community_time(now);
        // A box alone, whose clock says that it wrote in the future, has lost its battery:
        // nobody has heard the time that it takes for the present.
        let ahead = if self.time.is_alone() {
            Vec::new()
        } else {
            self.book.forget_ahead(self.own, time)
        };
        if let Some(highest) = ahead.iter().map(|r| r.version).max() {
            self.taken_back = self.taken_back.max(highest);
            self.book.set_taken_back(self.taken_back);
            if let Err(e) = self.store.set_taken_back(self.taken_back) {
                log::warn!("{e}; the others may bring it back after a restart");
            }
            log::warn!(
                "{} records were signed with a clock ahead of the others: signing anew",
                ahead.len()
            );
            self.own_last = self
                .book
                .of_owner(self.own)
                .map(|r| r.version)
                .max()
                .unwrap_or(0);
        }
        for record in ahead {
            let (kind, name) = (&record.key.kind, &record.key.name);
            let body = (!record.is_removal()).then(|| record.json());
            let life = if record.expires == 0 {
                0
            } else {
                record.expires - record.version
            };
            if let Err(e) = self.write(kind, name, body, life, now) {
                log::error!("cannot sign {kind}/{name} anew: {e}");
            }
        }
        let due: Vec<Arc<Record>> = self
            .book
            .of_owner(self.own)
            .filter(|r| r.key.kind != "box" && r.key.kind != "absent")
            .filter(|r| {
                // A removal does its work once; one signed at too early a time has not.
                let removal = r.is_removal();
                removal && self.book.is_kept(r, time)
                    || !removal && is_half_spent(r.version, r.expires, time)
            })
            .cloned()
            .collect();
        for record in due {
            let (kind, name) = (&record.key.kind, &record.key.name);
            let body = (!record.is_removal()).then(|| record.json());
            let life = record.expires - record.version;
            if let Err(e) = self.write(kind, name, body, life, now) {
                log::warn!("cannot renew {kind}/{name}: {e}; trying again later");
            }
        }
    }
}

fn is_half_spent(version: u64, expires: u64, time: u64) -> bool {
    expires != 0 && time >= version + (expires - version) / 2
}
