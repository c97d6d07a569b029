//! Service discovery: the bridge between Avahi, which knows one link, and the registry, which
//! knows the whole community.

mod app;
mod avahi;
mod bridge;
mod browse;
mod bus;
pub mod cli;
mod command;
mod community;
pub mod config;
mod daemon;
mod declared;
mod entry;
mod guest;
mod health;
mod import;
mod importer;
mod link;
mod near;
mod publisher;
pub mod service;
mod store;
mod words;

use std::process::ExitCode;

use clap::Parser as _;
use guifi_core::Root;

/// The daemon.
#[must_use]
pub fn main() -> ExitCode {
    guifi_core::run("guifi-discoveryd", || {
        daemon::run(&cli::Cli::parse(), &Root::from_env())
    })
}

/// `guifi-publish`.
#[must_use]
pub fn publish_main() -> ExitCode {
    guifi_core::run("guifi-publish", || {
        guifi_bus::block_on(command::publish(&cli::Publish::parse()))
    })
}

/// `guifi-unpublish`.
#[must_use]
pub fn unpublish_main() -> ExitCode {
    guifi_core::run("guifi-unpublish", || {
        guifi_bus::block_on(command::unpublish(&cli::Unpublish::parse()))
    })
}

/// `guifi-browse`.
#[must_use]
pub fn browse_main() -> ExitCode {
    guifi_core::run("guifi-browse", || {
        guifi_bus::block_on(command::browse(&cli::Browse::parse()))
    })
}
