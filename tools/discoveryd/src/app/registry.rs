//! The daemon and the registry: news of the community, and who browses this link.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_bus::{REGISTRY, RegistryProxy};
use guifi_streams::Key;
use serde_json::Value;

use super::{App, lock};
use crate::{bridge, community};

/// Between two elections of the bridge.
const ELECTION: Duration = Duration::from_secs(120);
/// Between two attempts to reach the registry.
const RETRY: Duration = Duration::from_secs(10);

impl App {
    pub(super) async fn watch_registry(self: Arc<Self>) {
        if let Err(e) = self.follow_registry().await {
            log::debug!("no longer following the registry: {e}");
        }
    }

    pub(super) async fn follow_registry(&self) -> zbus::Result<()> {
        let bus = zbus::fdo::DBusProxy::new(&self.connection).await?;
        let mut owners = bus
            .receive_name_owner_changed_with_args(&[(0, REGISTRY.name)])
            .await?;
        let registry = RegistryProxy::new(&self.connection).await?;
        let mut changes = registry.receive_changed().await?;
        let mut retry = !self.catch_up(true).await;
        loop {
            tokio::select! {
                owner = owners.next() => {
                    if owner.is_none() {
                        return Ok(());
                    }
                    retry = !self.catch_up(true).await;
                }
                change = changes.next() => {
                    let Some(change) = change else { return Ok(()) };
                    // Every change of ours and of others comes by here: only a new epoch, which
                    // is a start or a joining, asks for a look at our own records.
                    let epoch = change.args().map(|a| a.epoch().clone()).unwrap_or_default();
                    let new = epoch != lock(&self.community).at().0;
                    retry = !self.catch_up(new).await;
                }
                () = tokio::time::sleep(RETRY), if retry => retry = !self.catch_up(true).await,
            }
        }
    }

    /// Takes the registry's news; after a start or a joining also brings it what is missing.
    /// Says whether the registry answered, or is simply not there.
    pub(super) async fn catch_up(&self, anew: bool) -> bool {
        let registered = zbus::fdo::DBusProxy::new(&self.connection).await;
        let there = match registered {
            Ok(bus) => match zbus::names::BusName::try_from(REGISTRY.name) {
                Ok(name) => bus.name_has_owner(name).await.unwrap_or(false),
                Err(_) => false,
            },
            Err(_) => false,
        };
        lock(&self.state).registry = there;
        if !there {
            // Its return is heard; what was known stays.
            return true;
        }
        let at = if anew {
            (String::new(), 0)
        } else {
            lock(&self.community).at()
        };
        let news = match community::ask(&self.connection, &at).await {
            Ok(news) => news,
            Err(e) => {
                log::warn!("{e}; trying again");
                return false;
            }
        };
        if lock(&self.community).take(news) {
            self.bump();
        }
        if anew {
            let joined = self
                .describe_registry()
                .await
                .is_some_and(|d| d["joined"] == true);
            lock(&self.state).joined = joined;
            if joined {
                self.with_publisher(async |p| p.reconcile().await).await;
                self.joined.notify_one();
            }
        }
        true
    }

    pub(super) async fn describe_registry(&self) -> Option<Value> {
        let registry = RegistryProxy::new(&self.connection).await.ok()?;
        serde_json::from_str(&registry.describe().await.ok()?).ok()
    }

    /// Finds out again and again who is the bridge; peers that do not answer take their time.
    pub(super) async fn watch_bridge(self: Arc<Self>) {
        loop {
            if lock(&self.state).joined {
                self.elect().await;
                // Either way it is time to look.
                let _ = tokio::time::timeout(ELECTION, self.joined.notified()).await;
            } else {
                self.joined.notified().await;
            }
        }
    }

    pub(super) async fn elect(&self) {
        let Some(document) = self.describe_registry().await else {
            return;
        };
        let Some(own) = document["key"].as_str().and_then(|k| k.parse::<Key>().ok()) else {
            return;
        };
        let boxes = lock(&self.community).boxes();
        let elected = bridge::elect(&self.connection, own, boxes).await;
        let before = std::mem::replace(&mut *lock(&self.bridge), elected.clone());
        if before != elected {
            match elected.other {
                Some(key) => log::info!("{key} browses this link for all"),
                None => log::info!("this box browses this link for all"),
            }
        }
        self.browse_if_bridge().await;
    }

    /// Whether this box browses all the time, for others too.
    pub(super) fn is_bridge(&self) -> bool {
        let bridge = lock(&self.bridge);
        bridge.own.is_some() && bridge.other.is_none() && bridge.members > 1
    }

    pub(super) async fn browse_if_bridge(&self) {
        let avahi = lock(&self.state).avahi;
        if avahi
            && self.is_bridge()
            && let Err(e) = self.link.browse(None).await
        {
            log::warn!("cannot browse the link: {e}; browsing when asked");
        }
    }
}
