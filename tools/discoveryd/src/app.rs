//! Everything of the daemon that lives as long as one connection to the bus: when the bus goes
//! away it is dropped whole and made anew.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_bus::avahi::{AVAHI, AvahiServerProxy};
use guifi_bus::{REGISTRY, RegistryProxy};
use guifi_core::Root;
use guifi_streams::Key;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use zbus::Connection;

use crate::bridge::{self, Bridge, Question};
use crate::community::{self, Community};
use crate::config::Settings;
use crate::link::Link;
use crate::publisher::{Active, Publisher};
use crate::service::Service;
use crate::store::Store;
use crate::{avahi, browse, declared, health};

/// Between two elections of the bridge.
const ELECTION: Duration = Duration::from_secs(120);
/// Between the first two checks of a service that does not answer.
const SOON: Duration = Duration::from_secs(1);
/// Checks under way at a time.
const CHECKS: usize = 16;
/// Between two attempts to reach the registry.
const RETRY: Duration = Duration::from_secs(10);

/// The parts and what they share.
pub(crate) struct App {
    pub(crate) root: Root,
    pub(crate) connection: Connection,
    publisher: tokio::sync::Mutex<Publisher>,
    settings: Mutex<Settings>,
    link: Link,
    community: Mutex<Community>,
    bridge: Mutex<Bridge>,
    faults: Mutex<Vec<String>>,
    /// The services of this box as documents: readers do not wait for a slow publisher.
    own: Mutex<Vec<Value>>,
    state: Mutex<Standing>,
    sequence: AtomicU64,
    changed: Notify,
    look: Notify,
    joined: Notify,
}

#[derive(Clone, Debug, Default)]
struct Standing {
    avahi: bool,
    avahi_reason: Option<String>,
    registry: bool,
    joined: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    pub(crate) fn new(root: Root, settings: Settings, connection: Connection) -> Arc<Self> {
        let store = Store::load(&root);
        let publisher = Publisher::new(connection.clone(), store, settings.lifetime_seconds());
        Arc::new(Self {
            link: Link::new(connection.clone()),
            root,
            connection,
            publisher: tokio::sync::Mutex::new(publisher),
            settings: Mutex::new(settings),
            community: Mutex::default(),
            bridge: Mutex::default(),
            faults: Mutex::default(),
            own: Mutex::default(),
            state: Mutex::default(),
            sequence: AtomicU64::new(0),
            changed: Notify::new(),
            look: Notify::new(),
            joined: Notify::new(),
        })
    }

    fn socket(&self) -> PathBuf {
        self.root.join(guifi_streams::SOCKET)
    }

    pub(crate) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// Works on this box's services, then lets readers see them.
    async fn with_publisher<T>(&self, work: impl AsyncFnOnce(&mut Publisher) -> T) -> T {
        let mut publisher = self.publisher.lock().await;
        let done = work(&mut publisher).await;
        *lock(&self.own) = publisher.services().map(Active::json).collect();
        done
    }

    /// Something that `Browse` answers has changed.
    pub(crate) fn bump(&self) {
        self.sequence.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits for the next change and gives its number.
    pub(crate) async fn next_change(&self) -> u64 {
        self.changed.notified().await;
        self.sequence.load(Ordering::Relaxed)
    }

    /// Reads configuration and declarations again.
    pub(crate) async fn reload(&self, settings: Settings) {
        let lifetime = settings.lifetime_seconds();
        *lock(&self.settings) = settings;
        let (services, faults) = declared::load(&self.root);
        faults
            .iter()
            .for_each(|f| log::warn!("{f}; going on without it"));
        *lock(&self.faults) = faults;
        self.with_publisher(async |publisher| {
            publisher.set_lifetime(lifetime);
            publisher.declare(services).await;
        })
        .await;
        self.look.notify_one();
    }

    /// Starts all tasks; they end when the runtime drops them.
    pub(crate) fn start(self: &Arc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        let (questions, asked) = mpsc::channel(16);
        bridge::serve(self.socket(), questions);
        vec![
            tokio::spawn(self.clone().watch_avahi()),
            tokio::spawn(self.clone().watch_registry()),
            tokio::spawn(self.clone().watch_bridge()),
            tokio::spawn(self.clone().watch_health()),
            tokio::spawn(self.clone().answer(asked)),
        ]
    }

    async fn watch_avahi(self: Arc<Self>) {
        if let Err(e) = self.follow_avahi().await {
            log::debug!("no longer following Avahi: {e}");
        }
    }

    async fn follow_avahi(&self) -> zbus::Result<()> {
        let bus = zbus::fdo::DBusProxy::new(&self.connection).await?;
        let mut owners = bus
            .receive_name_owner_changed_with_args(&[(0, AVAHI)])
            .await?;
        let mut signals = avahi::signals(&self.connection).await?;
        self.avahi_state().await;
        loop {
            tokio::select! {
                owner = owners.next() => {
                    if owner.is_none() {
                        return Ok(());
                    }
                    self.link.clear();
                    self.with_publisher(async |p| p.link_down()).await;
                    lock(&self.state).avahi = false;
                    self.bump();
                    self.avahi_state().await;
                }
                signal = signals.next() => {
                    let Some(Ok(message)) = signal else { return Ok(()) };
                    self.avahi_signal(&message).await;
                }
            }
        }
    }

    /// Looks whether Avahi is there and its names are settled.
    async fn avahi_state(&self) {
        let asked = async {
            AvahiServerProxy::new(&self.connection)
                .await?
                .get_state()
                .await
        };
        let (running, reason) = match asked.await {
            Ok(avahi::RUNNING) => (true, None),
            Ok(state) => (
                false,
                Some(format!("its names are not settled: state {state}")),
            ),
            Err(e) => (false, Some(guifi_bus::error("gone", e).to_string())),
        };
        let was = {
            let mut state = lock(&self.state);
            state.avahi_reason = reason;
            std::mem::replace(&mut state.avahi, running)
        };
        if running && !was {
            self.with_publisher(async |p| p.link_up().await).await;
            self.browse_if_bridge().await;
            self.bump();
        }
    }

    async fn avahi_signal(&self, message: &zbus::Message) {
        let header = message.header();
        let place = (
            header.interface().map(|i| i.as_str()),
            header.member().map(|m| m.as_str()),
        );
        match place {
            (Some("org.freedesktop.Avahi.EntryGroup"), Some("StateChanged")) => {
                let path = header.path().map(ToString::to_string).unwrap_or_default();
                if let Ok((state, error)) = message.body().deserialize::<(i32, String)>() {
                    self.with_publisher(async |p| p.group_changed(&path, state, &error).await)
                        .await;
                }
            }
            (Some(interface), Some("StateChanged"))
                if interface.starts_with("org.freedesktop.Avahi.Server") =>
            {
                self.avahi_state().await;
            }
            _ => {
                if self.link.hear(message).await {
                    self.bump();
                }
            }
        }
    }

    async fn watch_registry(self: Arc<Self>) {
        if let Err(e) = self.follow_registry().await {
            log::debug!("no longer following the registry: {e}");
        }
    }

    async fn follow_registry(&self) -> zbus::Result<()> {
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
    async fn catch_up(&self, anew: bool) -> bool {
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

    async fn describe_registry(&self) -> Option<Value> {
        let registry = RegistryProxy::new(&self.connection).await.ok()?;
        serde_json::from_str(&registry.describe().await.ok()?).ok()
    }

    /// Finds out again and again who is the bridge; peers that do not answer take their time.
    async fn watch_bridge(self: Arc<Self>) {
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

    async fn elect(&self) {
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
    fn is_bridge(&self) -> bool {
        let bridge = lock(&self.bridge);
        bridge.own.is_some() && bridge.other.is_none() && bridge.members > 1
    }

    async fn browse_if_bridge(&self) {
        let avahi = lock(&self.state).avahi;
        if avahi
            && self.is_bridge()
            && let Err(e) = self.link.browse(None).await
        {
            log::warn!("cannot browse the link: {e}; browsing when asked");
        }
    }

    async fn watch_health(self: Arc<Self>) {
        let mut soon = SOON;
        loop {
            let settings = self.settings();
            let services = self.publisher.lock().await.to_check();
            let patience = Duration::from_secs(settings.check_timeout_seconds.into());
            let outcomes: Vec<(Service, bool)> = futures_util::stream::iter(services)
                .map(|service| async move {
                    let answers = health::answers(&service, patience).await;
                    (service, answers)
                })
                .buffer_unordered(CHECKS)
                .collect()
                .await;
            let idle = outcomes.is_empty();
            let all_well = outcomes.iter().all(|(_, answers)| *answers);
            if self
                .with_publisher(async |p| p.checked(outcomes).await)
                .await
            {
                self.bump();
            }
            self.link.rest().await;
            let usual = Duration::from_secs(settings.check_seconds.into());
            // A box that publishes nothing sleeps until it does; one whose service is starting
            // looks again soon, and then more and more rarely.
            let wait = match (idle, all_well) {
                (true, _) => Duration::from_secs(3600),
                (false, true) => usual,
                (false, false) => soon.min(usual),
            };
            soon = if all_well {
                SOON
            } else {
                (soon * 2).min(usual)
            };
            if tokio::time::timeout(wait, self.look.notified())
                .await
                .is_ok()
            {
                soon = SOON;
            }
        }
    }

    /// Publishes a service of this box.
    pub(crate) async fn publish(&self, service: Service) -> Result<Value, guifi_bus::Failure> {
        let patience = Duration::from_secs(self.settings().check_timeout_seconds.into());
        let answers = health::answers(&service, patience).await;
        let global = service.global;
        let mut document = self
            .with_publisher(async |p| p.publish(service, answers).await)
            .await?;
        self.look.notify_one();
        self.bump();
        let standing = lock(&self.state).clone();
        document["seen_by"] = json!(self.seen_by(global, standing.avahi).await);
        Ok(document)
    }

    /// Who can see a service, in words.
    async fn seen_by(&self, global: bool, avahi: bool) -> String {
        let link = if avahi {
            "this link"
        } else {
            "nobody until Avahi runs"
        };
        if !global {
            return link.to_owned();
        }
        let document = self.describe_registry().await.unwrap_or_default();
        let name = document
            .pointer("/community/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let boxes = document["boxes"].as_u64().unwrap_or_default();
        format!("{link}, and the community {name} ({boxes} boxes)")
    }

    /// Stops publishing.
    pub(crate) async fn unpublish(
        &self,
        name: &str,
        kind: &str,
    ) -> Result<u32, guifi_bus::Failure> {
        let count = self
            .with_publisher(async |p| p.unpublish(name, kind).await)
            .await?;
        self.bump();
        Ok(count)
    }

    /// Answers other boxes for which this one is the bridge.
    async fn answer(self: Arc<Self>, mut asked: mpsc::Receiver<Question>) {
        while let Some((kind, answer)) = asked.recv().await {
            // Somebody who asks takes this box for the bridge, and will ask again.
            let found = self.look_here(&kind).await;
            // The asker may have gone.
            let _ = answer.send(found);
        }
    }

    async fn look_here(&self, kind: &str) -> Vec<Value> {
        if !lock(&self.state).avahi {
            return Vec::new();
        }
        match self.link.look(kind, self.is_bridge()).await {
            Ok(found) => found.iter().map(browse::local).collect(),
            Err(e) => {
                log::warn!("cannot look at the link: {e}");
                Vec::new()
            }
        }
    }

    /// What is on the link: from the bridge, or by a look of our own.
    async fn on_link(&self, kind: &str) -> Vec<Value> {
        let other = lock(&self.bridge).other;
        if let Some(bridge) = other {
            let (socket, wanted) = (self.socket(), kind.to_owned());
            let asked = tokio::task::spawn_blocking(move || bridge::ask(&socket, bridge, &wanted));
            match asked.await {
                Ok(Ok(mut found)) => {
                    self.mark_own(&mut found);
                    return found;
                }
                Ok(Err(e)) => log::info!(
                    "the bridge {bridge} does not answer: {e}; looking at the link from here"
                ),
                Err(e) => log::warn!("cannot ask the bridge: {e}"),
            }
        }
        self.look_here(kind).await
    }

    /// Another box cannot tell which services are this one's.
    fn mark_own(&self, found: &mut [Value]) {
        let own = lock(&self.own).clone();
        for service in found {
            let ours = own
                .iter()
                .any(|o| o["type"] == service["type"] && o["shown_as"] == service["name"]);
            service["own"] = ours.into();
        }
    }

    /// The list that `Browse` answers.
    pub(crate) async fn browse(&self, kind: &str, scope: &str, zone: &str) -> Vec<Value> {
        let community = || lock(&self.community).services(kind, zone);
        match scope {
            "community" => community(),
            "local" => self.on_link(kind).await,
            // A zone is of the community: a link has none.
            _ if !zone.is_empty() => community(),
            _ => {
                let local = self.on_link(kind).await;
                browse::merge(community(), local)
            }
        }
    }

    /// The document of `Describe`.
    pub(crate) fn describe(&self) -> String {
        let services = lock(&self.own).clone();
        let unhealthy = services.iter().filter(|s| s["healthy"] == false).count();
        let standing = lock(&self.state).clone();
        let bridge = lock(&self.bridge).clone();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "avahi": {"running": standing.avahi, "reason": standing.avahi_reason},
            "registry": standing.registry,
            "bridge": {
                "self": bridge.own.is_some() && bridge.other.is_none(),
                "key": bridge.other.or(bridge.own),
                "link_members": bridge.members,
            },
            "published": services.len(),
            "unhealthy": unhealthy,
            "services": services,
            "faults": lock(&self.faults).clone(),
            "local_services": self.link.count(),
            "community_services": lock(&self.community).count(),
        })
        .to_string()
    }
}
