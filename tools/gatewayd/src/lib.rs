//! Gateway to Tahoe-LAFS grids: encrypts files on this box, spreads their shares over servers
//! that need not be trusted, and brings them back.

mod bus;
mod check;
pub mod cli;
mod command;
pub mod config;
mod daemon;
mod directory;
mod download;
mod engine;
mod file;
mod grid;
mod keys;
mod mutable;
pub mod policy;
mod problem;
mod roster;
mod secrets;
mod server;
mod socket;
mod spool;
mod status;
mod upload;
mod web;

use std::process::ExitCode;

use clap::Parser as _;
use guifi_core::Root;

/// The daemon, `guifi-gatewayd`.
#[must_use]
pub fn daemon_main() -> ExitCode {
    guifi_core::run("guifi-gatewayd", || {
        daemon::run(&cli::Cli::parse(), &Root::from_env())
    })
}

/// `guifi-store`.
#[must_use]
pub fn command_main() -> ExitCode {
    guifi_core::run("guifi-store", || {
        guifi_bus::block_on(command::run(&cli::Command::parse(), &Root::from_env()))
    })
}
