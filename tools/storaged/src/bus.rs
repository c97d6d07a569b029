//! `net.guifi.Storage1` on the system bus, and what the registry tells there. Without the bus
//! shares are served all the same, if the community is known already or does not matter.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use guifi_bus::{Failure, STORAGE};
use guifi_core::Error;
use guifi_streams::Key;
use guifi_tahoe::announcement::KIND;
use tokio::time::{sleep, timeout};
use zbus::{Connection, connection, interface};

use crate::state::App;
use crate::store::Fault;
use crate::{announce, describe, keep, registry, streams};

/// How long the start waits for the bus.
const START: Duration = Duration::from_secs(5);
/// The longest pause between attempts to come back to the bus.
const LONGEST: Duration = Duration::from_secs(30);
/// What comes this close together is one change.
const PACE: Duration = Duration::from_secs(1);
/// The pause after a question that the registry did not answer.
const RETRY: Duration = Duration::from_secs(60);

struct Reads(Arc<App>);

struct Provider(Arc<App>);

struct Admin(Arc<App>);

fn failure(fault: Fault) -> Failure {
    match fault {
        Fault::TooMany => Failure::TryLater(fault.to_string()),
        fault => Failure::Failed(fault.to_string()),
    }
}

#[interface(name = "net.guifi.Storage1")]
impl Reads {
    async fn describe(&self) -> Result<String, Failure> {
        let document = describe::describe(&self.0).await.map_err(failure)?;
        Ok(document.to_string())
    }
}

#[interface(name = "net.guifi.Storage1.Provider")]
impl Provider {
    /// The account of this box itself, for its own gateway.
    async fn account(&self) -> Result<String, Failure> {
        let own = self.0.state().own.clone().unwrap_or_default();
        let key = own.key.filter(|_| own.joined);
        let key = key.and_then(|key| key.parse().ok());
        let key = key.unwrap_or(Key(self.0.identity.own));
        let owner = streams::owner(&self.0, key).await.map_err(failure)?;
        Ok(owner.document)
    }
}

#[interface(name = "net.guifi.Storage1.Admin")]
impl Admin {
    /// Every account with what it has here.
    async fn accounts(&self) -> Result<String, Failure> {
        let accounts = self.0.blocking(crate::store::Store::accounts).await;
        Ok(serde_json::Value::Array(accounts.map_err(failure)?).to_string())
    }

    /// Deletes what nobody wants any more, and says how much that was.
    async fn collect(&self) -> Result<String, Failure> {
        let done = keep::collect(&self.0).await.map_err(failure)?;
        serde_json::to_string(&done).map_err(|e| Failure::Failed(e.to_string()))
    }

    /// Has all shares looked at, beginning now.
    fn scrub(&self) {
        self.0.scrub.notify_one();
    }
}

/// Comes on the bus and stays there; returns after the first attempt.
pub(crate) async fn start(app: &Arc<App>) {
    let first = match timeout(START, serve(app)).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(e)) => {
            log::warn!("cannot come on the bus: {e}; going on without it");
            None
        }
        Err(_) => {
            log::warn!("the bus does not answer; going on without it");
            None
        }
    };
    tokio::spawn(stay(app.clone(), first));
}

async fn serve(app: &Arc<App>) -> zbus::Result<Connection> {
    connection::Builder::system()
        .serve_at(STORAGE.path, Reads(app.clone()))
        .serve_at(STORAGE.path, Provider(app.clone()))
        .serve_at(STORAGE.path, Admin(app.clone()))
        .name(STORAGE.name)
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
            log::warn!("the bus is gone; going on without it");
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
                        args.kinds.is_empty() || args.kinds.iter().any(|kind| kind == KIND)
                    });
                    if of_interest || !*app.joined.borrow() {
                        break;
                    }
                }
                // Where nobody has a registry there is nothing to wait for.
                () = sleep(RETRY), if !answered && *app.joined.borrow() => break,
            }
        }
        sleep(PACE).await;
        while let Some(Some(_)) = changes.next().now_or_never() {}
    }
}

/// Takes what the registry says.
async fn refresh(connection: &Connection, app: &Arc<App>) -> Result<(), Error> {
    let (own, published) = registry::look(connection).await?;
    let joined = own.joined;
    {
        let mut state = app.state();
        state.own = Some(own);
        state.published = published;
    }
    app.joined
        .send_if_modified(|known| std::mem::replace(known, joined) != joined);
    announce::settle(app).await;
    Ok(())
}

/// Asks the registry again: addresses change without being told here.
pub(crate) async fn look_again(app: &Arc<App>) {
    let bus = app.state().bus.clone();
    if let Some(bus) = bus.filter(|_| *app.joined.borrow())
        && let Err(e) = refresh(&bus, app).await
    {
        log::debug!("{e}");
    }
}
