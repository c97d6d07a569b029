//! The book: all records of the community in memory, what counts of them, and what readers
//! see. It takes records and the time, and says what changed; it touches neither disk nor
//! network nor clock.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use guifi_streams::Key;
use serde_json::Value;

use crate::kinds;
use crate::record::{Hash, MAX_LIFE_MS, Record, RecordKey};
use crate::rules::broken::{Fault, is_broken};
use crate::rules::{self, Ruling};
use crate::shelf::Shelf;
use crate::store::Change;
use crate::time::TOLERANCE_MS;
use crate::view::{Standing, View};
use crate::witness::{Statement, Witnesses};

/// Records of unknown owners that wait for the record that makes the owner a member.
const MAX_WAITING: usize = 512;

/// The records of one community as this box knows them.
pub struct Book {
    community: Hash,
    own: Key,
    records: Shelf,
    /// No record that ends by itself ends before this.
    first_end: u64,
    /// No record of another has a larger version.
    last_version: u64,
    /// Accused key to the keys of `absent` records that name it.
    accusers: BTreeMap<Key, BTreeSet<Key>>,
    witnesses: Witnesses,
    ruling: Ruling,
    view: View,
    waiting: VecDeque<Arc<Record>>,
    /// Records from the future, each taken up when its time has come.
    ahead: VecDeque<Arc<Record>>,
    /// Records of others that were taken while this clock ran ahead: their time has not come.
    doubted: BTreeSet<RecordKey>,
    /// The highest version that this box has signed and taken back, in milliseconds.
    taken_back: u64,
    /// While what the store held is taken in: that of it whose signatures are to be checked.
    loading: Option<HashSet<Hash>>,
}

/// What came of a merge.
#[derive(Debug, Default)]
pub struct Merged {
    /// Records that are new to the book.
    pub accepted: Vec<Arc<Record>>,
    /// Records that were not taken, and why.
    pub refused: Vec<(RecordKey, String)>,
    /// What the store must do before anything is acknowledged.
    pub changes: Vec<Change>,
    /// Kinds whose visible records changed.
    pub kinds: Vec<String>,
    /// Membership, bans, names or administrators changed.
    pub ruling_changed: bool,
}

enum Verdict {
    Take,
    Known,
    Refuse(String),
    Ahead,
    /// Its owner is not known (yet).
    Wait,
}

impl Book {
    /// A book with the founding record of its community.
    ///
    /// # Errors
    /// A sentence if the founding record is not valid.
    pub fn new(founding: Record, own: Key, epoch: String) -> Result<Self, String> {
        if !founding.verify() {
            return Err("the founding record is not signed by its founder".to_owned());
        }
        let community = founding.hash;
        let ruling = Ruling::of(&community, std::iter::once(&founding))?;
        let mut records = Shelf::default();
        records.put(founding.shared());
        let mut book = Self {
            community,
            own,
            records,
            first_end: u64::MAX,
            last_version: 0,
            accusers: BTreeMap::new(),
            witnesses: Witnesses::default(),
            ruling,
            view: View::new(epoch),
            waiting: VecDeque::new(),
            ahead: VecDeque::new(),
            doubted: BTreeSet::new(),
            taken_back: 0,
            loading: None,
        };
        book.refresh_all(0, &mut Merged::default());
        Ok(book)
    }

    /// The identity of the community.
    #[must_use]
    pub fn community(&self) -> Hash {
        self.community
    }

    /// Who is who.
    #[must_use]
    pub fn ruling(&self) -> &Ruling {
        &self.ruling
    }

    /// What readers see.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// A record, whether it counts or not.
    #[must_use]
    pub fn get(&self, key: &RecordKey) -> Option<&Arc<Record>> {
        self.records.get(key)
    }

    /// All records, in the order of their keys.
    pub fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter()
    }

    /// The records of one key.
    pub fn of_owner(&self, owner: Key) -> impl Iterator<Item = &Arc<Record>> {
        self.records.of_owner(owner)
    }

    /// The statements about the box of `owner` that its record carries and that count.
    pub fn witnesses(&self, owner: Key) -> impl Iterator<Item = &Statement> {
        self.witnesses.of(owner, &self.ruling)
    }

    /// Takes in what the store holds, at community time `now`; signatures are checked of what
    /// is `unsure` only. What this box has said itself is taken even if its life is over: others
    /// would not, and could bring back what was removed.
    pub fn load<R: Into<Arc<Record>>>(
        &mut self,
        stored: Vec<R>,
        unsure: HashSet<Hash>,
        now: u64,
    ) -> Merged {
        self.loading = Some(unsure);
        let merged = self.merge(stored, now);
        self.loading = None;
        merged
    }

    /// Takes in records from a peer or this box, at community time `now`.
    pub fn merge<R: Into<Arc<Record>>>(&mut self, incoming: Vec<R>, now: u64) -> Merged {
        self.take_in(incoming.into_iter().map(Into::into).collect(), now)
    }

    fn take_in(&mut self, mut round: Vec<Arc<Record>>, now: u64) -> Merged {
        let mut merged = Merged::default();
        let mut touched = BTreeSet::new();
        while !round.is_empty() {
            let mut waiting = Vec::new();
            let mut rules_touched = false;
            // What decides membership goes first: the others may depend on it.
            round.sort_by_key(|r| kinds::rank(&r.key.kind));
            for record in round.drain(..) {
                match self.judge(&record, now) {
                    Verdict::Known => {}
                    Verdict::Refuse(why) => merged.refused.push((record.key.clone(), why)),
                    Verdict::Ahead => {
                        merged
                            .refused
                            .push((record.key.clone(), "it is from the future".to_owned()));
                        keep(&mut self.ahead, record);
                    }
                    Verdict::Wait => waiting.push(record),
                    Verdict::Take => {
                        rules_touched |= kinds::RULING.contains(&record.key.kind.as_str());
                        self.insert(record, &mut merged, &mut touched);
                    }
                }
            }
            if rules_touched && self.rule(&mut merged) {
                // Somebody may have become a member: look again at what waited.
                round = waiting;
                round.extend(self.waiting.drain(..));
            } else {
                for record in waiting {
                    let why = "its owner is not a member".to_owned();
                    merged.refused.push((record.key.clone(), why));
                    keep(&mut self.waiting, record);
                }
            }
        }
        if merged.ruling_changed {
            self.refresh_all(now, &mut merged);
        } else {
            for owner in touched {
                self.refresh(self.ruling.identity(owner), now, &mut merged);
            }
        }
        merged
    }

    /// Drops what has expired at community time `now`, and takes up what was from the future.
    pub fn sweep(&mut self, now: u64) -> Merged {
        let ripe = self.ahead.iter().any(|r| !is_ahead(r, now));
        let ripe: Vec<Arc<Record>> = if ripe {
            self.ahead.drain(..).collect()
        } else {
            Vec::new()
        };
        let mut merged = self.take_in(ripe, now);
        if now < self.first_end {
            return merged;
        }
        let expired: Vec<RecordKey> = self
            .records
            .iter()
            .filter(|r| self.end(r) <= now)
            .map(|r| r.key.clone())
            .collect();
        let mut touched = BTreeSet::new();
        for key in expired {
            self.remove(&key, &mut merged, &mut touched);
        }
        let ends = self.records.iter().map(|r| self.end(r));
        self.first_end = ends.min().unwrap_or(u64::MAX);
        for owner in touched {
            self.refresh(self.ruling.identity(owner), now, &mut merged);
        }
        merged
    }

    /// Looks at what others have signed with a version after community time `now`, taken when
    /// this box had a wrong clock. Boxes that had a right one hold it apart; here it is no
    /// longer shown and yields to whatever its owner says in time. It is kept, should the
    /// clocks of now be the wrong ones, and what the rules rest on goes on counting: no ban
    /// may end because a power cut has set clocks back. Unless `now` is sure, only earlier
    /// doubts are settled.
    pub fn doubt(&mut self, now: u64, sure: bool) -> Merged {
        if self.doubted.is_empty() && self.last_version <= now + TOLERANCE_MS {
            return Merged::default();
        }
        let others = self.records.iter().filter(|r| r.key.owner != self.own);
        self.last_version = others.map(|r| r.version).max().unwrap_or(0);
        let doubted: BTreeSet<RecordKey> = self
            .records
            .iter()
            .filter(|r| is_ahead(r, now) && r.key.owner != self.own)
            .filter(|r| sure || self.doubted.contains(&r.key))
            .map(|r| r.key.clone())
            .collect();
        let before = std::mem::replace(&mut self.doubted, doubted);
        let turned = before.symmetric_difference(&self.doubted);
        let touched: BTreeSet<Key> = turned
            .flat_map(|key| accused(key).into_iter().chain([key.owner]))
            .collect();
        let mut merged = Merged::default();
        for owner in touched {
            self.refresh(self.ruling.identity(owner), now, &mut merged);
        }
        merged
    }

    /// Takes out the records of `own` that are too far ahead of community time `now`, for
    /// their owner to sign anew.
    pub fn forget_ahead(&mut self, own: Key, now: u64) -> Vec<Arc<Record>> {
        let ahead: Vec<Arc<Record>> = self
            .of_owner(own)
            .filter(|r| is_ahead(r, now))
            .cloned()
            .collect();
        for record in &ahead {
            self.remove(&record.key, &mut Merged::default(), &mut BTreeSet::new());
        }
        ahead
    }

    /// Whether a record has ended at community time `now` and yet is kept, since this box has
    /// said that and stands by it: it says so again when it wakes up after the record's life. By
    /// a removal it stands as long as something that it has said and taken back may return.
    pub fn is_kept(&self, record: &Record, now: u64) -> bool {
        record.has_expired(now) && self.end(record) > now
    }

    /// When a record is to be dropped.
    fn end(&self, record: &Record) -> u64 {
        let own = record.key.owner == self.own && record.key.kind != "absent";
        match (record.expires, own, record.is_removal()) {
            (0, _, _) | (_, true, false) => u64::MAX,
            (end, true, true) => end.max(self.taken_back + MAX_LIFE_MS),
            (end, false, _) => end,
        }
    }

    /// Notes the highest version that this box has signed and taken back.
    pub fn set_taken_back(&mut self, version: u64) {
        self.taken_back = version;
    }

    fn is_hidden(&self, record: &Record) -> bool {
        self.doubted.contains(&record.key) && !kinds::RULING.contains(&record.key.kind.as_str())
    }

    fn judge(&self, record: &Record, now: u64) -> Verdict {
        if record.community != self.community && record.hash != self.community {
            return Verdict::Refuse("it belongs to another community".to_owned());
        }
        if let Some(held) = self.records.get(&record.key)
            && !record.replaces(held)
            && !(self.doubted.contains(&held.key) && is_ahead(held, now) && !is_ahead(record, now))
        {
            return Verdict::Known;
        }
        if record.has_expired(now) && !(self.loading.is_some() && self.is_kept(record, now)) {
            return Verdict::Refuse("it has expired".to_owned());
        }
        if record.key.kind == "founding" {
            return Verdict::Refuse("the community is founded already".to_owned());
        }
        let owner = record.key.owner;
        if self.ruling.is_banned(owner) && record.key.kind != "rotate" {
            return Verdict::Refuse("its owner is banned".to_owned());
        }
        let invitation = record.key.kind == "member" && self.ruling.invitations.contains(&owner);
        if invitation && !rules::is_use(record) {
            return Verdict::Refuse("it is no use of an invitation".to_owned());
        }
        if !self.ruling.counts(record) && !invitation {
            return if self
                .ruling
                .members
                .contains_key(&self.ruling.identity(owner))
            {
                Verdict::Refuse("its key was given up before".to_owned())
            } else {
                Verdict::Wait
            };
        }
        // The own word is taken whatever the clock; its owner signs it anew in time.
        if is_ahead(record, now) && owner != self.own {
            return Verdict::Ahead;
        }
        let loading = self.loading.as_ref();
        if loading.is_some_and(|unsure| !unsure.contains(&record.hash)) || record.verify() {
            Verdict::Take
        } else {
            Verdict::Refuse("its signature is not its owner's".to_owned())
        }
    }

    fn insert(&mut self, record: Arc<Record>, merged: &mut Merged, touched: &mut BTreeSet<Key>) {
        // Its owner has spoken again, with a better clock.
        self.ahead.retain(|r| r.key != record.key);
        self.doubted.remove(&record.key);
        touched.insert(record.key.owner);
        if let Some(accused) = accused(&record.key) {
            self.accusers
                .entry(accused)
                .or_default()
                .insert(record.key.owner);
            touched.insert(accused);
        }
        if record.key == box_key(record.key.owner) {
            self.witnesses.learn(&record);
        }
        if record.expires != 0 {
            self.first_end = self.first_end.min(record.expires);
        }
        if record.key.owner != self.own {
            self.last_version = self.last_version.max(record.version);
        }
        self.records.put(record.clone());
        if is_broken(Fault::RemovalForgets) && record.is_removal() {
            self.records.remove(&record.key);
        }
        merged.changes.push(Change::Put(record.clone()));
        merged.accepted.push(record);
    }

    fn remove(&mut self, key: &RecordKey, merged: &mut Merged, touched: &mut BTreeSet<Key>) {
        if !self.records.remove(key) {
            return;
        }
        self.doubted.remove(key);
        touched.insert(key.owner);
        if *key == box_key(key.owner) {
            self.witnesses.forget(key.owner);
        }
        if let Some(accused) = accused(key) {
            if let Some(accusers) = self.accusers.get_mut(&accused) {
                accusers.remove(&key.owner);
            }
            touched.insert(accused);
        }
        merged.changes.push(Change::Drop(key.clone()));
    }

    /// Evaluates the rules anew and forgets what banned keys have signed, except their changes
    /// of key, which a ban follows, and what keys that were given up leave to their successors.
    /// Says whether anything changed.
    fn rule(&mut self, merged: &mut Merged) -> bool {
        let mut changed = false;
        loop {
            let mut ruling = match Ruling::of(&self.community, self.records.iter().map(Arc::as_ref))
            {
                Ok(ruling) => ruling,
                // The founding record is checked at the start and never replaced.
                Err(_) => return changed,
            };
            if is_broken(Fault::ClaimsByArrival) {
                for (name, owner) in &mut ruling.names {
                    *owner = *self.ruling.names.get(name).unwrap_or(owner);
                }
            }
            if ruling == self.ruling {
                return changed;
            }
            changed = true;
            merged.ruling_changed = true;
            self.ruling = ruling;
            let founding = self.community;
            let void: Vec<RecordKey> = self
                .records
                .iter()
                .filter(|r| r.hash != founding && r.key.kind != "rotate")
                .filter(|r| {
                    // What this box said itself is for it to say again, or to keep from a thief.
                    let owner = r.key.owner;
                    let left = owner != self.own && self.ruling.has_left(owner);
                    self.ruling.is_banned(owner) || left && !self.ruling.counts(r)
                })
                .map(|r| r.key.clone())
                .collect();
            for key in void {
                self.remove(&key, merged, &mut BTreeSet::new());
            }
        }
    }

    fn refresh_all(&mut self, now: u64, merged: &mut Merged) {
        let mut identities: BTreeSet<Key> = self.ruling.members.keys().copied().collect();
        identities.extend(
            self.view
                .owners()
                .into_iter()
                .map(|o| self.ruling.identity(o)),
        );
        identities.extend(
            self.records
                .iter()
                .map(|r| self.ruling.identity(r.key.owner)),
        );
        for identity in identities {
            self.refresh(identity, now, merged);
        }
    }

    /// Works out anew what readers see of one identity.
    fn refresh(&mut self, identity: Key, now: u64, merged: &mut Merged) {
        let keys = self.ruling.keys(identity);
        let standing = Arc::new(self.standing(identity, &keys, now));
        let live: Vec<Arc<Record>> = keys
            .iter()
            .flat_map(|key| self.of_owner(*key))
            .filter(|r| r.hash == self.community || self.ruling.counts(r))
            .filter(|r| !r.has_expired(now) && !self.is_hidden(r))
            .cloned()
            .collect();
        let limit = rules::limit_bytes(self.ruling.members.len());
        let mut live = live;
        if is_broken(Fault::QuotaByArrival) {
            live.sort_by_key(|r| self.view.get(&r.key).is_none());
        }
        let counted: BTreeSet<Hash> = rules::counted(live.iter().map(Arc::as_ref), limit)
            .iter()
            .map(|r| r.hash)
            .collect();
        // What does not count is not kept for others: its owner has it, should it ever count.
        let own = self.own;
        for record in live
            .iter()
            .filter(|r| !counted.contains(&r.hash) && r.key.owner != own)
        {
            self.remove(&record.key, merged, &mut BTreeSet::new());
        }
        for key in keys {
            let visible = live
                .iter()
                .filter(|r| r.key.owner == key && !r.is_removal() && counted.contains(&r.hash))
                .cloned()
                .collect();
            self.view
                .set_owner(key, visible, &standing, &mut merged.kinds);
        }
    }

    fn standing(&self, identity: Key, keys: &[Key], now: u64) -> Standing {
        let boxes = keys.iter().filter_map(|owner| {
            self.records
                .get(&box_key(*owner))
                .filter(|r| r.expires > now && !r.is_removal() && !self.is_hidden(r))
        });
        let Some(latest) = boxes.max_by_key(|r| r.version) else {
            return Standing {
                label: rules::fallback_label(identity),
                zone: String::new(),
                stale: !keys.contains(&self.own),
                seen: 0,
                witnessed: Vec::new(),
            };
        };
        let owner = latest.key.owner;
        let accusations = self
            .accusers
            .get(&owner)
            .into_iter()
            .flatten()
            .filter_map(|accuser| {
                let key = RecordKey {
                    owner: *accuser,
                    kind: "absent".into(),
                    name: owner.to_string(),
                };
                let record = self.records.get(&key)?;
                let counts = self.ruling.counts(record) && !self.is_hidden(record);
                (record.expires > now && counts).then_some(record.as_ref())
            });
        let body = latest.json();
        let said = |member: &str| {
            let text = body
                .get("spine")
                .and_then(|s| s.get(member))
                .and_then(Value::as_str);
            text.unwrap_or_default().to_ascii_lowercase()
        };
        let zone = Some(said("zone"))
            .filter(|z| rules::is_zone(z))
            .unwrap_or_default();
        Standing {
            label: self.ruling.host_label(identity, &said("name"), &zone),
            zone,
            stale: owner != self.own && rules::is_absent(latest, accusations),
            seen: latest.version,
            witnessed: self.witnesses(owner).map(|s| s.address).collect(),
        }
    }
}

/// What names the `box` record of `owner`.
#[must_use]
pub fn box_key(owner: Key) -> RecordKey {
    RecordKey {
        owner,
        kind: "box".into(),
        name: "box".into(),
    }
}

/// The key that an `absent` record is about.
fn accused(key: &RecordKey) -> Option<Key> {
    (key.kind == "absent")
        .then(|| key.name.parse().ok())
        .flatten()
}

/// Whether the time of a record has not come at community time `now`.
fn is_ahead(record: &Record, now: u64) -> bool {
    record.version > now + TOLERANCE_MS
}

fn keep(queue: &mut VecDeque<Arc<Record>>, record: Arc<Record>) {
    // Every reconciliation brings it again.
    if queue.iter().any(|held| held.hash == record.hash) {
        return;
    }
    if queue.len() == MAX_WAITING {
        queue.pop_front();
    }
    queue.push_back(record);
}

#[cfg(test)]
mod tests;
