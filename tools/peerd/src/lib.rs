//! `guifi-peerd`: owns the key of the box and its one UDP port, and carries authenticated streams
//! to other boxes, directly, through a punched hole or over a member that relays. Programs get
//! streams as file descriptors over `/run/guifi/peerd.sock` (crate `guifi-streams`).
//!
//! Everything runs on one thread: a current-thread runtime moved more bytes for less work than
//! several threads did.

pub mod cli;
pub mod command;
pub mod config;
pub mod header;
pub mod transport;
pub mod who;

mod book;
mod bus;
mod callback;
mod client;
mod control;
mod coordinates;
mod daemon;
mod describe;
mod dial;
mod door;
mod heard;
mod identity;
mod incoming;
mod limits;
mod link;
mod members;
mod nearness;
mod net;
mod node;
mod peers;
mod pool;
mod reach;
mod relay;
mod relays;
mod rights;
mod socket;
mod splice;
mod sweep;
mod verifier;

use std::process::ExitCode;

use clap::Parser as _;
use guifi_core::Root;

/// Runs `guifi-peerd`.
pub fn daemon_main() -> ExitCode {
    guifi_core::run("guifi-peerd", || {
        daemon::run(&cli::Cli::parse(), &Root::from_env())
    })
}

/// Runs `guifi-peer`.
pub fn command_main() -> ExitCode {
    guifi_core::run("guifi-peer", || {
        command::run(&command::Cli::parse(), &mut std::io::stdout().lock())
    })
}
