//! A limit of bytes a second, for all clients together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much may go unlimited after a silence.
const BURST: Duration = Duration::from_millis(200);

/// When the next byte may go.
#[derive(Debug)]
pub struct Pace {
    next: Mutex<(u64, Instant)>,
}

impl Pace {
    /// A limit in bytes a second; 0 is none.
    #[must_use]
    pub fn new(per_second: u64) -> Self {
        Self {
            next: Mutex::new((per_second, Instant::now())),
        }
    }

    /// Takes another limit.
    pub fn set(&self, per_second: u64) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).0 = per_second;
    }

    /// Takes so many bytes; they go after this time.
    pub fn take(&self, bytes: usize) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.0 == 0 {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let micros = (bytes as u64).saturating_mul(1_000_000) / next.0;
        let begin = next.1.max(now.checked_sub(BURST).unwrap_or(now));
        next.1 = begin + Duration::from_micros(micros);
        next.1.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_waits() {
        let pace = Pace::new(1_000_000);
        let waits: Duration = (0..4).map(|_| pace.take(1_000_000)).sum();
        assert!(waits > Duration::from_secs(8), "{waits:?}");
        pace.set(0);
        assert_eq!(pace.take(1 << 40), Duration::ZERO);
    }
}
