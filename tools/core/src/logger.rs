//! Log lines on standard error: journal priorities under systemd, plain lines elsewhere.

use std::env;
use std::io::{self, Write as _};

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Logger {
    program: String,
    journal: bool,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Dependencies speak only when something is wrong.
        metadata.target().starts_with("guifi") || metadata.level() <= Level::Error
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Priorities of sd-daemon(3).
        let priority = match record.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        // A log line that cannot be written has nowhere to be reported.
        let mut err = io::stderr().lock();
        let _ = if self.journal {
            writeln!(err, "<{priority}>{}", record.args())
        } else {
            writeln!(err, "{}: {}", self.program, record.args())
        };
    }

    fn flush(&self) {}
}

/// Installs the logger; `GUIFI_LOG` (error, warn, info, debug) sets the level, info if unset.
pub(crate) fn init(program: &str) {
    let level = env::var("GUIFI_LOG")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(LevelFilter::Info);
    let logger = Logger {
        program: program.to_owned(),
        journal: env::var_os("JOURNAL_STREAM").is_some(),
    };
    // Fails only if there is one already.
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
    }
}
