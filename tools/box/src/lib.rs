//! Making this machine a box of a community, showing its health, and keeping what makes it this
//! box and no other.

mod backup;
mod checks;
pub mod cli;
mod firewall;
mod join;
mod leave;
mod nearby;
mod status;

pub(crate) use guifi_core::terminal;

use std::process::ExitCode;

use clap::Parser as _;

/// `guifi-join`.
#[must_use]
pub fn join_main() -> ExitCode {
    guifi_core::run("guifi-join", || {
        guifi_bus::block_on(join::run(&cli::Join::parse()))
    })
}

/// `guifi-leave`.
#[must_use]
pub fn leave_main() -> ExitCode {
    guifi_core::run("guifi-leave", || {
        guifi_bus::block_on(leave::run(&cli::Leave::parse()))
    })
}

/// `guifi-status`.
#[must_use]
pub fn status_main() -> ExitCode {
    guifi_core::run("guifi-status", || {
        guifi_bus::block_on(status::run(&cli::Status::parse()))
    })
}

/// `guifi-backup`.
#[must_use]
pub fn backup_main() -> ExitCode {
    guifi_core::run("guifi-backup", || backup::run(&cli::Backup::parse()))
}
