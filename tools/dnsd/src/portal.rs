//! The zones of guifi.net's portal, from guifi-portald over the bus: at the start, and whenever
//! it has new ones. When it is away the zones stay as they were.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_bus::{PORTAL, PortalProxy, each_line};
use guifi_core::Error;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use zbus::fdo::DBusProxy;
use zbus::{Connection, OwnedFd};

use crate::config::{Portal, Settings};
use crate::forward::Forwarder;
use crate::hosted::holder::Order;
use crate::hosted::portal::{Defined, Document};
use crate::hosted::reverse::{self, Address};

/// The pause after a failed question; doubled up to the longest.
const RETRY: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(3600);
/// Octets of the document at most.
const MAX_BYTES: u64 = 64 << 20;

/// What a feed needs.
#[derive(Clone)]
pub struct Feed {
    /// The configuration, for the number of the service.
    pub settings: watch::Receiver<Settings>,
    /// The way to the holder.
    pub orders: Sender<Order>,
    /// Who forwards the zones of others.
    pub forwarder: Arc<Forwarder>,
}

impl Feed {
    /// Follows the portal's data as long as the bus is there.
    pub async fn follow(mut self, connection: &Connection) {
        let mut wait = RETRY;
        loop {
            let portal = self.settings.borrow_and_update().portal;
            let Some(wanted) = portal else {
                if self.settings.changed().await.is_err() {
                    return;
                }
                continue;
            };
            match self.follow_portal(connection, wanted).await {
                Ok(()) => wait = RETRY,
                Err(e) => {
                    log::debug!("cannot get zones from the portal's data: {e}");
                    tokio::select! {
                        () = sleep(wait) => wait = (wait * 2).min(LONGEST),
                        _ = self.settings.changed() => {}
                    }
                }
            }
        }
    }

    /// Takes what is wanted, until something else is.
    async fn follow_portal(&mut self, connection: &Connection, wanted: Portal) -> zbus::Result<()> {
        let portal = PortalProxy::new(connection).await?;
        // Listening first: what comes in between is then heard of twice, and not never.
        let mut refreshed = portal.receive_refreshed().await?;
        let bus = DBusProxy::new(connection).await?;
        let mut owners = bus
            .receive_name_owner_changed_with_args(&[(0, PORTAL.name)])
            .await?;
        self.take(&portal, wanted).await?;
        loop {
            tokio::select! {
                signal = refreshed.next() => {
                    let Some(signal) = signal else { return Ok(()) };
                    let arguments = signal.args()?;
                    match arguments.what.as_str() {
                        "domains" if arguments.id == wanted.service => {}
                        "addresses" if wanted.reverse => {}
                        _ => continue,
                    }
                    self.take(&portal, wanted).await?;
                }
                // A new daemon may have new data.
                owner = owners.next() => {
                    let Some(owner) = owner else { return Ok(()) };
                    if owner.args()?.new_owner().is_some() {
                        self.take(&portal, wanted).await?;
                    }
                }
                changed = self.settings.changed() => {
                    let same = self.settings.borrow().portal == Some(wanted);
                    if changed.is_err() || !same {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes all zones at once: those that are not among them are the portal's no more.
    async fn take(&self, portal: &PortalProxy<'_>, wanted: Portal) -> zbus::Result<()> {
        let service = wanted.service;
        let domains = match service {
            0 => None,
            service => Some(portal.domains(service).await?),
        };
        let addresses = match wanted.reverse {
            true => Some(portal.addresses().await?),
            false => None,
        };
        // Apart from the thread that answers: there may be tens of thousands of addresses.
        let read = spawn_blocking(move || -> Result<(Document, Vec<Defined>), Error> {
            let document = domains.map(read).transpose()?.unwrap_or_default();
            let mut zones = document.zones();
            if let Some(fd) = addresses {
                let lines = each_line::<Address>(fd)?.collect::<Result<Vec<_>, _>>()?;
                zones.extend(reverse::zones(lines));
            }
            Ok((document, zones))
        });
        let failed = |e: String| zbus::Error::Failure(e);
        let read = read.await.map_err(|e| failed(e.to_string()))?;
        let (document, zones) = read.map_err(|e| failed(e.to_string()))?;
        self.forwarder.elsewhere(document.elsewhere());
        let order = Order::Portal {
            service,
            zones,
            copies: document.copies(),
        };
        let _ = self.orders.send(order); // the holder ends last
        Ok(())
    }
}

fn read(fd: OwnedFd) -> Result<Document, Error> {
    let broken = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read the domains: {e}"));
    let mut file = File::from(std::os::fd::OwnedFd::from(fd));
    file.rewind().map_err(|e| broken(&e))?;
    let mut text = String::new();
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| broken(&e))?;
    serde_json::from_str(&text).map_err(|e| broken(&e))
}
