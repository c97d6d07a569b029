//! Name service of a box: authoritative for the community's domain from the registry's
//! records, forwarding for everything else.

#[cfg(test)]
mod ask;
pub mod batch;
pub mod board;
pub mod bus;
pub mod cache;
pub mod cli;
pub mod command;
pub mod common;
pub mod config;
pub mod cookie;
pub mod dot;
pub mod encode;
pub mod exchange;
pub mod feed;
pub mod forward;
pub mod guard;
pub mod health;
pub mod hosted;
pub mod keeper;
pub mod keys;
pub mod limit;
pub mod links;
pub mod listen;
pub mod metrics;
pub mod name;
pub mod notice;
pub mod portal;
pub mod query;
pub mod querylog;
pub mod record;
pub mod recursor;
pub mod resolv;
pub mod resolve;
pub mod respond;
pub mod secondary;
pub mod service;
pub mod signed;
pub mod state;
pub mod stats;
pub mod table;
pub mod tcp;
pub mod text;
pub mod transfer;
pub mod tsig;
pub mod udp;
pub mod update;
pub mod upstream;
pub mod zone;

use std::process::ExitCode;

use clap::Parser as _;
use guifi_core::{Error, Kind, Root, SIGHUP, notify};

use crate::cli::Cli;
use crate::config::Settings;
use crate::service::Service;

/// The daemon.
pub fn main() -> ExitCode {
    guifi_core::run("guifi-dnsd", || daemon(&Cli::parse(), &Root::from_env()))
}

fn daemon(cli: &Cli, root: &Root) -> Result<(), Error> {
    let settings = Settings::load(root)?;
    if cli.check {
        return Ok(());
    }
    if let Some(file) = &cli.recursor {
        return match recursor::write(root, &settings, file)? {
            true => Ok(()),
            false => Err(Error::silent(Kind::Failed)),
        };
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
