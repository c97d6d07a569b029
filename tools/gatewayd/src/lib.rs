//! Gateway to Tahoe-LAFS grids: encrypts files on this box, spreads their shares over servers
//! that need not be trusted, and brings them back.

mod grid;
mod server;

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
