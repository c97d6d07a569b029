//! What the boxes of one simulation share: equal records, and what checking their signatures
//! came to. Both depend on nothing but the record, so that sharing changes time and memory only.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::record::{Hash, Record};

#[derive(Default)]
struct Shared {
    records: HashMap<Hash, Arc<Record>>,
    verdicts: HashMap<(Hash, [u8; 64]), bool>,
    /// So many records are held before those that nobody else holds are let go.
    most: usize,
}

thread_local! {
    static SHARED: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// Begins to share on this thread; what was shared before is forgotten.
pub(crate) fn begin() {
    SHARED.set(Some(Shared::default()));
}

/// Shares no longer.
pub(crate) fn end() {
    SHARED.set(None);
}

/// The record that equals this one, if there is one already.
pub(crate) fn record(record: Record) -> Arc<Record> {
    SHARED.with_borrow_mut(|shared| {
        let Some(shared) = shared else {
            return Arc::new(record);
        };
        if let Some(known) = shared.records.get(&record.hash)
            && **known == record
        {
            return known.clone();
        }
        if shared.records.len() >= shared.most {
            shared.records.retain(|_, r| Arc::strong_count(r) > 1);
            shared.verdicts.clear();
            shared.most = shared.records.len() * 2 + 10_000;
        }
        let record = Arc::new(record);
        shared.records.insert(record.hash, record.clone());
        record
    })
}

/// Whether the signature of a record is good, if this thread shares.
pub(crate) fn verdict(record: &Record) -> Option<bool> {
    SHARED.with_borrow_mut(|shared| {
        let verdicts = &mut shared.as_mut()?.verdicts;
        let verdict = verdicts.entry((record.hash, record.signature));
        Some(*verdict.or_insert_with(|| record.verify_now()))
    })
}
