//! What stands between a worker's answers and the network: cookies, and the limits for those
//! that have none.

use std::net::IpAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::cookie::{Baked, Jar};
use crate::encode::HEADER;
use crate::limit::{Limiter, Rules, Verdict};
use crate::query::Question;
use crate::respond::{Outcome, cut_short};
use crate::table::{hash, join};

/// The guard of one worker.
pub struct Guard {
    jar: Jar,
    limiter: Limiter,
    start: Instant,
    /// Hundred-thousandths of a second since the start, once a batch needs them.
    now: Option<u32>,
    /// Seconds since 1970, the same.
    seconds: Option<u32>,
}

/// Seconds since 1970, as cookies have them.
pub fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as u32) // wraps in 2106
}

impl Guard {
    /// A guard whose cookies are those of `jar`.
    pub fn new(jar: Jar) -> Self {
        Self {
            jar,
            limiter: Limiter::default(),
            start: Instant::now(),
            now: None,
            seconds: None,
        }
    }

    /// Begins a batch: its messages came at one time.
    pub fn batch(&mut self) {
        (self.now, self.seconds) = (None, None);
    }

    /// The cookie for the answer to `question`, if its client knows of cookies.
    pub fn cookie(&mut self, question: &Question, client: IpAddr) -> Option<Baked> {
        let cookie = question.edns?.cookie?;
        let now = *self.seconds.get_or_insert_with(seconds);
        Some(self.jar.bake(cookie, client, now))
    }

    /// Whether the answer in `out` is sent: it stays, is cut short, or is taken back.
    pub fn limit(
        &mut self,
        rules: &Rules,
        question: &Question,
        client: IpAddr,
        cookie: Option<&Baked>,
        outcome: Outcome,
        out: &mut Vec<u8>,
    ) -> Outcome {
        if outcome == Outcome::Drop || cookie.is_some_and(|cookie| cookie.valid) {
            return outcome;
        }
        let start = self.start;
        let now = *self.now.get_or_insert_with(|| {
            (start.elapsed().as_micros() / 10) as u32 // wraps
        });
        let class = class(question, outcome, out);
        match self.limiter.judge(rules, client, class, now) {
            Verdict::Pass => outcome,
            // Those have no records, and are as short as their questions.
            Verdict::Slip
                if !matches!(
                    outcome,
                    Outcome::Refused | Outcome::Failed | Outcome::Forward
                ) =>
            {
                cut_short(question, cookie.is_some(), out);
                Outcome::Slipped
            }
            _ => {
                out.clear();
                Outcome::Limited
            }
        }
    }
}

/// Answers with one class are equal, or as good as: the owner of the first record is the name
/// itself, the zone that has no such name, or the one below that is referred to.
fn class(question: &Question, outcome: Outcome, out: &[u8]) -> u64 {
    let owner = match outcome {
        Outcome::Refused | Outcome::Failed => b"",
        Outcome::Forward => question.name(),
        _ => {
            let pointer = out.get(question.end()..question.end() + 2);
            let place = pointer.map_or(0, |p| usize::from(u16::from_be_bytes([p[0] & 0x3f, p[1]])));
            question
                .name()
                .get(place.saturating_sub(HEADER)..)
                .unwrap_or_default()
        }
    };
    join(hash(owner), outcome as u64)
}
