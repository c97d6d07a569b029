//! The data of guifi.net's portal on a box: descriptions of zones (CNML), proxies, federation,
//! domains and addresses; fetched politely, validated as a whole, and kept for ever.

pub mod addresses;
pub mod board;
pub mod bus;
pub mod check;
pub mod cli;
pub mod cnml;
pub mod command;
pub mod config;
pub mod dns_name;
pub mod domains;
pub mod fault;
pub mod fetch;
pub mod guard;
pub mod input;
pub mod keeper;
pub mod kind;
pub mod library;
pub mod lines;
pub mod service;
pub mod store;
pub mod xml;

use std::process::ExitCode;

use clap::Parser as _;
use guifi_core::{Error, Root, SIGHUP, notify};

use crate::cli::Cli;
use crate::config::Settings;
use crate::service::Service;

/// The daemon, `guifi-portald`.
#[must_use]
pub fn daemon_main() -> ExitCode {
    guifi_core::run("guifi-portald", || daemon(&Cli::parse(), &Root::from_env()))
}

/// `guifi-portal`.
#[must_use]
pub fn command_main() -> ExitCode {
    guifi_core::run("guifi-portal", || {
        guifi_bus::block_on(command::run(&cli::Command::parse()))
    })
}

fn daemon(cli: &Cli, root: &Root) -> Result<(), Error> {
    let settings = Settings::load(root)?;
    if cli.check {
        return Ok(());
    }
    let mut signals = guifi_core::signals()?;
    let service = Service::start(root, settings)?;
    notify::ready();
    for signal in signals.forever() {
        if signal != SIGHUP {
            break;
        }
        notify::reloading();
        match Settings::load(root) {
            Ok(settings) => service.reconfigure(settings),
            Err(e) => log::warn!("{e}; keeping the old configuration"),
        }
        notify::ready();
    }
    notify::stopping();
    service.stop()
}
