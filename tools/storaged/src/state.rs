//! What the daemon knows at this moment; its parts write, the bus reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guifi_core::Root;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use zbus::Connection;

use crate::config::Settings;
use crate::door::Door;
use crate::http::Shop;
use crate::identity::Identity;
use crate::registry::Own;
use crate::store::{self, Collected, Fault, Finding, Found, Store};

/// How it stands with an address.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Listen {
    pub(crate) address: String,
    /// `listening`, `taken` or `failed`.
    pub(crate) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// How looking at shares goes, since the start.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Scrubbed {
    pub(crate) shares: u64,
    pub(crate) size_bytes: u64,
    pub(crate) corrupt: u64,
    /// Shares not looked at since then are due.
    #[serde(skip)]
    pub(crate) round: Option<i64>,
}

impl Scrubbed {
    /// Counts what was found.
    pub(crate) fn add(&mut self, finding: &Finding) {
        self.shares += 1;
        match finding {
            Finding::Sound { size } => self.size_bytes += size,
            Finding::Corrupt(_) => self.corrupt += 1,
            Finding::Changed => {}
        }
    }
}

/// What changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// What the registry says of this box; nothing without it.
    pub(crate) own: Option<Own>,
    pub(crate) listen: Vec<Listen>,
    /// Whether streams of members are taken.
    pub(crate) streams: bool,
    /// The record as the registry has it.
    pub(crate) published: Option<Value>,
    /// The bus, while it is there.
    pub(crate) bus: Option<Connection>,
    pub(crate) collected: Option<(Timestamp, Collected)>,
    pub(crate) scrubbed: Scrubbed,
}

/// The daemon.
pub(crate) struct App {
    pub(crate) root: Root,
    pub(crate) settings: watch::Sender<Settings>,
    pub(crate) identity: Identity,
    pub(crate) tls: TlsAcceptor,
    pub(crate) shop: Arc<Shop>,
    pub(crate) door: Door,
    /// What opening the store found.
    pub(crate) found: Found,
    state: Mutex<State>,
    /// Whether this box is in a community, as far as is known.
    pub(crate) joined: watch::Sender<bool>,
    /// Shares are to be looked at now.
    pub(crate) scrub: Notify,
}

impl App {
    pub(crate) fn new(
        root: &Root,
        settings: Settings,
        identity: Identity,
        shop: Arc<Shop>,
        found: Found,
    ) -> Result<Arc<Self>, guifi_core::Error> {
        Ok(Arc::new(Self {
            root: root.clone(),
            settings: watch::Sender::new(settings),
            tls: TlsAcceptor::from(Arc::new(identity.tls()?)),
            identity,
            shop,
            door: Door::default(),
            found,
            state: Mutex::default(),
            joined: watch::Sender::new(false),
            scrub: Notify::new(),
        }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.borrow().clone()
    }

    /// Does something with the store that blocks.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> store::Result<T> + Send + 'static,
    ) -> store::Result<T> {
        let store = self.shop.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|e| Fault::Disk(e.to_string()))?
    }

    /// Whether to serve at all.
    pub(crate) fn is_open(&self) -> bool {
        *self.joined.borrow() || self.settings.borrow().standalone
    }

    /// Waits until [`App::is_open`] answers this.
    pub(crate) async fn until_open(&self, wanted: bool) {
        let (mut joined, mut settings) = (self.joined.subscribe(), self.settings.subscribe());
        while self.is_open() != wanted {
            tokio::select! {
                _ = joined.changed() => {}
                _ = settings.changed() => {}
            }
        }
    }
}
