//! `net.guifi.Mirror1` on the system bus, and what the registry tells there. Without the bus
//! the tree is served all the same.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use guifi_bus::{Failure, MIRROR};
use guifi_core::Error;
use tokio::time::{sleep, timeout};
use zbus::{Connection, connection, interface};

use crate::state::App;
use crate::{announce, book, describe};

/// How long the start waits for the bus.
const START: Duration = Duration::from_secs(5);
/// The longest pause between attempts to come back to the bus.
const LONGEST: Duration = Duration::from_secs(30);
/// What comes this close together is one change.
const PACE: Duration = Duration::from_secs(1);
/// The pause after a question that the registry did not answer.
const RETRY: Duration = Duration::from_secs(60);

struct Reads(Arc<App>);

struct Admin(Arc<App>);

#[interface(name = "net.guifi.Mirror1")]
impl Reads {
    fn describe(&self) -> String {
        describe::describe(&self.0).to_string()
    }
}

#[interface(name = "net.guifi.Mirror1.Admin")]
impl Admin {
    /// Checks everything, synchronises, and answers when that is done.
    async fn update(&self) -> Result<String, Failure> {
        let mut rounds = self.0.rounds.subscribe();
        let begin = *rounds.borrow_and_update();
        self.0.state().check = true;
        self.0.wake.notify_one();
        // One that is under way had begun before, and leaves the wish for a check standing.
        let finished = rounds.wait_for(|round| *round > begin && !self.0.state().check);
        finished
            .await
            .map_err(|_| Failure::Unavailable("the daemon is stopping".into()))?;
        Ok(describe::describe(&self.0).to_string())
    }
}

/// Comes on the bus and stays there; returns after the first attempt.
pub(crate) async fn start(app: &Arc<App>) {
    let first = match timeout(START, serve(app)).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(e)) => {
            log::warn!("cannot come on the bus: {e}; serving without it");
            None
        }
        Err(_) => {
            log::warn!("the bus does not answer; serving without it");
            None
        }
    };
    tokio::spawn(stay(app.clone(), first));
}

async fn serve(app: &Arc<App>) -> zbus::Result<Connection> {
    connection::Builder::system()
        .serve_at(MIRROR.path, Reads(app.clone()))
        .serve_at(MIRROR.path, Admin(app.clone()))
        .name(MIRROR.name)
        .build()
        .await
}

async fn stay(app: Arc<App>, mut bus: Option<Connection>) {
    let mut pause = Duration::from_secs(1);
    loop {
        if let Some(connection) = bus.take() {
            app.state().bus = Some(connection.clone());
            tokio::select! {
                () = connection.closed() => {}
                () = follow(&connection, &app) => {}
            }
            app.state().bus = None;
            log::warn!("the bus is gone; serving without it");
            pause = Duration::from_secs(1);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
        if let Ok(Ok(connection)) = timeout(START, serve(&app)).await {
            log::info!("on the bus");
            bus = Some(connection);
        }
    }
}

/// Follows the registry for as long as the connection lives.
async fn follow(connection: &Connection, app: &Arc<App>) {
    while let Err(e) = try_follow(connection, app).await {
        log::debug!("{e}");
        sleep(RETRY).await;
    }
}

async fn try_follow(connection: &Connection, app: &Arc<App>) -> Result<(), Error> {
    let attempt = |e: zbus::Error| guifi_bus::error("cannot follow the registry", e);
    let watch = guifi_bus::watch_registry(connection);
    let (mut owners, mut changes) = watch.await.map_err(attempt)?;
    loop {
        let answered = match refresh(connection, app).await {
            Ok(()) => true,
            Err(e) => {
                log::debug!("{e}");
                false
            }
        };
        loop {
            tokio::select! {
                owner = owners.next() => {
                    if owner.is_none() {
                        return Ok(());
                    }
                    break;
                }
                change = changes.next() => {
                    let Some(change) = change else { return Ok(()) };
                    // No kinds: all of them, as after joining.
                    let of_interest = change.args().is_ok_and(|args| {
                        args.kinds.is_empty() || args.kinds.iter().any(|kind| kind == book::KIND)
                    });
                    if of_interest || app.state().joined != Some(true) {
                        break;
                    }
                }
                () = sleep(RETRY), if !answered => break,
            }
        }
        sleep(PACE).await;
        while let Some(Some(_)) = changes.next().now_or_never() {}
    }
}

/// Takes what the registry says: whether to serve, whether somebody has a newer index, and
/// whether our own record is as it should be.
async fn refresh(connection: &Connection, app: &Arc<App>) -> Result<(), Error> {
    let settings = app.settings();
    let listing = book::list(connection, &settings.plan.suite).await?;
    let joined = listing.own.joined;
    let newer = {
        let mut state = app.state();
        let first = state.joined.replace(joined) != Some(joined);
        state.published = listing.published;
        let held = state.held.as_ref().map(|held| held.release.date);
        let dates = listing
            .mirrors
            .iter()
            .filter(|m| m.live && !m.own)
            .filter_map(|m| m.date);
        (first && joined) || (settings.boxes && joined && dates.max() > held)
    };
    app.open
        .send_if_modified(|open| std::mem::replace(open, joined) != joined);
    if newer {
        app.wake.notify_one();
    }
    announce::settle(app).await;
    Ok(())
}
