//! Records in the order of their keys. A key stands in its record only: with a hundred thousand
//! records a copy of each key would cost more memory than what the records say.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use guifi_streams::Key;

use crate::record::{Record, RecordKey};

#[derive(Clone, Debug)]
struct Kept(Arc<Record>);

impl Borrow<RecordKey> for Kept {
    fn borrow(&self) -> &RecordKey {
        &self.0.key
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Kept {}

/// At most one record of each key.
#[derive(Clone, Debug, Default)]
pub struct Shelf(BTreeSet<Kept>);

impl Shelf {
    /// The record of a key.
    #[must_use]
    pub fn get(&self, key: &RecordKey) -> Option<&Arc<Record>> {
        self.0.get(key).map(|kept| &kept.0)
    }

    /// Puts a record in the place of the one that has its key.
    pub fn put(&mut self, record: Arc<Record>) {
        self.0.replace(Kept(record));
    }

    /// Takes out the record of a key; says whether there was one.
    pub fn remove(&mut self, key: &RecordKey) -> bool {
        self.0.remove(key)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.0.iter().map(|kept| &kept.0)
    }

    /// Those of one owner.
    pub fn of_owner(&self, owner: Key) -> impl Iterator<Item = &Arc<Record>> {
        self.0
            .range::<RecordKey, _>(RecordKey::first_of(owner)..)
            .map(|kept| &kept.0)
            .take_while(move |record| record.key.owner == owner)
    }
}
