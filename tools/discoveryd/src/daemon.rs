//! The daemon's life, from start to stop.

use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_core::{Error, Kind, Root, notify};
use tokio::signal::unix::{Signal, SignalKind, signal};
use zbus::{Connection, MessageStream};

use crate::app::App;
use crate::cli::Cli;
use crate::config::Settings;
use crate::{bus, declared};

/// The pauses between attempts to come back to the bus.
const RETRY: [u64; 4] = [1, 2, 5, 10];

struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// Runs the daemon until it is told to stop.
pub(crate) fn run(cli: &Cli, root: &Root) -> Result<(), Error> {
    let settings = Settings::load(root)?;
    if cli.check {
        let (_, faults) = declared::load(root);
        return match faults.first() {
            Some(fault) => Err(Error::new(Kind::Config, fault)),
            None => Ok(()),
        };
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|e| Error::failed(format!("cannot start the runtime: {e}")))?
        .block_on(daemon(settings, root))
}

async fn daemon(mut settings: Settings, root: &Root) -> Result<(), Error> {
    let watch =
        |kind| signal(kind).map_err(|e| Error::failed(format!("cannot watch signals: {e}")));
    let mut signals = Signals {
        hang_up: watch(SignalKind::hangup())?,
        terminate: watch(SignalKind::terminate())?,
        interrupt: watch(SignalKind::interrupt())?,
    };
    let mut failures = 0;
    loop {
        // All that this daemon does goes over the bus: without it there is only waiting.
        match Connection::system().await {
            Ok(connection) => {
                failures = 0;
                if serve(root, &mut settings, &connection, &mut signals).await? {
                    notify::stopping();
                    return Ok(());
                }
                log::warn!("the bus is gone; waiting for it");
            }
            Err(e) => {
                if failures == 0 {
                    log::warn!("the bus does not answer: {e}; waiting for it");
                    notify::ready();
                }
                failures += 1;
            }
        }
        let wait = Duration::from_secs(RETRY[failures.min(RETRY.len() - 1)]);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
        }
    }
}

/// Works on one connection; says whether the daemon is to stop, or the bus is gone.
async fn serve(
    root: &Root,
    settings: &mut Settings,
    connection: &Connection,
    signals: &mut Signals,
) -> Result<bool, Error> {
    let app = App::new(root.clone(), settings.clone(), connection.clone());
    let mut messages = MessageStream::from(connection);
    let served = bus::serve(connection, &app).await;
    if let Err(e) = served {
        return Err(Error::failed(format!(
            "cannot own {} on the bus: {e}",
            guifi_bus::DISCOVERY.name
        )));
    }
    app.reload(settings.clone()).await;
    let mut tasks = app.start();
    tasks.push(tokio::spawn(bus::tell(connection.clone(), app.clone())));
    notify::ready();
    let stop = loop {
        tokio::select! {
            message = messages.next() => if !matches!(message, Some(Ok(_))) { break false },
            _ = signals.terminate.recv() => break true,
            _ = signals.interrupt.recv() => break true,
            _ = signals.hang_up.recv() => {
                notify::reloading();
                match Settings::load(root) {
                    Ok(new) => {
                        *settings = new.clone();
                        app.reload(new).await;
                    }
                    Err(e) => log::warn!("{e}; keeping the old configuration"),
                }
                notify::ready();
            }
        }
    };
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(stop)
}
