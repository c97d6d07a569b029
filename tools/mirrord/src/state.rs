//! What the daemon knows at this moment; its parts write, the bus reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guifi_core::Root;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use zbus::Connection;

use crate::config::Settings;
use crate::probe::Found;
use crate::serve::Shop;
use crate::tree::{Held, Tree};

/// How it stands with an address.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Listen {
    pub(crate) address: String,
    /// `listening`, `taken` or `failed`.
    pub(crate) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// The last synchronisation.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    pub(crate) at: Timestamp,
    pub(crate) error: Option<String>,
    /// Where the tree is from.
    pub(crate) source: Option<String>,
    pub(crate) fetched: usize,
    pub(crate) sources: Vec<Found>,
}

/// What changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Whether this box is in a community; not known yet without the registry.
    pub(crate) joined: Option<bool>,
    pub(crate) held: Option<Held>,
    /// Paths that are not as they should be.
    pub(crate) damaged: Vec<String>,
    pub(crate) listen: Vec<Listen>,
    /// The record as the registry has it.
    pub(crate) published: Option<Value>,
    pub(crate) last: Option<Last>,
    /// The bus, while it is there.
    pub(crate) bus: Option<Connection>,
    /// A full check is asked for.
    pub(crate) check: bool,
}

/// The daemon.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) root: Root,
    pub(crate) settings: watch::Sender<Settings>,
    pub(crate) tree: Tree,
    pub(crate) shop: Shop,
    state: Mutex<State>,
    /// Something asks for a synchronisation.
    pub(crate) wake: Notify,
    /// Whether to serve: not when it is known that this box is in no community.
    pub(crate) open: watch::Sender<bool>,
    /// Synchronisations finished.
    pub(crate) rounds: watch::Sender<u64>,
}

impl App {
    pub(crate) fn new(root: &Root, settings: Settings, tree: Tree, state: State) -> Arc<Self> {
        Arc::new(Self {
            root: root.clone(),
            shop: Shop::new(tree.top().to_owned(), settings.plan.keyring.clone()),
            settings: watch::Sender::new(settings),
            tree,
            state: Mutex::new(state),
            wake: Notify::new(),
            open: watch::Sender::new(true),
            rounds: watch::Sender::new(0),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.borrow().clone()
    }
}
