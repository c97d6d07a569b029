//! The protocol "Great Black Swamp" over HTTP: from a request to the store, and back.
//!
//! Source: `docs/specifications/http-storage-node-protocol.rst` of Tahoe-LAFS, and where it is
//! silent the official server of 1.20. `Accept` is not looked at.

mod body;
mod buffer;
mod content;
mod headers;
mod immutable;
mod mutable;
mod reply;
mod route;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use guifi_streams::Key;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::{Notify, Semaphore};

use crate::door::Client;
use crate::pace::Pace;
use crate::pulse::Pulse;
use crate::store::{self, Account, Fault, Store};
use buffer::Pool;
pub(crate) use content::Content;
use headers::Secrets;
use reply::Refusal;
use route::Route;

/// Memory for bodies of changes to mutable shares, in KiB.
const MEMORY_KIB: usize = 128 << 10;
/// Changes that are made at once.
const CHANGES: usize = 2;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// Who shows the swissnum of an account, from somewhere.
    Bearer(Client),
    /// A box, whose key is proven.
    Owner(Arc<Owner>),
}

/// An account that belongs to a key.
#[derive(Debug)]
pub(crate) struct Owner {
    /// The key.
    pub(crate) key: Key,
    /// Its account.
    pub(crate) account: Account,
    /// What opens it over TCP, and where: the answer to `GET /guifi/v1/account`.
    pub(crate) document: String,
}

impl Who {
    /// Whom to count.
    fn client(&self) -> Client {
        match self {
            Self::Bearer(client) => *client,
            Self::Owner(owner) => Client::Key(owner.key),
        }
    }
}

/// What happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

/// What serves requests.
pub(crate) struct Shop {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Counters,
    /// Limits of what comes and of what goes.
    pub(crate) paces: [Arc<Pace>; 2],
    /// An upload has begun.
    pub(crate) began: Notify,
    pool: Pool,
    memory: Arc<Semaphore>,
    changes: Semaphore,
}

impl Shop {
    pub(crate) fn new(store: Arc<Store>, per_second: [u64; 2]) -> Arc<Self> {
        Arc::new(Self {
            store,
            counters: Counters::default(),
            paces: per_second.map(|limit| Arc::new(Pace::new(limit))),
            began: Notify::new(),
            pool: Pool::default(),
            memory: Arc::new(Semaphore::new(MEMORY_KIB)),
            changes: Semaphore::new(CHANGES),
        })
    }

    /// Does something that blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Store>) -> store::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(|e| Fault::Disk(e.to_string()))??)
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        who: &Who,
        request: Request<Incoming>,
        pulse: &Pulse,
    ) -> Response<Content> {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let _work = pulse.work();
        let answered = self.try_answer(who, request, pulse).await;
        answered.unwrap_or_else(|refusal| {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            refusal.into_response()
        })
    }

    async fn try_answer(
        &self,
        who: &Who,
        request: Request<Incoming>,
        pulse: &Pulse,
    ) -> Result<Response<Content>, Refusal> {
        let account = self.admit(who, &request)?;
        let route = Route::find(request.method(), request.uri().path())?;
        let headers = request.headers();
        match route {
            Route::Version => {
                headers::none(headers)?;
                Ok(self.version())
            }
            Route::Account => {
                headers::none(headers)?;
                reply::account(who)
            }
            Route::Lease(index) => {
                let [renew, _] = headers::wanted(headers, [Secrets::Renew, Secrets::Cancel])?;
                let secret = store::Secret::of(&renew);
                self.blocking(move |store| store.renew(index, secret, account))
                    .await?;
                Ok(reply::status(204))
            }
            Route::Shares(kind, index) => {
                headers::none(headers)?;
                let shares = self
                    .blocking(move |store| store.numbers(index, Some(kind)))
                    .await?;
                Ok(reply::cbor(guifi_tahoe::gbs::encode_shares(&shares)))
            }
            Route::Read(kind, place) => {
                headers::none(headers)?;
                self.read(kind, place, headers, pulse).await
            }
            Route::Corrupt(kind, place) => {
                headers::none(headers)?;
                self.corrupt(kind, place, account, request, pulse).await
            }
            Route::Allocate(index) => {
                let who = (account, who.client());
                self.allocate(index, who, request, pulse).await
            }
            Route::Write(place) => self.write(place, request, pulse).await,
            Route::Abort(place) => self.abort(place, headers).await,
            Route::Change(index) => self.change(index, account, request, pulse).await,
        }
    }

    /// Whose account it is.
    fn admit(&self, who: &Who, request: &Request<Incoming>) -> Result<Account, Refusal> {
        match who {
            Who::Owner(owner) => Ok(owner.account),
            Who::Bearer(_) => headers::swissnum(request.headers())
                .and_then(|swissnum| self.store.account(&swissnum))
                .ok_or(Refusal::Unauthorized),
        }
    }

    fn version(&self) -> Response<Content> {
        let figures = self.store.figures();
        let version = guifi_tahoe::gbs::Version {
            maximum_immutable: figures.available,
            maximum_mutable: store::MAX_MUTABLE,
            available: figures.available,
            application: concat!("guifi-storaged/", env!("CARGO_PKG_VERSION"))
                .as_bytes()
                .to_vec(),
        };
        reply::cbor(version.encode())
    }
}
