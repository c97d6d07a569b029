//! Answers from outside, remembered for their time to live within a bound of memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::name::Name;
use crate::query::Question;

/// What an answer depends on: name (lower case), type, and the flags that change it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    /// Name in wire form and lower case, then the type.
    pub question: Box<[u8]>,
    /// DNSSEC records wanted.
    pub dnssec_ok: bool,
    /// Checking disabled.
    pub checking_disabled: bool,
}

/// An answer in wire form, without EDNS.
#[derive(Debug)]
pub struct Stored {
    /// The message.
    pub message: Vec<u8>,
    /// When it came.
    pub since: Instant,
    /// How long it is good.
    pub life: Duration,
}

/// How long an answer is kept after its time for when no server answers (RFC 8767).
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Memory of an entry beside its octets, roughly.
const OVERHEAD: usize = 200;

/// The cache. The oldest entry leaves first.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<Key, Arc<Stored>>,
    order: VecDeque<(Key, Instant)>,
    used: usize,
    limit: usize,
}

impl Cache {
    /// A cache of at most `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Changes the limit.
    pub fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink();
    }

    /// What is known about `key`, fresh or not; see [`Stored::fresh`].
    pub fn get(&self, key: &Key, now: Instant) -> Option<Arc<Stored>> {
        let stored = self.entries.get(key)?;
        (now.duration_since(stored.since) < stored.life + STALE).then(|| stored.clone())
    }

    /// Remembers an answer.
    pub fn put(&mut self, key: Key, stored: Arc<Stored>) {
        self.used += size(&key, &stored);
        self.order.push_back((key.clone(), stored.since));
        if let Some(old) = self.entries.insert(key.clone(), stored) {
            self.used -= size(&key, &old);
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        // An entry that was replaced leaves its place in the order behind; it is small.
        while self.used > self.limit || self.order.len() > 2 * self.entries.len() + 16 {
            let Some((key, since)) = self.order.pop_front() else {
                return;
            };
            if self
                .entries
                .get(&key)
                .is_some_and(|stored| stored.since == since)
                && let Some(old) = self.entries.remove(&key)
            {
                self.used -= size(&key, &old);
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Forgets what is at or below `name`.
    pub fn forget(&mut self, name: &Name) {
        let mut question = Question::default();
        let labels = name.labels().count();
        let used = &mut self.used;
        self.entries.retain(|key, stored| {
            let known = key.question.split_last_chunk::<2>();
            let below = known.is_some_and(|(owner, kind)| {
                question.set(owner, u16::from_be_bytes(*kind))
                    && question.ends_with(name.wire(), labels)
            });
            if below {
                *used -= size(key, stored);
            }
            !below
        });
    }

    /// Number of answers, and octets.
    pub fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.used)
    }
}

fn size(key: &Key, stored: &Stored) -> usize {
    2 * key.question.len() + stored.message.len() + OVERHEAD
}

impl Stored {
    /// Whether it is still good at `now`.
    pub fn fresh(&self, now: Instant) -> bool {
        now.duration_since(self.since) < self.life
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        Key {
            question: format!("name{n}").into_bytes().into(),
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    fn stored(since: Instant) -> Arc<Stored> {
        Arc::new(Stored {
            message: vec![0; 100],
            since,
            life: Duration::from_secs(60),
        })
    }

    #[test]
    fn the_bound_holds_and_the_oldest_goes() {
        let now = Instant::now();
        let mut cache = Cache::new(10_000);
        for n in 0..1000 {
            cache.put(key(n), stored(now));
            cache.put(key(n), stored(now));
        }
        let (entries, used) = cache.size();
        assert!(
            used <= 10_000 && entries > 20,
            "{entries} entries, {used} octets"
        );
        assert!(cache.get(&key(999), now).is_some() && cache.get(&key(0), now).is_none());
        cache.clear();
        assert_eq!(cache.size(), (0, 0));
    }

    #[test]
    fn one_name_is_forgotten_with_those_below_it() {
        let now = Instant::now();
        let key = |text: &str| Key {
            question: [Name::parse(text).unwrap_or_else(Name::root).wire(), &[0, 1]]
                .concat()
                .into(),
            dnssec_ok: false,
            checking_disabled: false,
        };
        let names = ["a.example", "example", "b.a.example", "ba.example"].map(key);
        let mut cache = Cache::new(10_000);
        names
            .iter()
            .for_each(|key| cache.put(key.clone(), stored(now)));
        let before = cache.size().1;
        cache.forget(&Name::parse("a.example").unwrap_or_else(Name::root));
        let left = names.map(|key| cache.get(&key, now).is_some());
        assert_eq!(left, [false, true, false, true]);
        assert!(cache.size().1 < before && cache.size().0 == 2);
        cache.forget(&Name::root());
        assert_eq!(cache.size(), (0, 0));
    }

    #[test]
    fn an_answer_past_its_life_is_kept_as_stale_for_a_day() {
        let now = Instant::now();
        let mut cache = Cache::new(10_000);
        cache.put(key(1), stored(now));
        let later = now + Duration::from_secs(3600);
        assert!(cache.get(&key(1), later).is_some_and(|s| !s.fresh(later)));
        assert!(
            cache
                .get(&key(1), now + STALE + Duration::from_secs(61))
                .is_none()
        );
    }
}
