//! What processes take.

use std::fs;

/// Ticks of /proc in a second: the same on every Linux (proc(5)).
const USER_HZ: f64 = 100.0;

/// A running process.
#[derive(Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Seconds of CPU since its start.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|n| n.parse::<u64>().unwrap())
            .sum();
        ticks as f64 / USER_HZ
    }

    pub(crate) fn rss_mib(&self) -> f64 {
        self.figure("smaps_rollup", "Rss:") as f64 / 1024.0
    }

    /// The sum of the lines of a file that begin with `name`.
    pub(crate) fn figure(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.0)).unwrap();
        text.lines()
            .filter_map(|line| line.strip_prefix(name)?.split_whitespace().next())
            .map(|n| n.parse::<u64>().unwrap())
            .sum()
    }
}

/// The one in the middle.
pub(crate) fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
