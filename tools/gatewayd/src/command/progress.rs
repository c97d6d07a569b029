//! How far a long transfer is: on a terminal, once it takes more than two seconds.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What is quicker needs no words.
const QUIET: Duration = Duration::from_secs(2);
/// Between two updates.
const PACE: Duration = Duration::from_millis(500);

/// A transfer.
pub(super) struct Progress {
    name: String,
    begin: Instant,
    shown: Option<Instant>,
    done: u64,
    of: Option<u64>,
    is_silent: bool,
}

impl Progress {
    /// Of something with this name.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: guifi_core::terminal::tame(name),
            begin: Instant::now(),
            shown: None,
            done: 0,
            of: None,
            is_silent: !io::stderr().is_terminal(),
        }
    }

    /// Of which nothing is shown.
    pub(super) fn silent() -> Self {
        let mut silent = Self::new("");
        silent.is_silent = true;
        silent
    }

    /// So many bytes will come.
    pub(super) fn expect(&mut self, bytes: Option<u64>) {
        self.of = bytes;
    }

    /// More came.
    pub(super) fn add(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let fresh = self.shown.is_some_and(|shown| shown.elapsed() < PACE);
        if self.is_silent || fresh || self.begin.elapsed() < QUIET {
            return;
        }
        self.shown = Some(Instant::now());
        let rate = self.done as f64 / self.begin.elapsed().as_secs_f64() / 1e6;
        let part = match self.of.filter(|of| *of > 0) {
            Some(of) => format!("{:3} %", (self.done * 100 / of).min(100)),
            None => format!("{} MB", self.done / 1_000_000),
        };
        // Nobody is told about a closed standard error.
        let _ = write!(
            io::stderr(),
            "\r{}: {part}, {rate:.1} MB/s\x1b[K",
            self.name
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
