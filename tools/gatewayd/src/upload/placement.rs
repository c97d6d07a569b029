//! Finding servers for shares: asking, being refused, asking others.

use std::sync::Arc;

use futures_util::future::join_all;
use guifi_tahoe::gbs::Shares;
use guifi_tahoe::{ShareNumber, StorageIndex};
use tokio::time::timeout;

use super::assignment::{View, assign, spread, superfluous};
use super::shown;
use crate::engine::{Engine, PATIENCE};
use crate::policy::Plan;
use crate::server::{Failure, Kind, Server};

/// How often servers are asked within a pass.
const ROUNDS: usize = 8;

/// A server and the file's shares there.
pub(crate) struct Holder {
    pub(crate) server: Arc<Server>,
    /// There, whole.
    pub(crate) held: Shares,
    /// Being written by this upload.
    given: Shares,
    /// There, but damaged: they cannot be replaced at this server.
    damaged: Shares,
    /// Whether it may be asked to take more.
    open: bool,
    failure: Option<Failure>,
}

impl Holder {
    /// A server that holds these.
    pub(crate) fn new(server: Arc<Server>, held: Shares) -> Self {
        Self {
            server,
            held,
            given: Shares::new(),
            damaged: Shares::new(),
            open: true,
            failure: None,
        }
    }

    /// The same server, with these shares of its damaged.
    pub(crate) fn except(mut self, damaged: Shares) -> Self {
        self.damaged = damaged;
        self
    }

    fn has(&self) -> Shares {
        self.held.union(&self.given).copied().collect()
    }
}

/// The servers of one upload.
pub(super) struct Placing<'a> {
    engine: &'a Engine,
    index: StorageIndex,
    plan: Plan,
    share_size: u64,
    holders: Vec<Holder>,
    is_asked: bool,
}

impl<'a> Placing<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        index: &StorageIndex,
        plan: Plan,
        share_size: u64,
        known: Vec<Holder>,
    ) -> Self {
        let mut holders = known;
        // As many beyond those that get shares are asked what they hold.
        let most = 2 * plan.encoding.total();
        for server in spread(engine.servers(index)).into_iter().take(most) {
            if !holders.iter().any(|h| h.server.about.id == server.about.id) {
                holders.push(Holder::new(server, Shares::new()));
            }
        }
        Self {
            engine,
            index: *index,
            plan,
            share_size,
            holders,
            is_asked: false,
        }
    }

    /// Places every share that nobody holds, as far as servers take them.
    pub(super) async fn place(&mut self) {
        let total = self.plan.encoding.total();
        for holder in &mut self.holders {
            // One that failed in the pass before may be back.
            holder.open = !holder.server.health.rests()
                && !matches!(holder.failure, Some(Failure::Refused(..)));
        }
        for _ in 0..ROUNDS {
            let views: Vec<View> = self
                .holders
                .iter()
                .map(|holder| View {
                    has: holder.has(),
                    open: holder.open,
                })
                .collect();
            let asked = assign(&views, total);
            let first = !std::mem::replace(&mut self.is_asked, true);
            if asked.is_empty() && !first {
                break;
            }
            let requests = asked
                .into_iter()
                .map(|(holder, shares)| self.ask(holder, shares));
            let looks = (total..self.holders.len())
                .filter(|_| first)
                .map(|holder| self.look(holder));
            let (answers, found) = tokio::join!(join_all(requests), join_all(looks));
            for (holder, shares, answer) in answers {
                self.take(holder, &shares, answer);
            }
            for (holder, shares) in found {
                self.holders[holder].held.extend(shares);
            }
        }
        self.drop_superfluous().await;
    }

    async fn ask(
        &self,
        holder: usize,
        shares: Shares,
    ) -> (usize, Shares, Result<guifi_tahoe::gbs::Allocated, Failure>) {
        let late = |_| Err(Failure::Absent("no answer in time".into()));
        let asking = self.allocate(holder, &shares);
        let answer = timeout(PATIENCE, asking).await.unwrap_or_else(late);
        (holder, shares, answer)
    }

    async fn allocate(
        &self,
        holder: usize,
        shares: &Shares,
    ) -> Result<guifi_tahoe::gbs::Allocated, Failure> {
        let server = &self.holders[holder].server;
        let lease = self.engine.secrets.lease(&self.index, server);
        let secret = self.engine.secrets.upload(&self.index, server);
        let ask = || {
            let shares = shares.clone();
            server.allocate(&self.index, shares, self.share_size, &lease, &secret)
        };
        let answer = ask().await?;
        let refused = |share: &&ShareNumber| {
            !answer.already_have.contains(*share) && !answer.allocated.contains(*share)
        };
        // An upload of ours that was cut off stands in the way, until the server tires of it.
        let refused = shares.iter().filter(refused);
        let given_up = join_all(refused.map(|&share| server.abort(&self.index, share, &secret)));
        if !given_up.await.iter().any(Result::is_ok) {
            return Ok(answer);
        }
        let mut second = ask().await?;
        second.already_have.extend(answer.already_have);
        second.allocated.extend(answer.allocated);
        Ok(second)
    }

    /// What a server holds; nothing if it does not say.
    async fn look(&self, holder: usize) -> (usize, Shares) {
        let asking = self.holders[holder]
            .server
            .shares(Kind::Immutable, &self.index);
        let shares = timeout(PATIENCE / 4, asking).await;
        (holder, shares.ok().and_then(Result::ok).unwrap_or_default())
    }

    fn take(
        &mut self,
        holder: usize,
        asked: &Shares,
        answer: Result<guifi_tahoe::gbs::Allocated, Failure>,
    ) {
        let total = self.plan.encoding.total();
        let holder = &mut self.holders[holder];
        match answer {
            Ok(answer) => {
                let ours = |share: &&ShareNumber| {
                    usize::from(**share) < total && !holder.damaged.contains(*share)
                };
                let already: Shares = answer.already_have.iter().filter(ours).copied().collect();
                holder.held.extend(already);
                // Nobody is given what was not asked for.
                holder.given.extend(answer.allocated.intersection(asked));
                if !asked.is_subset(&holder.has()) {
                    holder.open = false;
                    let full = hyper::StatusCode::INSUFFICIENT_STORAGE;
                    holder.failure = Some(Failure::Refused(full, "no room".into()));
                }
            }
            Err(failure) => {
                holder.open = false;
                holder.failure = Some(failure);
            }
        }
    }

    async fn drop_superfluous(&mut self) {
        let given: Vec<Shares> = self.holders.iter().map(|h| h.given.clone()).collect();
        let extra = superfluous(&self.held(), &given);
        for (holder, share) in &extra {
            self.holders[*holder].given.remove(share);
        }
        join_all(
            extra
                .iter()
                .map(|(holder, share)| self.abort_one(*holder, *share)),
        )
        .await;
    }

    async fn abort_one(&self, holder: usize, share: ShareNumber) {
        let server = &self.holders[holder].server;
        let secret = self.engine.secrets.upload(&self.index, server);
        if let Err(e) = server.abort(&self.index, share, &secret).await {
            // It drops what is not continued, by itself.
            log::debug!("{}: cannot give up share {share}: {e}", shown(server));
        }
    }

    /// Gives up what was begun.
    pub(super) async fn abort(&mut self) {
        let given = self.given();
        join_all(
            given
                .iter()
                .map(|(holder, share, _)| self.abort_one(*holder, *share)),
        )
        .await;
        for holder in &mut self.holders {
            holder.given.clear();
        }
    }

    /// Notes how sending a share went.
    pub(super) fn sent(&mut self, holder: usize, share: ShareNumber, outcome: Result<(), Failure>) {
        let holder = &mut self.holders[holder];
        holder.given.remove(&share);
        match outcome {
            Ok(()) => {
                holder.held.insert(share);
            }
            Err(failure) => {
                log::info!(
                    "{}: share {share} not stored: {failure}",
                    shown(&holder.server)
                );
                // After a restart it knows nothing of the upload, but may take it anew.
                let forgot = matches!(&failure, Failure::Refused(status, _) if *status == hyper::StatusCode::NOT_FOUND);
                holder.failure = Some(if forgot { Failure::Resting } else { failure });
            }
        }
    }

    /// What is being written: server by number, share.
    pub(super) fn given(&self) -> Vec<(usize, ShareNumber, Arc<Server>)> {
        let each = self.holders.iter().enumerate();
        each.flat_map(|(number, holder)| {
            holder
                .given
                .iter()
                .map(move |share| (number, *share, holder.server.clone()))
        })
        .collect()
    }

    pub(super) fn held(&self) -> Vec<Shares> {
        self.holders
            .iter()
            .map(|holder| holder.held.clone())
            .collect()
    }

    pub(super) fn held_or_given(&self) -> Vec<Shares> {
        self.holders.iter().map(Holder::has).collect()
    }

    /// Servers that did not do what was asked, and why.
    pub(super) fn failures(&self) -> impl Iterator<Item = (String, &Failure)> {
        self.holders
            .iter()
            .filter_map(|holder| Some((shown(&holder.server), holder.failure.as_ref()?)))
    }
}
