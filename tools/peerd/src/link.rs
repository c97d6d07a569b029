//! Members on the same link, through Avahi: this box is announced as `_guifi-peer._udp`, and
//! what others announce helps to reach them. Nothing heard is believed: the peer proves its key
//! when it is dialled.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use guifi_bus::avahi::{AVAHI, AvahiEntryGroupProxy, AvahiServerProxy};
use guifi_streams::Key;
use tokio::time::{sleep, timeout};
use zbus::fdo::DBusProxy;
use zbus::{Connection, proxy};

use crate::heard::{self, Heard, Place};
use crate::node::{Node, lock};

/// The service type.
const TYPE: &str = "_guifi-peer._udp";
/// Avahi's "any interface" and "any protocol".
const ANY: i32 = -1;
/// Avahi's flag on results that this machine announces itself.
const LOCAL: u32 = 8;
/// How long resolving may take.
const RESOLVE: Duration = Duration::from_secs(10);
/// How long to wait after Avahi failed.
const AGAIN: Duration = Duration::from_secs(30);

#[proxy(
    interface = "org.freedesktop.Avahi.ServiceBrowser",
    default_service = "org.freedesktop.Avahi"
)]
trait Browser {
    fn start(&self) -> zbus::Result<()>;
    fn free(&self) -> zbus::Result<()>;
    #[zbus(signal)]
    fn item_new(
        &self,
        interface: i32,
        protocol: i32,
        name: String,
        r#type: String,
        domain: String,
        flags: u32,
    ) -> zbus::Result<()>;
    #[zbus(signal)]
    fn item_remove(
        &self,
        interface: i32,
        protocol: i32,
        name: String,
        r#type: String,
        domain: String,
        flags: u32,
    ) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.freedesktop.Avahi.ServiceResolver",
    default_service = "org.freedesktop.Avahi"
)]
trait Resolver {
    fn start(&self) -> zbus::Result<()>;
    fn free(&self) -> zbus::Result<()>;
    #[zbus(signal)]
    #[allow(clippy::too_many_arguments)] // Avahi's signature
    fn found(
        &self,
        interface: i32,
        protocol: i32,
        name: String,
        r#type: String,
        domain: String,
        host: String,
        address_protocol: i32,
        address: String,
        port: u16,
        txt: Vec<Vec<u8>>,
        flags: u32,
    ) -> zbus::Result<()>;
}

/// What is announced; a change begins anew.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Announcement {
    community: String,
    name: String,
    port: u16,
}

impl Announcement {
    fn of(node: &Node) -> Option<Self> {
        let members = node.members();
        let settings = node.settings();
        node.net().filter(|_| settings.announce)?;
        Some(Self {
            community: members.community.clone()?,
            name: members.name.clone(),
            port: settings.port,
        })
    }
}

/// Announces and listens while the box is joined and Avahi runs; ends with the bus.
pub(crate) async fn run(node: &Node, connection: &Connection) {
    if let Err(e) = watch(node, connection).await {
        log::debug!("watching Avahi ended: {e}");
    }
    connection.closed().await;
}

async fn watch(node: &Node, connection: &Connection) -> zbus::Result<()> {
    let bus = DBusProxy::new(connection).await?;
    let mut owners = bus
        .receive_name_owner_changed_with_args(&[(0, AVAHI)])
        .await?;
    let name = zbus::names::BusName::try_from(AVAHI)?;
    let mut present = bus.name_has_owner(name).await?;
    loop {
        let changed = node.reconfigured.notified();
        let wanted = Announcement::of(node).filter(|_| present);
        let session = async {
            match &wanted {
                Some(announcement) => {
                    if let Err(e) = session(node, connection, announcement).await {
                        log::info!("Avahi does not serve: {e}; trying again later");
                    }
                    sleep(AGAIN).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = session => {}
            owner = owners.next() => match owner {
                Some(owner) => present = owner.args()?.new_owner().is_some(),
                None => return Ok(()),
            },
            () = unchanged(node, &wanted, changed, present) => {}
        }
        lock(&node.link).clear();
    }
}

/// Resolves when there is something else to announce.
async fn unchanged(
    node: &Node,
    wanted: &Option<Announcement>,
    first: impl Future<Output = ()>,
    present: bool,
) {
    first.await;
    loop {
        let changed = node.reconfigured.notified();
        if Announcement::of(node).filter(|_| present) != *wanted {
            return;
        }
        changed.await;
    }
}

/// Frees what Avahi holds for this box, also when the session is given up half-way.
struct Held {
    group: Option<AvahiEntryGroupProxy<'static>>,
    browser: Option<BrowserProxy<'static>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (group, browser) = (self.group.take(), self.browser.take());
        tokio::spawn(async move {
            // Avahi itself may be gone.
            if let Some(group) = group {
                let _ = group.free().await;
            }
            if let Some(browser) = browser {
                let _ = browser.free().await;
            }
        });
    }
}

async fn session(
    node: &Node,
    connection: &Connection,
    announcement: &Announcement,
) -> zbus::Result<()> {
    let server = AvahiServerProxy::new(connection).await?;
    let mut held = Held {
        group: None,
        browser: None,
    };
    let path = server.entry_group_new().await?;
    let group = AvahiEntryGroupProxy::builder(connection)
        .path(path)
        .build()
        .await?;
    held.group = Some(group.clone());
    announce(node, &group, announcement).await?;
    let path = server
        .service_browser_prepare(ANY, ANY, TYPE, "", 0)
        .await?;
    let browser = BrowserProxy::builder(connection).path(path).build().await?;
    held.browser = Some(browser.clone());
    let mut new = browser.receive_item_new().await?;
    let mut gone = browser.receive_item_remove().await?;
    browser.start().await?;
    let mut heard = Heard::default();
    let mut resolving = FuturesUnordered::new();
    loop {
        let changed = node.reconfigured.notified();
        heard.know(node.members());
        while let Some((place, domain)) = heard.next() {
            let server = &server;
            resolving.push(async move {
                let found = resolve(connection, server, &place, &domain, announcement).await;
                (place, found.ok().flatten())
            });
        }
        tokio::select! {
            item = new.next() => {
                let Some(item) = item else { return Ok(()) };
                let item = item.args()?;
                if *item.flags() & LOCAL == 0 {
                    let place = (item.name().clone(), *item.interface(), *item.protocol());
                    heard.come(place, item.domain().clone());
                }
            }
            item = gone.next() => {
                let Some(item) = item else { return Ok(()) };
                let item = item.args()?;
                heard.go(&(item.name().clone(), *item.interface(), *item.protocol()));
            }
            Some((place, found)) = resolving.next() => {
                if let Some((key, address)) = found {
                    log::debug!("heard {key} at {address} on the link");
                }
                heard.found(&place, found);
            }
            () = changed => {}
        }
        *lock(&node.link) = heard.addresses();
    }
}

async fn announce(
    node: &Node,
    group: &AvahiEntryGroupProxy<'_>,
    announcement: &Announcement,
) -> zbus::Result<()> {
    let key = node.identity.public();
    let texts = [
        "v=1".to_owned(),
        format!("key={key}"),
        format!("community={}", announcement.community),
        format!("name={}", announcement.name),
    ];
    let txt: Vec<&[u8]> = texts
        .iter()
        .map(String::as_bytes)
        .filter(|t| t.len() <= 255)
        .collect();
    let name = heard::name(key);
    let port = announcement.port;
    group
        .add_service(ANY, ANY, 0, &name, TYPE, "", "", port, &txt)
        .await?;
    group.commit().await
}

async fn resolve(
    connection: &Connection,
    server: &AvahiServerProxy<'_>,
    (name, interface, protocol): &Place,
    domain: &str,
    own: &Announcement,
) -> zbus::Result<Option<(Key, SocketAddr)>> {
    let path = server
        .service_resolver_prepare(*interface, *protocol, name, TYPE, domain, ANY, 0)
        .await?;
    let resolver = ResolverProxy::builder(connection)
        .path(path)
        .build()
        .await?;
    let mut found = resolver.receive_found().await?;
    resolver.start().await?;
    let first = timeout(RESOLVE, found.next()).await;
    let read = match &first {
        Ok(Some(found)) => {
            let found = found.args()?;
            read(found.address(), *found.port(), found.txt(), &own.community)
        }
        _ => None,
    };
    // Also when nobody answered: Avahi keeps only so many.
    resolver.free().await?;
    Ok(read)
}

/// The key and address of an announcement of our community.
fn read(address: &str, port: u16, txt: &[Vec<u8>], own: &str) -> Option<(Key, SocketAddr)> {
    let value = |name: &str| {
        txt.iter().find_map(|entry| {
            let (key, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    };
    if value("community")? != own {
        return None;
    }
    let address: IpAddr = address.parse().ok()?;
    // A link-local IPv6 address says nothing without its interface.
    let usable = match address {
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        IpAddr::V4(_) => true,
    };
    let key = value("key")?.parse().ok()?;
    usable.then(|| (key, SocketAddr::new(address, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_announcements_of_our_community_are_read() {
        let key = Key([5; 32]);
        let txt = |key: &str, community: &str| {
            vec![
                b"v=1".to_vec(),
                b"\xff\xfe".to_vec(),
                format!("key={key}").into_bytes(),
                format!("COMMUNITY={community}").into_bytes(),
            ]
        };
        let good = txt(&key.to_string(), "ours");
        let expected = (key, SocketAddr::from(([192, 0, 2, 1], 7656)));
        assert_eq!(read("192.0.2.1", 7656, &good, "ours"), Some(expected));
        assert_eq!(read("192.0.2.1", 7656, &good, "theirs"), None);
        assert_eq!(read("fe80::1", 7656, &good, "ours"), None);
        assert_eq!(read("nonsense", 7656, &good, "ours"), None);
        assert_eq!(read("192.0.2.1", 7656, &txt("x", "ours"), "ours"), None);
        assert_eq!(read("192.0.2.1", 7656, &[], "ours"), None);
    }
}
