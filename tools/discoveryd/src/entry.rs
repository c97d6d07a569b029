//! Services as entries of Avahi, each in a group of its own.

use std::net::IpAddr;

use guifi_bus::avahi::{AvahiEntryGroupProxy, AvahiServerProxy};
use zbus::{Connection, OwnedObjectPath};

use crate::avahi::{ANY, NO_REVERSE};

/// What Avahi answers when a program of this box has the name already.
const COLLISION: &str = "org.freedesktop.Avahi.CollisionError";

/// A service as Avahi shows it.
pub(crate) struct Entry<'a> {
    /// Index of the interface, or [`ANY`].
    pub(crate) interface: i32,
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    /// Name and addresses of the machine, none if they are in another group; none: this box.
    pub(crate) host: Option<(String, &'a [IpAddr])>,
    pub(crate) port: u16,
    pub(crate) txt: &'a [String],
}

/// The next name for a service whose name is another's.
pub(crate) async fn give_way(connection: &Connection, name: &str) -> Option<String> {
    let asked = async {
        AvahiServerProxy::new(connection)
            .await?
            .get_alternative_service_name(name)
            .await
    };
    match asked.await {
        Ok(other) => {
            log::info!("'{name}' is another's on this link: to be announced as '{other}'");
            Some(other)
        }
        Err(e) => {
            log::warn!("'{name}' is another's on this link, and no other name is found: {e}");
            None
        }
    }
}

/// Adds a service to a new or emptied group and commits it; none if its name is taken.
pub(crate) async fn add(
    connection: &Connection,
    group: Option<OwnedObjectPath>,
    entry: &Entry<'_>,
) -> zbus::Result<Option<OwnedObjectPath>> {
    let path = match group {
        Some(path) => path,
        None => {
            AvahiServerProxy::new(connection)
                .await?
                .entry_group_new()
                .await?
        }
    };
    let group = AvahiEntryGroupProxy::builder(connection)
        .path(path.clone())
        .build()
        .await?;
    let filled = fill(&group, entry).await;
    if !matches!(filled, Ok(true)) {
        // Not left behind in Avahi, which counts the groups of a client.
        let _ = group.free().await;
    }
    Ok(filled?.then_some(path))
}

/// Adds a machine in a group of its own, for all its services: Avahi walks over every copy of an
/// address for each question, so that one copy a service would cost the square of their number.
pub(crate) async fn add_machine(
    connection: &Connection,
    interface: i32,
    host: &str,
    addresses: &[IpAddr],
) -> zbus::Result<OwnedObjectPath> {
    let path = AvahiServerProxy::new(connection)
        .await?
        .entry_group_new()
        .await?;
    let group = AvahiEntryGroupProxy::builder(connection)
        .path(path.clone())
        .build()
        .await?;
    let filled = async {
        add_addresses(&group, interface, host, addresses).await?;
        group.commit().await
    };
    let filled = filled.await;
    if filled.is_err() {
        let _ = group.free().await;
    }
    filled.map(|()| path)
}

async fn add_addresses(
    group: &AvahiEntryGroupProxy<'_>,
    interface: i32,
    host: &str,
    addresses: &[IpAddr],
) -> zbus::Result<()> {
    for address in addresses {
        group
            .add_address(interface, ANY, NO_REVERSE, host, &address.to_string())
            .await?;
    }
    Ok(())
}

/// Fills a group; false if the service's name is taken.
async fn fill(group: &AvahiEntryGroupProxy<'_>, entry: &Entry<'_>) -> zbus::Result<bool> {
    group.reset().await?;
    let interface = entry.interface;
    let (host, addresses) = entry.host.clone().unwrap_or_default();
    add_addresses(group, interface, &host, addresses).await?;
    let txt: Vec<&[u8]> = entry.txt.iter().map(|t| t.as_bytes()).collect();
    let added = group
        .add_service(
            interface, ANY, 0, entry.name, entry.kind, "", &host, entry.port, &txt,
        )
        .await;
    match added {
        Err(zbus::Error::MethodError(error, ..)) if error.as_str() == COLLISION => Ok(false),
        Err(e) => Err(e),
        Ok(()) => group.commit().await.map(|()| true),
    }
}

/// Withdraws what a group shows.
pub(crate) async fn free(connection: &Connection, path: &OwnedObjectPath) {
    let freed = async {
        AvahiEntryGroupProxy::builder(connection)
            .path(path.clone())
            .build()
            .await?
            .free()
            .await
    };
    if let Err(e) = freed.await {
        log::debug!("cannot free an entry group: {e}");
    }
}
