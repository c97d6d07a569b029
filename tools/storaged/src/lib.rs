//! A storage server of a community: keeps shares of other people's files, by the protocol of
//! Tahoe-LAFS, and cannot read them.

mod announce;
mod bus;
pub mod cli;
pub mod config;
mod daemon;
mod describe;
pub mod door;
mod http;
pub mod identity;
mod keep;
pub mod pace;
mod pulse;
mod registry;
mod serve;
mod state;
pub mod store;
mod streams;

use std::process::ExitCode;

use clap::Parser as _;
use guifi_core::Root;

/// The daemon, `guifi-storaged`.
#[must_use]
pub fn main() -> ExitCode {
    guifi_core::run("guifi-storaged", || {
        daemon::run(&cli::Cli::parse(), &Root::from_env())
    })
}
