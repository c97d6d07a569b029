//! The daemon's life: start, serving, signals, end.

use std::sync::Arc;
use std::time::Duration;

use guifi_core::{Error, Root, notify};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::cli::Cli;
use crate::config::Settings;
use crate::keep::keep;
use crate::serve::{addresses, bind};
use crate::state::{App, Listen, State};
use crate::tree::Tree;
use crate::{announce, bus};

/// Where the state is.
const STATE: &str = "/var/lib/guifi/mirrord";
/// Addresses that are taken are tried again so often.
const RETRY: Duration = Duration::from_secs(60);
/// How long withdrawing the record may take at the end.
const GOODBYE: Duration = Duration::from_secs(3);

/// Runs the daemon until it is told to stop.
pub(crate) fn run(cli: &Cli, root: &Root) -> Result<(), Error> {
    let settings = Settings::load(root)?;
    if cli.check {
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(5))
        .build()
        .map_err(|e| Error::failed(format!("cannot start the runtime: {e}")))?
        .block_on(daemon(settings, root))
}

async fn daemon(settings: Settings, root: &Root) -> Result<(), Error> {
    let watch = |kind| -> Result<Signal, Error> {
        signal(kind).map_err(|e| Error::failed(format!("cannot watch signals: {e}")))
    };
    let mut hang_up = watch(SignalKind::hangup())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    let tree = Tree::open(&root.join(STATE), &settings.plan.suite)?;
    let held = tree.held(settings.plan.limits).unwrap_or_else(|e| {
        log::warn!("{e}; the tree is made anew");
        None
    });
    let app = App::new(
        root,
        settings,
        tree,
        State {
            held,
            check: true,
            ..State::default()
        },
    );
    bus::start(&app).await;
    let tasks = [
        tokio::spawn(serve(app.clone())),
        tokio::spawn(keep(app.clone())),
    ];
    notify::ready();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                notify::reloading();
                match Settings::load(&app.root) {
                    Ok(settings) if settings.plan.suite != app.settings().plan.suite => {
                        log::warn!("another suite takes a restart; keeping the old configuration");
                    }
                    Ok(settings) => {
                        app.settings.send_replace(settings);
                        app.wake.notify_one();
                    }
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

/// Serves while this box is in a community, or that is not known.
async fn serve(app: Arc<App>) {
    let (mut settings, mut open) = (app.settings.subscribe(), app.open.subscribe());
    loop {
        let now = settings.borrow_and_update().clone();
        let is_open = *open.borrow_and_update();
        let wanted = if is_open {
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
            .map(|l| app.shop.serve(l, now.connections, now.idle));
        tokio::select! {
            _ = futures_util::future::join_all(served), if !listeners.is_empty() => {}
            _ = settings.changed() => {}
            _ = open.changed() => {}
            () = sleep(RETRY), if incomplete => {}
        }
    }
}
