//! The daemon's life: start, serving, signals, end.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use guifi_core::{Error, Kind, Root, notify};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::cli::Cli;
use crate::config::Settings;
use crate::engine::{Engine, Parts};
use crate::grid::Grid;
use crate::keys::Keys;
use crate::secrets::Secrets;
use crate::upload::Turns;
use crate::{bus, roster, socket, web};

/// Where the state is.
pub(crate) const STATE: &str = "/var/lib/guifi/gatewayd";
/// Where files wait that are being uploaded.
const CACHE: &str = "/var/cache/guifi/gatewayd";
/// Where clients on this machine come.
pub(crate) const SOCKET: &str = "/run/guifi/gatewayd.sock";
/// Where streams to other boxes are opened.
const PEERD: &str = "/run/guifi/peerd.sock";
/// Threads for the disk and the processor.
const THREADS: usize = 8;

/// Runs the daemon until it is told to stop.
pub(crate) fn run(cli: &Cli, root: &Root) -> Result<(), Error> {
    let settings = Settings::load(root)?;
    if cli.check {
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_keep_alive(Duration::from_secs(5))
        .build()
        .map_err(|e| Error::failed(format!("cannot start the runtime: {e}")))?
        .block_on(daemon(settings, root))
}

async fn daemon(settings: Settings, root: &Root) -> Result<(), Error> {
    let watch_signal = |kind| -> Result<Signal, Error> {
        signal(kind).map_err(|e| Error::failed(format!("cannot watch signals: {e}")))
    };
    let mut hang_up = watch_signal(SignalKind::hangup())?;
    let mut terminate = watch_signal(SignalKind::terminate())?;
    let mut interrupt = watch_signal(SignalKind::interrupt())?;
    let engine = engine(settings, root)?;
    roster::load(&engine, root)?;
    let doors = open(&engine, root).await?;
    let bus = bus::start(&engine, root).await;
    let keys = tokio::spawn(engine.keys.clone().fill());
    notify::ready();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                notify::reloading();
                reload(&engine, root);
                notify::ready();
            }
        }
    }
    notify::stopping();
    doors
        .iter()
        .chain([&bus, &keys])
        .for_each(JoinHandle::abort);
    Ok(())
}

fn engine(settings: Settings, root: &Root) -> Result<Engine, Error> {
    let (state, spool) = (root.join(STATE), root.join(CACHE));
    for directory in [&state, &spool] {
        fs::create_dir_all(directory)
            .map_err(|e| Error::failed(format!("cannot use {}: {e}", directory.display())))?;
    }
    Ok(Engine::new(Parts {
        grid: Grid::new(&root.join(PEERD)),
        secrets: Secrets::load(&state)?,
        settings: watch::Sender::new(settings),
        keys: Keys::new(),
        joined: watch::Sender::new(None),
        roster: watch::Sender::default(),
        turns: Turns::default(),
        spool,
    }))
}

/// Opens the doors and serves.
async fn open(engine: &Engine, root: &Root) -> Result<Vec<JoinHandle<()>>, Error> {
    let settings = engine.settings.borrow().clone();
    let places = Arc::new(Semaphore::new(settings.limits.connections));
    let socket = socket::listen(&root.join(SOCKET))?;
    let mut doors = vec![tokio::spawn(web::serve_unix(
        engine.clone(),
        socket,
        places.clone(),
    ))];
    if let Some(address) = settings.listen {
        let listener = TcpListener::bind(address).await.map_err(|e| {
            Error::new(Kind::Failed, format!("cannot listen on {address}: {e}"))
                .hint("another gateway has it? see listen and web in /etc/guifi/gatewayd.toml")
        })?;
        doors.push(tokio::spawn(web::serve_tcp(
            engine.clone(),
            listener,
            places,
        )));
    }
    Ok(doors)
}

fn reload(engine: &Engine, root: &Root) {
    match Settings::load(root) {
        Ok(settings) => {
            let old = engine.settings.borrow().clone();
            if (settings.listen, settings.limits.connections)
                != (old.listen, old.limits.connections)
            {
                log::warn!("listen, web and limits.connections take a restart");
            }
            engine.settings.send_replace(Settings {
                listen: old.listen,
                ..settings
            });
        }
        Err(e) => log::warn!("{e}; keeping the old configuration"),
    }
    if let Err(e) = roster::load(engine, root) {
        log::warn!("{e}; keeping the servers");
    }
}
