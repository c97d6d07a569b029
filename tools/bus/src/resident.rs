//! The life of a daemon on the bus that follows what the registry says of one kind of record:
//! it comes on the bus, comes back when that was gone, and looks again at every change.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use guifi_core::Error;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zbus::Connection;

use crate::{error, watch_registry};

/// How long an attempt to come on the bus may take.
const START: Duration = Duration::from_secs(5);
/// The longest pause between attempts to come back to the bus.
const LONGEST: Duration = Duration::from_secs(30);
/// What comes this close together is one change.
const PACE: Duration = Duration::from_secs(1);
/// The pause after a question that the registry did not answer.
const RETRY: Duration = Duration::from_secs(60);

/// A daemon that does its work without the bus, too.
pub trait Resident: Clone + Send + Sync + 'static {
    /// The records that it follows.
    const KIND: &'static str;

    /// Comes on the bus with all of its interfaces and its name.
    fn serve(&self) -> impl Future<Output = zbus::Result<Connection>> + Send;

    /// Takes what the registry says now.
    fn look(&self, bus: &Connection) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether the box is in a community, as far as is known. While it is not, any change may
    /// be news.
    fn is_joined(&self) -> bool;

    /// Whether a registry that did not answer is asked again before it comes anew.
    fn insists(&self) -> bool {
        true
    }

    /// The bus is there, or gone.
    fn on_bus(&self, _: Option<&Connection>) {}
}

/// Comes on the bus and stays there; returns after the first attempt.
pub async fn reside<R: Resident>(resident: R) -> JoinHandle<()> {
    let first = match timeout(START, resident.serve()).await {
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
    tokio::spawn(stay(resident, first))
}

async fn stay(resident: impl Resident, mut bus: Option<Connection>) {
    let mut pause = Duration::from_secs(1);
    loop {
        if let Some(connection) = bus.take() {
            resident.on_bus(Some(&connection));
            tokio::select! {
                () = connection.closed() => {}
                () = follow(&resident, &connection) => {}
            }
            resident.on_bus(None);
            log::warn!("the bus is gone; going on without it");
            pause = Duration::from_secs(1);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
        if let Ok(Ok(connection)) = timeout(START, resident.serve()).await {
            log::info!("on the bus");
            bus = Some(connection);
        }
    }
}

/// Follows the registry for as long as the connection lives.
async fn follow(resident: &impl Resident, bus: &Connection) {
    while let Err(e) = try_follow(resident, bus).await {
        log::debug!("{e}");
        sleep(RETRY).await;
    }
}

async fn try_follow<R: Resident>(resident: &R, bus: &Connection) -> Result<(), Error> {
    let (mut owners, mut changes) = watch_registry(bus)
        .await
        .map_err(|e| error("cannot follow the registry", e))?;
    loop {
        let answered = resident.look(bus).await.inspect_err(|e| log::debug!("{e}"));
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
                        args.kinds.is_empty() || args.kinds.iter().any(|kind| kind == R::KIND)
                    });
                    if of_interest || !resident.is_joined() {
                        break;
                    }
                }
                () = sleep(RETRY), if answered.is_err() && resident.insists() => break,
            }
        }
        sleep(PACE).await;
        while let Some(Some(_)) = changes.next().now_or_never() {}
    }
}
