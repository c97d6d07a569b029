//! Counters, one set for each worker so that no two of them write to one cache line.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::encode::rtype;
use crate::respond::Outcome;

/// Numbers since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// Messages that were questions.
    pub queries: u64,
    /// Answered with records from memory.
    pub answers: u64,
    /// The type does not exist.
    pub nodata: u64,
    /// The name does not exist.
    pub nxdomain: u64,
    /// Told who answers for the name.
    pub referrals: u64,
    /// Updates of hosted zones.
    pub updates: u64,
    /// Told to ask by TCP.
    pub truncated: u64,
    /// Refused.
    pub refused: u64,
    /// Not understood or not implemented.
    pub failed: u64,
    /// Asked elsewhere, or answered from the cache.
    pub forwarded: u64,
    /// Not questions, or no room for them.
    pub dropped: u64,
    /// Not answered, since the network had too many answers.
    pub limited: u64,
    /// The same, but told to ask by TCP or with a cookie.
    pub slipped: u64,
    /// Came with a cookie of ours.
    pub cookies: u64,
    /// Questions by their type, in the order of [`TYPES`].
    #[serde(skip)]
    pub types: [u64; KINDS],
}

/// Types of question that are counted by themselves; the last is all others.
pub const TYPES: [&str; KINDS] = [
    "A", "AAAA", "PTR", "SRV", "TXT", "NS", "SOA", "MX", "CNAME", "DS", "HTTPS", "ANY", "other",
];
const KINDS: usize = 13;

/// The place of a type of question in [`TYPES`].
fn place(rtype: u16) -> usize {
    match rtype {
        rtype::A => 0,
        rtype::AAAA => 1,
        rtype::PTR => 2,
        rtype::SRV => 3,
        rtype::TXT => 4,
        rtype::NS => 5,
        rtype::SOA => 6,
        rtype::MX => 7,
        rtype::CNAME => 8,
        rtype::DS => 9,
        rtype::HTTPS => 10,
        rtype::ANY => 11,
        _ => 12,
    }
}

impl Totals {
    /// Counts one message: what became of it, and the type that it asked for.
    pub fn count(&mut self, outcome: Outcome, rtype: u16) {
        if outcome != Outcome::Drop {
            self.types[place(rtype)] += 1;
        }
        self.queries += u64::from(outcome != Outcome::Drop);
        *match outcome {
            Outcome::Answer => &mut self.answers,
            Outcome::NoData => &mut self.nodata,
            Outcome::NxDomain => &mut self.nxdomain,
            Outcome::Referral => &mut self.referrals,
            Outcome::Update => &mut self.updates,
            Outcome::Truncated => &mut self.truncated,
            Outcome::Refused => &mut self.refused,
            Outcome::Failed => &mut self.failed,
            Outcome::Forward => &mut self.forwarded,
            Outcome::Drop => &mut self.dropped,
            Outcome::Limited => &mut self.limited,
            Outcome::Slipped => &mut self.slipped,
        } += 1;
    }

    /// What became of messages, each with its name.
    pub fn outcomes(&self) -> [(&'static str, u64); 12] {
        [
            ("answers", self.answers),
            ("nodata", self.nodata),
            ("nxdomain", self.nxdomain),
            ("referrals", self.referrals),
            ("updates", self.updates),
            ("truncated", self.truncated),
            ("refused", self.refused),
            ("failed", self.failed),
            ("forwarded", self.forwarded),
            ("dropped", self.dropped),
            ("limited", self.limited),
            ("slipped", self.slipped),
        ]
    }

    fn fields(self) -> [u64; FIELDS] {
        let outcomes = [
            self.queries,
            self.answers,
            self.nodata,
            self.nxdomain,
            self.referrals,
            self.updates,
            self.truncated,
            self.refused,
            self.failed,
            self.forwarded,
            self.dropped,
            self.limited,
            self.slipped,
            self.cookies,
        ];
        let mut fields = [0; FIELDS];
        for (field, value) in fields
            .iter_mut()
            .zip(outcomes.into_iter().chain(self.types))
        {
            *field = value;
        }
        fields
    }
}

const FIELDS: usize = 14 + KINDS;

/// The counters of one worker; only that worker adds to them.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Counters([AtomicU64; FIELDS]);

impl Counters {
    /// Adds the numbers of a batch.
    pub fn add(&self, batch: &Totals) {
        for (counter, more) in self.0.iter().zip(batch.fields()) {
            if more != 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        }
    }
}

/// The sum of several workers' counters.
pub fn sum<'a>(counters: impl IntoIterator<Item = &'a Counters>) -> Totals {
    let mut sum = [0; FIELDS];
    for one in counters {
        for (total, counter) in sum.iter_mut().zip(&one.0) {
            *total += counter.load(Ordering::Relaxed);
        }
    }
    let [
        queries,
        answers,
        nodata,
        nxdomain,
        referrals,
        updates,
        truncated,
        refused,
        failed,
        forwarded,
        dropped,
        limited,
        slipped,
        cookies,
        types @ ..,
    ] = sum;
    Totals {
        queries,
        answers,
        nodata,
        nxdomain,
        referrals,
        updates,
        truncated,
        refused,
        failed,
        forwarded,
        dropped,
        limited,
        slipped,
        cookies,
        types,
    }
}

/// Octets of memory that a process (its number, or `self`) uses, as the kernel counts them.
pub fn memory(process: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}
