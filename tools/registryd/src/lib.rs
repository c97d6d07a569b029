//! The registry of a community: the signed, replicated book of records.

pub mod body;
pub mod book;
mod bus;
pub mod cli;
mod command;
pub mod config;
mod daemon;
mod describe;
pub mod engine;
pub mod frame;
#[cfg(test)]
mod fuzz;
pub mod gossip;
mod home;
pub mod invitation;
mod invite;
pub mod join;
pub mod kinds;
mod net;
pub mod node;
pub mod record;
pub mod rights;
pub mod rules;
pub mod shelf;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod sync;
#[cfg(test)]
mod testing;
pub mod time;
pub mod view;
pub mod witness;

use std::process::ExitCode;

use clap::Parser as _;
use guifi_core::Root;

/// The daemon.
#[must_use]
pub fn main() -> ExitCode {
    guifi_core::run("guifi-registryd", || {
        daemon::run(&cli::Cli::parse(), &Root::from_env())
    })
}

/// The command.
#[must_use]
pub fn command_main() -> ExitCode {
    guifi_core::run("guifi-registry", command::main)
}

/// The command that invites.
#[must_use]
pub fn invite_main() -> ExitCode {
    guifi_core::run("guifi-invite", invite::main)
}
