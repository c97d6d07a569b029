//! What all operations on the grid share: servers, secrets, settings, keys made ahead.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Settings;
use crate::grid::Grid;
use crate::keys::Keys;
use crate::policy::Plan;
use crate::problem::Problem;
use crate::roster::Roster;
use crate::secrets::Secrets;
use crate::server::Server;
use crate::upload::Turns;
use guifi_tahoe::{Encoding, StorageIndex};

/// How long the first question to a server may take before others are not kept waiting for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The engine.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Parts>);

/// Its parts.
pub(crate) struct Parts {
    /// The servers.
    pub(crate) grid: Grid,
    /// What leases and convergent keys are derived from.
    pub(crate) secrets: Secrets,
    /// The configuration, which may change.
    pub(crate) settings: watch::Sender<Settings>,
    /// Keys for new mutable files.
    pub(crate) keys: Keys,
    /// Whether this box is in a community; not known without the registry.
    pub(crate) joined: watch::Sender<Option<bool>>,
    /// Which servers are known from where.
    pub(crate) roster: watch::Sender<Roster>,
    /// Files that are being uploaded.
    pub(crate) turns: Turns,
    /// Where files wait that are being uploaded.
    pub(crate) spool: PathBuf,
}

impl std::ops::Deref for Engine {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The numbers of a new file.
    ///
    /// # Errors
    /// If the grid is too small.
    pub(crate) fn plan(&self) -> Result<Plan, Problem> {
        let policy = self.settings.borrow().policy;
        policy.plan(self.grid.servers().len())
    }

    /// Servers that must hold different shares of the next version of a file that is cut so.
    pub(crate) fn happy(&self, encoding: Encoding) -> usize {
        match self.plan() {
            Ok(plan) if plan.encoding == encoding => plan.happy,
            // Made on a grid of another size, or elsewhere.
            _ => crate::policy::happy(encoding, self.grid.servers().len()),
        }
    }

    /// Servers that are not left alone now, in the order for a file.
    pub(crate) fn servers(&self, index: &StorageIndex) -> Vec<Arc<Server>> {
        let mut servers = self.grid.permuted(index);
        servers.retain(|server| !server.health.rests());
        servers
    }
}

/// Runs work that takes the processor or waits for the disk beside the network's thread.
///
/// # Errors
/// Those of the work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Problem::internal)?
}
