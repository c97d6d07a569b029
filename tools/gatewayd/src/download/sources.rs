//! Where the shares of a file are, and which of them come fastest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use guifi_tahoe::chk::Share;
use guifi_tahoe::gbs::Shares;
use guifi_tahoe::{Encoding, ShareNumber, StorageIndex};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::engine::Engine;
use crate::server::{Kind, Server};
use crate::upload::shown;

/// A share at a server.
pub(super) struct Source {
    pub(super) server: Arc<Server>,
    pub(super) number: ShareNumber,
    share: Mutex<Option<Share>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Time of a block, smoothed.
    pace: Option<Duration>,
    is_dead: bool,
}

impl Source {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read of it so far, once its head was.
    pub(super) fn share(&self) -> MutexGuard<'_, Option<Share>> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block took this long.
    pub(super) fn took(&self, time: Duration) {
        let mut state = self.state();
        state.pace = Some(state.pace.map_or(time, |old| (old * 3 + time) / 4));
    }

    /// Nothing more is asked of it.
    pub(super) fn kill(&self) {
        self.state().is_dead = true;
    }

    fn pace(&self) -> Duration {
        let known = self.state().pace;
        known
            .or_else(|| self.server.health.latency())
            .unwrap_or_default()
    }
}

/// The shares that were found.
pub(super) struct Sources {
    found: Arc<Mutex<Vec<Arc<Source>>>>,
    progress: watch::Receiver<Progress>,
    search: AbortHandle,
}

/// How the search stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Progress {
    /// Servers that answered or will not.
    pub(super) asked: usize,
    /// Whether all were asked.
    pub(super) done: bool,
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.search.abort();
    }
}

impl Sources {
    /// Begins to ask: first those that should hold the shares, all at once, then the others.
    pub(super) fn locate(engine: &Engine, index: StorageIndex, encoding: Encoding) -> Self {
        let found: Arc<Mutex<Vec<Arc<Source>>>> = Arc::default();
        let (sender, progress) = watch::channel(Progress::default());
        let servers = engine.servers(&index);
        let (into, wave) = (found.clone(), 2 * encoding.total());
        let search = tokio::spawn(async move {
            for servers in servers.chunks(wave) {
                let mut asking: FuturesUnordered<_> =
                    servers
                        .iter()
                        .map(|server| async move {
                            (server, server.shares(Kind::Immutable, &index).await)
                        })
                        .collect();
                while let Some((server, answer)) = asking.next().await {
                    match answer {
                        Ok(shares) => add(&into, server, &shares, encoding),
                        Err(e) => log::debug!("{}: no shares: {e}", shown(server)),
                    }
                    sender.send_modify(|progress| progress.asked += 1);
                }
                let mut have: Vec<_> = lock(&into).iter().map(|s| s.number).collect();
                have.sort_unstable();
                have.dedup();
                if have.len() >= encoding.total() {
                    break;
                }
            }
            sender.send_modify(|progress| progress.done = true);
        });
        Self {
            found,
            progress,
            search: search.abort_handle(),
        }
    }

    /// To wait for more.
    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// The fastest living source whose share is none of those.
    pub(super) fn best(&self, except: &[ShareNumber]) -> Option<Arc<Source>> {
        lock(&self.found)
            .iter()
            .filter(|source| !except.contains(&source.number) && !source.state().is_dead)
            .min_by_key(|source| source.pace())
            .cloned()
    }

    /// How many different shares were found, dead ones included.
    pub(super) fn count(&self) -> usize {
        let mut numbers: Vec<_> = lock(&self.found).iter().map(|s| s.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    }

    /// Time after which a block is slow.
    pub(super) fn slow(&self) -> Duration {
        const UNKNOWN: Duration = Duration::from_secs(2);
        const LEAST: Duration = Duration::from_millis(400);
        let known: Vec<Duration> = lock(&self.found)
            .iter()
            .filter_map(|s| s.state().pace)
            .collect();
        let fastest = known.into_iter().min();
        fastest.map_or(UNKNOWN, |pace| (pace * 4).max(LEAST))
    }
}

fn lock(found: &Mutex<Vec<Arc<Source>>>) -> MutexGuard<'_, Vec<Arc<Source>>> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(found: &Mutex<Vec<Arc<Source>>>, server: &Arc<Server>, shares: &Shares, encoding: Encoding) {
    let ours = shares
        .iter()
        .filter(|share| usize::from(**share) < encoding.total());
    lock(found).extend(ours.map(|number| {
        Arc::new(Source {
            server: server.clone(),
            number: *number,
            share: Mutex::default(),
            state: Mutex::default(),
        })
    }));
}
