//! `net.guifi.Gateway1` on the system bus, and what the registry tells there. Without the bus
//! the gateway serves all the same.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use guifi_bus::{Failure, GATEWAY};
use guifi_core::{Error, Root};
use guifi_tahoe::announcement::KIND;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zbus::{Connection, connection, interface};

use crate::engine::Engine;
use crate::{grid, roster, status};

/// How long the start waits for the bus.
const START: Duration = Duration::from_secs(5);
/// The longest pause between attempts to come back to the bus.
const LONGEST: Duration = Duration::from_secs(30);
/// What comes this close together is one change.
const PACE: Duration = Duration::from_secs(1);
/// The pause after a question that the registry did not answer.
const RETRY: Duration = Duration::from_secs(60);

struct Reads(Engine);

struct Admin(Engine, Root);

#[interface(name = "net.guifi.Gateway1")]
impl Reads {
    fn describe(&self) -> String {
        let engine = self.0.clone();
        // What comes of it is in the next answer.
        tokio::spawn(async move { status::refresh(&engine).await });
        status::describe(&self.0).to_string()
    }
}

#[interface(name = "net.guifi.Gateway1.Admin")]
impl Admin {
    /// All servers as a `servers.yaml`, with what gives access to them.
    fn export_servers(&self) -> String {
        grid::export(&self.0.grid)
    }

    /// Takes a `servers.yaml` in place of the one imported before; gives how many it has.
    async fn import_servers(&self, text: String) -> Result<u32, Failure> {
        let (engine, root) = (self.0.clone(), self.1.clone());
        let import = move || roster::import(&engine, &root, &text);
        let count = tokio::task::spawn_blocking(import)
            .await
            .map_err(|e| Failure::Failed(e.to_string()))??;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Comes on the bus and stays there; returns after the first attempt.
pub(crate) async fn start(engine: &Engine, root: &Root) -> JoinHandle<()> {
    let first = match timeout(START, serve(engine, root)).await {
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
    tokio::spawn(stay(engine.clone(), root.clone(), first))
}

async fn serve(engine: &Engine, root: &Root) -> zbus::Result<Connection> {
    connection::Builder::system()
        .serve_at(GATEWAY.path, Reads(engine.clone()))
        .serve_at(GATEWAY.path, Admin(engine.clone(), root.clone()))
        .name(GATEWAY.name)
        .build()
        .await
}

async fn stay(engine: Engine, root: Root, mut bus: Option<Connection>) {
    let mut pause = Duration::from_secs(1);
    loop {
        if let Some(connection) = bus.take() {
            tokio::select! {
                () = connection.closed() => {}
                () = follow(&connection, &engine) => {}
            }
            log::warn!("the bus is gone; serving without it");
            pause = Duration::from_secs(1);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
        if let Ok(Ok(connection)) = timeout(START, serve(&engine, &root)).await {
            log::info!("on the bus");
            bus = Some(connection);
        }
    }
}

/// Follows the registry for as long as the connection lives.
async fn follow(connection: &Connection, engine: &Engine) {
    while let Err(e) = try_follow(connection, engine).await {
        log::debug!("{e}");
        sleep(RETRY).await;
    }
}

async fn try_follow(connection: &Connection, engine: &Engine) -> Result<(), Error> {
    let attempt = |e: zbus::Error| guifi_bus::error("cannot follow the registry", e);
    let watch = guifi_bus::watch_registry(connection);
    let (mut owners, mut changes) = watch.await.map_err(attempt)?;
    loop {
        let answered = match grid::list(connection).await {
            Ok(listing) => {
                engine.joined.send_replace(Some(listing.joined));
                roster::community(engine, listing.servers);
                true
            }
            Err(e) => {
                // What was known stays.
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
                    if of_interest || *engine.joined.borrow() != Some(true) {
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
