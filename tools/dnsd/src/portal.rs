//! The zones of guifi.net's portal, from guifi-portald over the bus: at the start, and whenever
//! it has new ones. When it is away the zones stay as they were.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_bus::{PORTAL, PortalProxy};
use tokio::sync::watch;
use tokio::time::sleep;
use zbus::fdo::DBusProxy;
use zbus::{Connection, OwnedFd};

use crate::config::Settings;
use crate::forward::Forwarder;
use crate::hosted::holder::Order;
use crate::hosted::portal::Document;

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
            let service = self.settings.borrow_and_update().portal_service;
            let Some(service) = service else {
                if self.settings.changed().await.is_err() {
                    return;
                }
                continue;
            };
            match self.follow_service(connection, service).await {
                Ok(()) => wait = RETRY,
                Err(e) => {
                    log::debug!("cannot get the zones of service {service}: {e}");
                    tokio::select! {
                        () = sleep(wait) => wait = (wait * 2).min(LONGEST),
                        _ = self.settings.changed() => {}
                    }
                }
            }
        }
    }

    /// Takes the zones of one service until another is configured.
    async fn follow_service(&mut self, connection: &Connection, service: u64) -> zbus::Result<()> {
        let portal = PortalProxy::new(connection).await?;
        // Listening first: what comes in between is then heard of twice, and not never.
        let mut refreshed = portal.receive_refreshed().await?;
        let bus = DBusProxy::new(connection).await?;
        let mut owners = bus
            .receive_name_owner_changed_with_args(&[(0, PORTAL.name)])
            .await?;
        self.take(portal.domains(service).await?, service);
        loop {
            tokio::select! {
                signal = refreshed.next() => {
                    let Some(signal) = signal else { return Ok(()) };
                    let arguments = signal.args()?;
                    if arguments.what == "domains" && arguments.id == service {
                        self.take(portal.domains(service).await?, service);
                    }
                }
                // A new daemon may have new data.
                owner = owners.next() => {
                    let Some(owner) = owner else { return Ok(()) };
                    if owner.args()?.new_owner().is_some() {
                        self.take(portal.domains(service).await?, service);
                    }
                }
                changed = self.settings.changed() => {
                    let same = self.settings.borrow().portal_service == Some(service);
                    if changed.is_err() || !same {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take(&self, fd: OwnedFd, service: u64) {
        match read(fd) {
            Ok(document) => {
                self.forwarder.elsewhere(document.elsewhere());
                let zones = document.zones();
                // The holder ends last.
                let _ = self.orders.send(Order::Portal { service, zones });
            }
            Err(e) => log::warn!("cannot read the zones of service {service}: {e}; they stay"),
        }
    }
}

fn read(fd: OwnedFd) -> std::io::Result<Document> {
    let mut file = File::from(std::os::fd::OwnedFd::from(fd));
    file.rewind()?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(std::io::Error::other)
}
