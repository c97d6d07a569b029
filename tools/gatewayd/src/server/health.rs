//! How a server behaves: the time it takes, and how long it is left alone after failures.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The first pause after a failure; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(300);

/// What the last requests told.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    latency: Option<Duration>,
    failures: u32,
    rests_until: Option<Instant>,
    last_error: Option<String>,
    heard: Option<Instant>,
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer came; `took` if it was to a small request.
    pub(crate) fn succeeded(&self, took: Option<Duration>) {
        let mut state = self.state();
        state.failures = 0;
        state.rests_until = None;
        state.last_error = None;
        state.heard = Some(Instant::now());
        if let Some(took) = took {
            // The mean of about the last eight.
            let smoothed = state.latency.map_or(took, |old| (old * 7 + took) / 8);
            state.latency = Some(smoothed);
        }
    }

    /// No answer came.
    pub(crate) fn failed(&self, error: &str) {
        let mut state = self.state();
        // What fails together is one failure.
        if state
            .rests_until
            .is_some_and(|until| until > Instant::now())
        {
            return;
        }
        let pause = (FIRST * 2_u32.saturating_pow(state.failures.min(16))).min(LONGEST);
        state.failures += 1;
        state.rests_until = Some(Instant::now() + pause);
        state.last_error = Some(error.to_owned());
    }

    /// Whether it is left alone for now.
    pub(crate) fn rests(&self) -> bool {
        self.state()
            .rests_until
            .is_some_and(|until| until > Instant::now())
    }

    /// Whether the last request that was sent was answered; unknown before the first.
    pub(crate) fn is_up(&self) -> Option<bool> {
        let state = self.state();
        (state.heard.is_some() || state.failures > 0).then_some(state.failures == 0)
    }

    /// Whether nothing was heard for so long.
    pub(crate) fn is_quiet(&self, time: Duration) -> bool {
        self.state()
            .heard
            .is_none_or(|heard| heard.elapsed() >= time)
    }

    /// Time of a small request, smoothed.
    pub(crate) fn latency(&self) -> Option<Duration> {
        self.state().latency
    }

    /// Why it did not answer.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.state().last_error.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_followed_by_rest_and_answers_end_it() {
        let health = Health::default();
        assert_eq!((health.rests(), health.is_up()), (false, None));
        health.failed("gone");
        health.failed("gone, too");
        assert_eq!((health.rests(), health.is_up()), (true, Some(false)));
        assert_eq!(health.last_error().as_deref(), Some("gone"));
        health.succeeded(Some(Duration::from_millis(8)));
        health.succeeded(Some(Duration::from_millis(16)));
        assert_eq!((health.rests(), health.is_up()), (false, Some(true)));
        assert_eq!(health.latency(), Some(Duration::from_millis(9)));
    }
}
