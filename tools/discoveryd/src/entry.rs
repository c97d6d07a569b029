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
    /// Name and addresses of the machine; none: this box.
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

/// Fills a group; false if the service's name is taken.
async fn fill(group: &AvahiEntryGroupProxy<'_>, entry: &Entry<'_>) -> zbus::Result<bool> {
    group.reset().await?;
    let interface = entry.interface;
    let (host, addresses) = entry.host.clone().unwrap_or_default();
    for address in addresses {
        group
            .add_address(interface, ANY, NO_REVERSE, &host, &address.to_string())
            .await?;
    }
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
