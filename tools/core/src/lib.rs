//! What every tool shares and nothing more: errors with exit codes, the file system root,
//! configuration merging, logging for the journal, service notification, signals and
//! crash-safe file writing.

mod address;
mod config;
mod error;
mod file;
mod logger;
pub mod notify;
mod root;
pub mod terminal;

pub use address::is_routed;
pub use config::load;
pub use error::{Error, Kind};
pub use file::write_atomic;
pub use root::Root;
pub use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use std::process::ExitCode;

/// Runs a program to its end: sets up logging, prints the error if there is one, and turns
/// its [`Kind`] into the exit code. The only place of the project that does so.
pub fn run(program: &str, body: impl FnOnce() -> Result<(), Error>) -> ExitCode {
    logger::init(program);
    match body() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(program);
            error.exit_code()
        }
    }
}

/// The signals that a daemon acts on: HUP (read the configuration again), TERM and INT (stop).
///
/// Called before anything slow, so that none is lost.
///
/// # Errors
/// [`Kind::Failed`] if the handlers cannot be installed.
pub fn signals() -> Result<signal_hook::iterator::Signals, Error> {
    signal_hook::iterator::Signals::new([SIGHUP, SIGTERM, SIGINT])
        .map_err(|e| Error::failed(format!("cannot watch signals: {e}")))
}
