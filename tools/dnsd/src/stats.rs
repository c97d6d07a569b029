//! Counters, one set for each worker so that no two of them write to one cache line.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

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
}

impl Totals {
    /// Counts one message.
    pub fn count(&mut self, outcome: Outcome) {
        self.queries += u64::from(outcome != Outcome::Drop);
        *match outcome {
            Outcome::Answer | Outcome::Notify => &mut self.answers,
            Outcome::NoData => &mut self.nodata,
            Outcome::NxDomain => &mut self.nxdomain,
            Outcome::Referral => &mut self.referrals,
            Outcome::Update => &mut self.updates,
            Outcome::Truncated => &mut self.truncated,
            Outcome::Refused => &mut self.refused,
            Outcome::Failed => &mut self.failed,
            Outcome::Forward => &mut self.forwarded,
            Outcome::Drop => &mut self.dropped,
        } += 1;
    }

    fn fields(self) -> [u64; FIELDS] {
        [
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
        ]
    }
}

const FIELDS: usize = 11;

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
    }
}
