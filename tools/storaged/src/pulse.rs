//! How long a connection has stood still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a connection last moved.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    begin: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            last_ms: Arc::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn beat(&self) {
        self.last_ms.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(
            self.now()
                .saturating_sub(self.last_ms.load(Ordering::Relaxed)),
        )
    }
}
