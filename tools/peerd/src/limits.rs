//! What one peer or one address may take, so that the others go without nothing.
//!
//! A peer is known by its key once its handshake is done; before that there is only the address.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use guifi_streams::Key;

use crate::node::lock;

/// How many streams a peer may hold open; fewer as soon as fewer are left for the others.
pub(crate) const PEER_STREAMS: usize = 1024;
/// Streams of a peer that nobody reads: from so many on it may open no more, and those beyond are
/// given up sooner, else they hold its whole connection.
pub(crate) const PEER_STALLED: usize = 12;
/// How many sources are told apart.
const MAX_SOURCES: usize = 1024;
/// How often one complaint is written down,
const REPEAT: Duration = Duration::from_secs(600);
/// and how many are told apart.
const MAX_COMPLAINTS: usize = 256;
/// Streams that a peer may open: so many at once, then one each pause.
const OPENS: Rate = Rate::new(4000, Duration::from_micros(250));
/// A peer is held back in steps of this: timers are no finer than a millisecond.
const STEP: Duration = Duration::from_millis(5);
/// Connections that a peer may make.
const DIALS: Rate = Rate::new(20, Duration::from_secs(1));

/// So many at once, then one each pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    burst: u32,
    pause: Duration,
}

impl Rate {
    pub(crate) const fn new(burst: u32, pause: Duration) -> Self {
        Self { burst, pause }
    }
}

/// What of a rate is used up.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    spent: f64,
    when: Option<Instant>,
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Instant) {
        if let Some(when) = self.when.replace(now) {
            let back = now.duration_since(when).as_secs_f64() / rate.pause.as_secs_f64();
            self.spent = (self.spent - back).max(0.0);
        }
    }

    /// Takes one if there is one.
    fn draw(&mut self, rate: Rate, now: Instant) -> bool {
        self.refill(rate, now);
        let there = self.spent + 1.0 <= f64::from(rate.burst);
        if there {
            self.spent += 1.0;
        }
        there
    }

    /// Takes one on credit; how long to wait until it is paid for.
    fn borrow(&mut self, rate: Rate, now: Instant) -> Duration {
        self.refill(rate, now);
        self.spent += 1.0;
        rate.pause
            .mul_f64((self.spent - f64::from(rate.burst)).max(0.0))
    }
}

/// What a peer takes now, over all its connections.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Streams that it opened to programs here.
    pub(crate) streams: AtomicUsize,
    /// Streams with it that nobody here reads.
    pub(crate) stalled: AtomicUsize,
    opens: Mutex<Bucket>,
    dials: Mutex<Bucket>,
}

impl Share {
    /// Whether it may open a stream while `free` more can be open: none may hold more than is
    /// left for the others.
    pub(crate) fn admits_stream(&self, free: usize) -> bool {
        self.streams.load(Ordering::Relaxed) < free.min(PEER_STREAMS)
    }

    /// Counts a stream that it opened; how long to wait before its next one is looked at.
    pub(crate) fn pace(&self) -> Option<Duration> {
        let wait = lock(&self.opens).borrow(OPENS, Instant::now());
        (wait >= STEP).then_some(wait)
    }

    /// Whether it may make a connection now.
    pub(crate) fn admits_connection(&self) -> bool {
        lock(&self.dials).draw(DIALS, Instant::now())
    }
}

/// Whoever is known only by where it is: an address, IPv6 by its /64, or behind a relay a key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Source {
    Ip(IpAddr),
    Key(Key),
}

impl Source {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self::Ip(match address.to_canonical() {
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            v4 => v4,
        })
    }
}

impl From<SocketAddr> for Source {
    fn from(address: SocketAddr) -> Self {
        Self::of(address.ip())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

/// Holds each source to a rate.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    sources: HashMap<Source, Bucket>,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            sources: HashMap::new(),
        }
    }

    pub(crate) fn admits(&mut self, source: Source, now: Instant) -> bool {
        let rate = self.rate;
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&source) {
            self.sources.retain(|_, bucket| {
                bucket.refill(rate, now);
                bucket.spent > 0.0
            });
            if self.sources.len() >= MAX_SOURCES {
                return false;
            }
        }
        self.sources.entry(source).or_default().draw(rate, now)
    }
}

/// What was written to the journal lately, so that a flood does not flood that too.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<HashMap<(String, &'static str), Instant>>);

impl Complaints {
    /// Writes that `who` does `what`, unless it was written lately.
    pub(crate) fn say(&self, who: impl fmt::Display, what: &'static str) {
        if self.is_news(who.to_string(), what, Instant::now()) {
            log::warn!("{who} {what}");
        }
    }

    fn is_news(&self, who: String, what: &'static str, now: Instant) -> bool {
        let mut said = lock(&self.0);
        let entry = (who, what);
        let old = |when: &Instant| now.duration_since(*when) >= REPEAT;
        if said.get(&entry).is_some_and(|when| !old(when)) {
            return false;
        }
        if said.len() >= MAX_COMPLAINTS {
            said.retain(|_, when| !old(when));
        }
        if said.len() >= MAX_COMPLAINTS {
            return false;
        }
        said.insert(entry, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::new(10, Duration::from_millis(500));

    fn ip(last: u8) -> Source {
        Source::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_source_is_held_to_its_pace_and_others_are_not() {
        let (mut limiter, now) = (Limiter::new(RATE), Instant::now());
        assert_eq!((0..20).filter(|_| limiter.admits(ip(1), now)).count(), 10);
        assert!(limiter.admits(ip(2), now));
        assert!(limiter.admits(ip(1), now + RATE.pause));
        assert!(!limiter.admits(ip(1), now + RATE.pause));
        let prefix = |last| Source::of(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
        let admitted = (0..20).filter(|i| limiter.admits(prefix(*i), now));
        assert_eq!(admitted.count(), 10);
    }

    #[test]
    fn the_number_of_sources_is_bounded() {
        let (mut limiter, now) = (Limiter::new(RATE), Instant::now());
        for i in 0..5000u32 {
            limiter.admits(Source::of(IpAddr::from(i.to_be_bytes())), now);
        }
        assert!(limiter.sources.len() <= MAX_SOURCES);
        assert!(limiter.admits(ip(1), now + Duration::from_secs(60)));
    }

    #[test]
    fn what_was_taken_on_credit_is_waited_for() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        for _ in 0..10 {
            assert_eq!(bucket.borrow(RATE, now), Duration::ZERO);
        }
        assert_eq!(bucket.borrow(RATE, now), RATE.pause);
        assert_eq!(bucket.borrow(RATE, now + RATE.pause * 2), Duration::ZERO);
    }

    #[test]
    fn nobody_holds_more_streams_than_are_left_for_others() {
        let share = Share::default();
        let total = 100;
        let held = |n| share.streams.store(n, Ordering::Relaxed);
        let taken = (0..total).take_while(|n| {
            held(*n);
            share.admits_stream(total - n)
        });
        assert_eq!(taken.count(), total / 2);
        held(PEER_STREAMS);
        assert!(!share.admits_stream(usize::MAX));
    }

    #[test]
    fn a_complaint_is_written_once_and_their_number_is_bounded() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        let say = |who: u32, now| complaints.is_news(who.to_string(), "floods", now);
        assert!(say(1, now));
        assert!(!say(1, now));
        assert!(say(1, now + REPEAT));
        let written = (2..5000).filter(|who| say(*who, now + REPEAT)).count();
        assert_eq!(written, MAX_COMPLAINTS - 1);
    }
}
