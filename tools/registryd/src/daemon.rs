//! The daemon's life, from start to stop.

use std::thread;
use std::time::Duration;

use guifi_core::{Error, Root, SIGHUP, notify};
use tokio::sync::mpsc;

use crate::bus::{self, GOODBYE};
use crate::cli::Cli;
use crate::config;
use crate::engine::{Engine, Handle};
use crate::net;
use crate::rights::Rights;

/// How long the start waits for the bus.
const BUS: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to stop.
pub(crate) fn run(cli: &Cli, root: &Root) -> Result<(), Error> {
    let tuning = config::load(root)?;
    let rights = Rights::load(root)?;
    if cli.check {
        return Ok(());
    }
    let mut signals = guifi_core::signals()?;
    let (notices, noticed) = mpsc::unbounded_channel();
    let (engine, handle, queue) = Engine::new(root.clone(), tuning, rights, notices);
    let working = thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || engine.run(&queue))
        .map_err(|e| Error::failed(format!("cannot start the engine: {e}")))?;
    net::watch(root.join(guifi_streams::SOCKET), handle.clone());
    serve_bus(handle.clone(), noticed)?;
    notify::ready();
    for signal in signals.forever() {
        if signal != SIGHUP {
            break;
        }
        notify::reloading();
        match config::load(root).and_then(|tuning| Ok((tuning, Rights::load(root)?))) {
            Ok((tuning, rights)) => {
                let mut rights = Some(rights);
                handle.send(move |engine| {
                    engine.reconfigure(tuning, rights.take().unwrap_or_default());
                });
            }
            Err(e) => log::warn!("{e}; keeping the old configuration"),
        }
        notify::ready();
    }
    notify::stopping();
    handle.send(Engine::say_goodbye);
    thread::sleep(GOODBYE);
    handle.send(Engine::stop);
    working
        .join()
        .map_err(|_| Error::failed("the engine has ended in disorder"))
}

/// Starts the bus thread and waits for the bus, for a while.
fn serve_bus(
    handle: Handle,
    notices: mpsc::UnboundedReceiver<crate::engine::Notice>,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|e| Error::failed(format!("cannot start the runtime: {e}")))?;
    let (ready, wait) = std::sync::mpsc::channel();
    thread::Builder::new()
        .name("bus".to_owned())
        .spawn(move || runtime.block_on(bus::serve(handle, notices, ready)))
        .map_err(|e| Error::failed(format!("cannot start the bus thread: {e}")))?;
    if wait.recv_timeout(BUS).is_err() {
        log::warn!("the bus does not answer; going on without it");
    }
    Ok(())
}
