//! Who may begin a handshake: nothing is known yet but the address, which may be forged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::limits::{Limiter, Rate, Source};
use crate::node::lock;

/// Half-open handshakes from which on callers must prove their address,
const SUSPICIOUS: usize = 64;
/// and from which on they are not heard.
const FLOODED: usize = 256;
/// How many of one source may be half open.
const SOURCE: usize = 16;
/// Handshakes of one address that may be another's: those beyond must prove it.
const UNPROVEN: Rate = Rate::new(32, Duration::from_millis(100));
/// Handshakes of one proven source. Many boxes may share an address.
const PROVEN: Rate = Rate::new(64, Duration::from_millis(100));

/// What is done with somebody who calls.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Hear it, until this is dropped.
    Admit(Turn),
    /// Let it prove its address.
    Prove,
    /// Say no.
    Refuse,
    /// Say nothing.
    Ignore,
}

/// The handshakes that go on.
#[derive(Debug)]
pub(crate) struct Door(Mutex<State>);

#[derive(Debug)]
struct State {
    open: usize,
    by_source: HashMap<Source, usize>,
    unproven: Limiter,
    proven: Limiter,
}

impl Door {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            open: 0,
            by_source: HashMap::new(),
            unproven: Limiter::new(UNPROVEN),
            proven: Limiter::new(PROVEN),
        })))
    }

    /// Judges a caller; `proven` says that it is where it claims to be.
    pub(crate) fn judge(self: &Arc<Self>, source: Source, proven: bool, now: Instant) -> Verdict {
        let mut state = lock(&self.0);
        if state.open >= FLOODED {
            return Verdict::Ignore;
        }
        let many = state.by_source.get(&source).is_some_and(|n| *n >= SOURCE);
        // Only what is proven counts against a source: else anybody could have it shut out.
        if proven && (many || !state.proven.admits(source, now)) {
            return Verdict::Refuse;
        }
        let suspicious = many || state.open >= SUSPICIOUS;
        if !proven && (suspicious || !state.unproven.admits(source, now)) {
            return Verdict::Prove;
        }
        state.open += 1;
        *state.by_source.entry(source).or_default() += 1;
        Verdict::Admit(Turn {
            door: self.clone(),
            source,
        })
    }
}

/// A handshake that goes on.
#[derive(Debug)]
pub(crate) struct Turn {
    door: Arc<Door>,
    source: Source,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = lock(&self.door.0);
        state.open -= 1;
        if let Some(open) = state.by_source.get_mut(&self.source) {
            *open -= 1;
            if *open == 0 {
                state.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_source_cannot_shut_the_door_to_others() {
        let (door, now) = (Door::new(), Instant::now());
        let mut held = Vec::new();
        let mut refused = 0;
        for _ in 0..1000 {
            match door.judge(source(1), true, now) {
                Verdict::Admit(turn) => held.push(turn),
                Verdict::Refuse => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((held.len(), refused), (SOURCE, 1000 - SOURCE));
        assert!(matches!(
            door.judge(source(2), false, now),
            Verdict::Admit(_)
        ));
        held.clear();
        let later = now + Duration::from_secs(10);
        assert!(matches!(
            door.judge(source(1), true, later),
            Verdict::Admit(_)
        ));
    }

    #[test]
    fn a_forged_address_shuts_nobody_out() {
        let (door, now) = (Door::new(), Instant::now());
        for _ in 0..1000 {
            let verdict = door.judge(source(1), false, now);
            assert!(matches!(verdict, Verdict::Admit(_) | Verdict::Prove));
        }
        assert!(matches!(
            door.judge(source(1), true, now),
            Verdict::Admit(_)
        ));
    }

    #[test]
    fn callers_of_many_addresses_must_prove_them_and_are_bounded() {
        let (door, now) = (Door::new(), Instant::now());
        let mut held = Vec::new();
        let mut ignored = 0;
        for i in 0..=u8::MAX {
            for proven in [false, true, true] {
                match door.judge(source(i), proven, now) {
                    Verdict::Admit(turn) => held.push(turn),
                    Verdict::Ignore => ignored += 1,
                    Verdict::Prove => assert!(!proven && held.len() >= SUSPICIOUS),
                    Verdict::Refuse => panic!("refused"),
                }
            }
        }
        assert_eq!(held.len(), FLOODED);
        assert!(ignored > 0);
    }
}
