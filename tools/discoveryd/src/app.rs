//! Everything of the daemon that lives as long as one connection to the bus: when the bus goes
//! away it is dropped whole and made anew.

mod guests;
mod import;
mod link;
mod registry;
mod services;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guifi_core::Root;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use zbus::Connection;

use crate::bridge::{self, Bridge};
use crate::community::{Boxed, Community};
use crate::config::Settings;
use crate::declared;
use crate::link::Link;
use crate::publisher::{Active, Publisher};
use crate::store::Store;

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
    /// It is time for an election.
    elect: Notify,
    /// The boxes near this one at the last look.
    near: Mutex<Vec<Boxed>>,
    imports: Mutex<import::Imports>,
    /// What is imported may have changed.
    import_due: Notify,
}

#[derive(Clone, Debug, Default)]
struct Standing {
    avahi: bool,
    avahi_reason: Option<String>,
    /// Grows when Avahi comes and goes: what it held is lost.
    avahi_starts: u64,
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
            elect: Notify::new(),
            near: Mutex::default(),
            imports: Mutex::default(),
            import_due: Notify::new(),
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
        self.tell_imports().await;
        self.elect.notify_one();
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
            tokio::spawn(self.clone().watch_imports()),
            tokio::spawn(self.clone().answer(asked)),
        ]
    }

    /// The document of `Describe`.
    pub(crate) fn describe(&self) -> String {
        let services = lock(&self.own).clone();
        let unhealthy = services
            .iter()
            .filter(|s| s["healthy"] == false && s["absent"] == false)
            .count();
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
            "import": self.describe_imports(),
            "local_services": self.link.count(),
            "community_services": lock(&self.community).count(),
        })
        .to_string()
    }
}
