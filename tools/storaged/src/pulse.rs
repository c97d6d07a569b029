//! How long a connection has stood still for want of its client. While the server itself works
//! on a request nobody is to blame.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;

/// When a connection last moved.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    begin: Instant,
    idle: Duration,
    last_ms: Arc<AtomicU64>,
    working: Arc<AtomicUsize>,
}

/// While it lives, the server works.
#[derive(Debug)]
pub(crate) struct Work(Pulse);

impl Pulse {
    /// Of a connection that may stand still for so long.
    pub(crate) fn new(idle: Duration) -> Self {
        Self {
            begin: Instant::now(),
            idle,
            last_ms: Arc::default(),
            working: Arc::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn beat(&self) {
        self.last_ms.store(self.now(), Ordering::Relaxed);
    }

    /// The server begins to work.
    pub(crate) fn work(&self) -> Work {
        self.working.fetch_add(1, Ordering::Relaxed);
        Work(self.clone())
    }

    /// Whether the client has kept the connection waiting for too long.
    pub(crate) fn is_still(&self) -> bool {
        let age = self
            .now()
            .saturating_sub(self.last_ms.load(Ordering::Relaxed));
        self.working.load(Ordering::Relaxed) == 0 && u128::from(age) >= self.idle.as_millis()
    }

    /// What the client sends next; none if it does not in time.
    pub(crate) async fn within<T>(&self, next: impl Future<Output = T>) -> Option<T> {
        let came = timeout(self.idle, next).await.ok();
        self.beat();
        came
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.beat();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}
