//! Gateway to Tahoe-LAFS grids: encrypts files on this box, spreads their shares over servers
//! that need not be trusted, and brings them back.

pub mod config;
mod directory;
mod download;
mod engine;
mod file;
mod grid;
mod keys;
mod mutable;
pub mod policy;
mod problem;
mod secrets;
mod server;
mod spool;
mod upload;

use std::process::ExitCode;

/// The daemon, `guifi-gatewayd`.
#[must_use]
pub fn daemon_main() -> ExitCode {
    ExitCode::SUCCESS
}

/// `guifi-store`.
#[must_use]
pub fn command_main() -> ExitCode {
    ExitCode::SUCCESS
}
