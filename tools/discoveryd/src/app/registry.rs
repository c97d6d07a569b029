//! The daemon and the registry: news of the community, and who browses this link.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_bus::{REGISTRY, RegistryProxy};
use guifi_streams::Key;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{App, lock};
use crate::near::{self, Proofs};
use crate::{bridge, community};

/// Between two elections of the bridge.
const ELECTION: Duration = Duration::from_secs(120);
/// Between two looks at the boxes that import for this one.
const WATCH: Duration = Duration::from_secs(3);
/// Between two attempts to reach the registry.
const RETRY: Duration = Duration::from_secs(10);

impl App {
    pub(super) async fn watch_registry(self: Arc<Self>) {
        if let Err(e) = self.follow_registry().await {
            log::debug!("no longer following the registry: {e}");
        }
    }

    pub(super) async fn follow_registry(&self) -> zbus::Result<()> {
        let (mut owners, mut changes) = guifi_bus::watch_registry(&self.connection).await?;
        let registry = RegistryProxy::new(&self.connection).await?;
        let mut synced = registry.receive_synced().await?;
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
                // A box that comes back, from a backup too, only now hears of its own last words:
                // others may know of removals that it does not.
                synced = synced.next() => {
                    if synced.is_none() {
                        return Ok(());
                    }
                    retry = !self.catch_up(true).await;
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
        let taken = lock(&self.community).take(news);
        let changed = match taken {
            Ok(changed) => changed,
            Err(e) => {
                log::warn!("{e}; trying again");
                return false;
            }
        };
        if changed {
            self.look_around();
            self.import_due.notify_one();
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
                self.tell_imports().await;
            }
            self.elect.notify_one();
        }
        true
    }

    pub(super) async fn describe_registry(&self) -> Option<Value> {
        let registry = RegistryProxy::new(&self.connection).await.ok()?;
        serde_json::from_str(&registry.describe().await.ok()?).ok()
    }

    /// Boxes near this one may have come, gone or changed their mind: a matter for an election.
    fn look_around(&self) {
        let interfaces = near::interfaces();
        let mut boxes = lock(&self.community).boxes();
        boxes.retain(|b| interfaces.iter().any(|i| i.holds(&b.addresses)));
        // Only these can show anything on a link of this box.
        let types = boxes.iter().flat_map(|b| b.imports.iter().cloned());
        self.link.expect(types.collect());
        let before = std::mem::replace(&mut *lock(&self.near), boxes.clone());
        if before != boxes {
            self.elect.notify_one();
        }
    }

    /// Finds out again and again who is the bridge; peers that do not answer take their time.
    pub(super) async fn watch_bridge(self: Arc<Self>) {
        let mut proofs = Proofs::new(&self.connection).await;
        loop {
            if lock(&self.state).joined {
                self.hold_election(proofs).await;
            } else {
                lock(&self.imports).duties.clear();
                self.import_due.notify_one();
            }
            proofs = self.until_election().await;
        }
    }

    /// Waits until something has changed, a box is missed that imports for this one, or it is
    /// time; gives what has been proved meanwhile.
    async fn until_election(&self) -> Proofs<'_> {
        let end = Instant::now() + ELECTION;
        loop {
            let others = lock(&self.imports).others.clone();
            let wait = if others.is_empty() { ELECTION } else { WATCH };
            let due = (Instant::now() + wait).min(end);
            let rung = timeout_at(due, self.elect.notified()).await.is_ok();
            let mut proofs = Proofs::new(&self.connection).await;
            if rung || due == end {
                return proofs;
            }
            for key in others {
                if !proofs.answers(key).await {
                    log::info!("{key}, which imports for this link, does not answer");
                    return proofs;
                }
            }
        }
    }

    async fn hold_election(&self, mut proofs: Proofs<'_>) {
        let Some(document) = self.describe_registry().await else {
            return;
        };
        let Some(own) = document["key"].as_str().and_then(|k| k.parse::<Key>().ok()) else {
            return;
        };
        let boxes = lock(&self.near).clone();
        let elected = bridge::elect(&mut proofs, own, &boxes).await;
        let before = std::mem::replace(&mut *lock(&self.bridge), elected.clone());
        if before != elected {
            match elected.other {
                Some(key) => log::info!("{key} browses this link for all"),
                None => log::info!("this box browses this link for all"),
            }
        }
        self.browse_if_bridge().await;
        self.assign(&mut proofs, own, &boxes).await;
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
