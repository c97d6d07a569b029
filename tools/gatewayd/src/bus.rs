//! `net.guifi.Gateway1` on the system bus, and what the registry tells there. Without the bus
//! the gateway serves all the same.

use guifi_bus::{Failure, GATEWAY, Resident, reside};
use guifi_core::{Error, Root};
use guifi_tahoe::announcement::KIND;
use tokio::task::JoinHandle;
use zbus::{Connection, connection, interface};

use crate::engine::Engine;
use crate::{grid, roster, status};

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

/// The daemon as the bus knows it.
#[derive(Clone)]
struct Gateway(Engine, Root);

impl Resident for Gateway {
    const KIND: &'static str = KIND;

    async fn serve(&self) -> zbus::Result<Connection> {
        let Self(engine, root) = self.clone();
        connection::Builder::system()
            .serve_at(GATEWAY.path, Reads(engine.clone()))
            .serve_at(GATEWAY.path, Admin(engine, root))
            .name(GATEWAY.name)
            .build()
            .await
    }

    /// An error leaves what was known.
    async fn look(&self, bus: &Connection) -> Result<(), Error> {
        let listing = grid::list(bus).await?;
        self.0.joined.send_replace(Some(listing.joined));
        roster::community(&self.0, listing.servers);
        Ok(())
    }

    fn is_joined(&self) -> bool {
        *self.0.joined.borrow() == Some(true)
    }
}

/// Comes on the bus and stays there; returns after the first attempt.
pub(crate) async fn start(engine: &Engine, root: &Root) -> JoinHandle<()> {
    reside(Gateway(engine.clone(), root.clone())).await
}
