//! Uploads of one file take turns: at the servers, the second finds the shares of the first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use guifi_tahoe::StorageIndex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// The files that are being uploaded.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<StorageIndex, Weak<Turn<()>>>>);

impl Turns {
    /// Waits for the turn, which lasts until it is dropped.
    pub(super) async fn take(&self, index: &StorageIndex) -> OwnedMutexGuard<()> {
        self.of(index).lock_owned().await
    }

    fn of(&self, index: &StorageIndex) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(index).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(*index, Arc::downgrade(&turn));
        turn
    }
}
