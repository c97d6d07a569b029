//! The bus as all tools see it: names, client proxies, error names and what they mean.
//!
//! The contract itself is the XML in `systemd/dbus-1/interfaces/`; a test of each daemon
//! compares it with what the daemon introspects.

pub mod avahi;
mod discovery;
mod dns;
mod error;
mod gateway;
pub mod instance;
mod lines;
mod mirror;
mod peer;
mod portal;
mod registry;
mod resident;
mod storage;

pub use discovery::{DiscoveryAdminProxy, DiscoveryProxy};
pub use dns::{DnsAdminProxy, DnsProxy};
pub use error::{Failure, error, is_waiting};
pub use gateway::{GatewayAdminProxy, GatewayProxy};
pub use lines::{each_line, read_lines, sealed_file};
pub use mirror::{MirrorAdminProxy, MirrorProxy};
pub use peer::{PeerAdminProxy, PeerProxy};
pub use portal::{PortalAdminProxy, PortalProxy, RefreshedStream};
pub use registry::{RegistryAdminProxy, RegistryProviderProxy, RegistryProxy, watch_registry};
pub use resident::{Resident, reside};
pub use storage::{StorageAdminProxy, StorageProviderProxy, StorageProxy};

use guifi_core::{Error, Kind};

/// A service on the system bus: its well-known name and its one object.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Well-known bus name.
    pub name: &'static str,
    /// Path of the object.
    pub path: &'static str,
    /// The unit that owns the name, for hints.
    pub unit: &'static str,
}

/// The transport.
pub const PEER: Service = service("net.guifi.Peer1", "/net/guifi/Peer1", "guifi-peerd");
/// The registry.
pub const REGISTRY: Service = service(
    "net.guifi.Registry1",
    "/net/guifi/Registry1",
    "guifi-registryd",
);
/// Service discovery.
pub const DISCOVERY: Service = service(
    "net.guifi.Discovery1",
    "/net/guifi/Discovery1",
    "guifi-discoveryd",
);
/// Name service.
pub const DNS: Service = service("net.guifi.Dns1", "/net/guifi/Dns1", "guifi-dnsd");
/// Gateway to the storage grid.
pub const GATEWAY: Service = service(
    "net.guifi.Gateway1",
    "/net/guifi/Gateway1",
    "guifi-gatewayd",
);
/// Mirror of the package repository.
pub const MIRROR: Service = service("net.guifi.Mirror1", "/net/guifi/Mirror1", "guifi-mirrord");
/// Data of guifi.net's portal.
pub const PORTAL: Service = service("net.guifi.Portal1", "/net/guifi/Portal1", "guifi-portald");
/// Storage server.
pub const STORAGE: Service = service(
    "net.guifi.Storage1",
    "/net/guifi/Storage1",
    "guifi-storaged",
);

const fn service(name: &'static str, path: &'static str, unit: &'static str) -> Service {
    Service { name, path, unit }
}

/// Runs one asynchronous task to its end on this thread: what a command needs of a runtime.
///
/// # Errors
/// Those of the task, or [`Kind::Failed`] if the runtime cannot start.
pub fn block_on<T>(task: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("cannot start the runtime: {e}")))?
        .block_on(task)
}

/// Connects to the system bus.
///
/// # Errors
/// [`Kind::Unavailable`] if there is no bus.
pub async fn connect() -> Result<zbus::Connection, Error> {
    zbus::Connection::system().await.map_err(|e| {
        Error::new(
            Kind::Unavailable,
            format!("cannot reach the system bus: {e}"),
        )
        .hint("systemctl status dbus")
    })
}
