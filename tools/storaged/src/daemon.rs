//! The daemon's life: start, serving, signals, end.

use std::sync::Arc;
use std::time::Duration;

use guifi_core::{Error, Root, notify};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::cli::Cli;
use crate::config::Settings;
use crate::http::Shop;
use crate::identity::Identity;
use crate::serve::{addresses, bind, over_tcp};
use crate::state::{App, Listen};
use crate::store::Store;
use crate::{announce, bus, keep, streams};

/// Where the state is.
const STATE: &str = "/var/lib/guifi/storaged";
/// Addresses that are taken are tried again so often.
const RETRY: Duration = Duration::from_secs(60);
/// How long withdrawing the record may take at the end.
const GOODBYE: Duration = Duration::from_secs(3);
/// Threads for what blocks.
const THREADS: usize = 8;

/// Runs the daemon until it is told to stop.
pub(crate) fn run(cli: &Cli, root: &Root) -> Result<(), Error> {
    let settings = Settings::load(root)?;
    if cli.check {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_keep_alive(Duration::from_secs(5))
        .build()
        .map_err(|e| Error::failed(format!("cannot start the runtime: {e}")))?;
    runtime.block_on(daemon(settings, root))?;
    // A share that is being looked at is no reason to wait.
    runtime.shutdown_timeout(GOODBYE);
    Ok(())
}

fn open(settings: Settings, root: &Root) -> Result<Arc<App>, Error> {
    let directory = root.join(STATE);
    std::fs::create_dir_all(&directory)
        .map_err(|e| Error::failed(format!("cannot make {}: {e}", directory.display())))?;
    let identity = Identity::open(&directory)?;
    let opened = Store::open(&directory, settings.bounds, settings.limits);
    let (store, found) = opened.map_err(|e| {
        Error::failed(format!(
            "cannot open the store in {}: {e}",
            directory.display()
        ))
    })?;
    if let Some(aside) = &found.set_aside {
        log::error!("the database was damaged; it is now {}", aside.display());
    }
    if let Some(count) = found.rebuilt {
        log::warn!(
            "the books were made anew from the files of {count} shares; their leases begin now"
        );
    }
    store
        .enter(crate::store::PUBLIC, &identity.swissnum)
        .map_err(|e| Error::failed(format!("cannot open the account of everybody: {e}")))?;
    let shop = Shop::new(store, settings.rates);
    App::new(root, settings, identity, shop, found)
}

async fn daemon(settings: Settings, root: &Root) -> Result<(), Error> {
    let watch = |kind| -> Result<Signal, Error> {
        signal(kind).map_err(|e| Error::failed(format!("cannot watch signals: {e}")))
    };
    let mut hang_up = watch(SignalKind::hangup())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    let app = open(settings, root)?;
    bus::start(&app).await;
    let tasks = [
        tokio::spawn(serve(app.clone())),
        tokio::spawn(streams::serve(app.clone())),
        tokio::spawn(keep::uploads(app.clone())),
        tokio::spawn(keep::leases(app.clone())),
        tokio::spawn(keep::shares(app.clone())),
        tokio::spawn(keep::record(app.clone())),
    ];
    notify::ready();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                notify::reloading();
                match Settings::load(&app.root) {
                    Ok(settings) => reconfigure(&app, settings),
                    Err(e) => log::warn!("{e}; keeping the old configuration"),
                }
                notify::ready();
            }
        }
    }
    notify::stopping();
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    // The registry may be stopping, too.
    let _ = timeout(GOODBYE, announce::withdraw(&app)).await;
    Ok(())
}

fn reconfigure(app: &App, settings: Settings) {
    app.shop.store.set_bounds(settings.bounds, settings.limits);
    for (pace, rate) in app.shop.paces.iter().zip(settings.rates) {
        pace.set(rate);
    }
    app.settings.send_replace(settings);
}

/// Serves over TCP while this box is in a community, or is told to serve anyway.
async fn serve(app: Arc<App>) {
    let (mut settings, mut joined) = (app.settings.subscribe(), app.joined.subscribe());
    loop {
        let now = settings.borrow_and_update().clone();
        joined.borrow_and_update();
        let wanted = if app.is_open() {
            addresses(&now.listen, now.port)
        } else {
            Vec::new()
        };
        let (mut listeners, mut report) = (Vec::new(), Vec::new());
        for address in wanted {
            let (state, reason) = match bind(address) {
                Ok(listener) => {
                    listeners.push(listener);
                    ("listening", None)
                }
                Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                    ("taken", Some(e.to_string()))
                }
                Err(e) => ("failed", Some(e.to_string())),
            };
            if let Some(reason) = &reason {
                log::warn!("cannot serve on {address}: {reason}; trying again");
            }
            report.push(Listen {
                address: address.to_string(),
                state,
                reason,
            });
        }
        let incomplete = report.iter().any(|listen| listen.state != "listening");
        app.state().listen = report;
        announce::settle(&app).await;
        let served = listeners
            .iter()
            .map(|listener| over_tcp(&app.shop, &app.tls, &app.door, listener, now.connections));
        tokio::select! {
            _ = futures_util::future::join_all(served), if !listeners.is_empty() => {}
            () = otherwise(&mut settings, &now) => {}
            _ = joined.changed() => {}
            () = sleep(RETRY), if incomplete => {}
        }
    }
}

/// Waits until the configuration asks for another way of serving. What is under way goes on
/// otherwise.
async fn otherwise(settings: &mut watch::Receiver<Settings>, now: &Settings) {
    let how = |s: &Settings| (s.listen.clone(), s.port, s.connections, s.standalone);
    let changed = settings.wait_for(|new| how(new) != how(now)).await;
    // The sender lives as long as the daemon.
    drop(changed);
}
