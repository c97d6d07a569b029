//! Updates without a centre: any box mirrors the community's package repository, tells the
//! registry, and APT on every box finds the nearest mirror there.

mod announce;
mod apt;
mod book;
mod bus;
pub mod cli;
mod command;
pub mod config;
mod daemon;
mod deb822;
mod describe;
mod disk;
mod door;
mod keep;
mod nearest;
mod official;
pub mod packages;
mod path;
mod probe;
mod pulse;
pub mod release;
pub mod reply;
pub mod serve;
mod signature;
pub mod source;
mod state;
pub mod sync;
pub mod tree;
mod updates;

use std::process::ExitCode;

use clap::Parser as _;
use guifi_core::Root;

/// The daemon, `guifi-mirrord`.
#[must_use]
pub fn daemon_main() -> ExitCode {
    guifi_core::run("guifi-mirrord", || {
        daemon::run(&cli::Cli::parse(), &Root::from_env())
    })
}

/// `guifi-mirror`.
#[must_use]
pub fn command_main() -> ExitCode {
    guifi_core::run("guifi-mirror", || {
        guifi_bus::block_on(command::run(&cli::Command::parse()))
    })
}

/// `guifi-mirrord-apt`.
#[must_use]
pub fn apt_main() -> ExitCode {
    guifi_core::run("guifi-mirrord-apt", || {
        guifi_bus::block_on(apt::run(&cli::Apt::parse(), &Root::from_env()))
    })
}
