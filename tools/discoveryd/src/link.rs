//! What is announced on this link, by way of Avahi.

mod hear;
mod locate;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use guifi_bus::avahi::AvahiServerProxy;
use tokio::sync::{Notify, oneshot};
use zbus::{Connection, OwnedObjectPath};

use crate::avahi::{ANY, OWN, tell};
use crate::service;

/// How long a look at the link takes at most.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Without news for this long, all that answers has answered.
const SILENCE: Duration = Duration::from_millis(350);
/// How long browsing goes on after somebody has looked.
const LINGER: Duration = Duration::from_secs(60);
/// Instances that are kept: the limit of avahi's own cache.
const MAX_FOUND: usize = 4096;
/// Instances that are resolved at a time.
const MAX_RESOLVED: usize = 512;
/// Times that a look resolves that many.
const MAX_ROUNDS: usize = 8;

/// A service on the link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Announced by this box.
    pub(crate) own: bool,
    /// Where it is, once resolved.
    pub(crate) place: Option<Place>,
}

/// Where a service on the link is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) txt: Vec<String>,
}

impl Place {
    /// Whether it is of another link, and only shown here.
    fn is_imported(&self) -> bool {
        service::is_imported(&self.txt)
    }
}

type Instance = (String, String);

#[derive(Debug)]
struct Found {
    domain: String,
    /// Interface and protocol to flags.
    seen: BTreeMap<(i32, i32), u32>,
    place: Option<Place>,
}

impl Found {
    fn is_imported(&self) -> bool {
        self.place.as_ref().is_some_and(Place::is_imported)
    }
}

#[derive(Default)]
struct State {
    /// Types, in small letters, of which other links' services may be shown here.
    expected: BTreeSet<String>,
    browsing: bool,
    until: Option<Instant>,
    browsers: HashMap<String, OwnedObjectPath>,
    types: BTreeSet<String>,
    resolvers: HashMap<String, Instance>,
    /// Resolvers on whose answer somebody waits.
    asked: HashMap<String, oneshot::Sender<Option<Place>>>,
    found: BTreeMap<Instance, Found>,
    news: Option<Instant>,
}

impl State {
    /// Begins anew; gives what was.
    fn forget(&mut self) -> Self {
        let expected = self.expected.clone();
        std::mem::replace(
            self,
            Self {
                expected,
                ..Self::default()
            },
        )
    }
}

/// The link.
pub(crate) struct Link {
    connection: Connection,
    state: Mutex<State>,
    changed: Notify,
}

impl Link {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Avahi is gone: nothing is known any more.
    pub(crate) fn clear(&self) {
        self.state().forget();
    }

    /// Says of which types other links' services may be shown here: these are looked at at
    /// once, since only their TXT tells them apart.
    pub(crate) fn expect(&self, types: BTreeSet<String>) {
        self.state().expected = types;
    }

    /// Services of this link known now.
    pub(crate) fn count(&self) -> usize {
        let state = self.state();
        let found = state.found.values();
        found.filter(|f| !f.is_imported()).count()
    }

    /// Browses everything from now on; `None` for as long as there is a bridge to do.
    pub(crate) async fn browse(&self, until: Option<Instant>) -> zbus::Result<()> {
        {
            let mut state = self.state();
            state.until = until;
            if state.browsing {
                return Ok(());
            }
            state.browsing = true;
            state.news = Some(Instant::now());
        }
        let started = self.start().await;
        if started.is_err() {
            self.state().browsing = false;
        }
        started
    }

    async fn start(&self) -> zbus::Result<()> {
        let server = AvahiServerProxy::new(&self.connection).await?;
        let path = server
            .service_type_browser_prepare(ANY, ANY, "local", 0)
            .await?;
        self.state()
            .browsers
            .insert(path.as_str().to_owned(), path.clone());
        tell(&self.connection, &path, "ServiceTypeBrowser", "Start").await
    }

    /// Stops browsing when nobody has looked for a while.
    pub(crate) async fn rest(&self) {
        let browsers = {
            let mut state = self.state();
            if !state.browsing || state.until.is_none_or(|until| until > Instant::now()) {
                return;
            }
            state.forget().browsers
        };
        for path in browsers.into_values() {
            // One interface answers, the other does not have the object.
            for interface in ["ServiceBrowser", "ServiceTypeBrowser"] {
                if tell(&self.connection, &path, interface, "Free")
                    .await
                    .is_ok()
                {
                    break;
                }
            }
        }
    }

    /// Looks at the link: waits until nothing new is heard, then finds out where each service
    /// is.
    pub(crate) async fn look(&self, kind: &str, bridge: bool) -> zbus::Result<Vec<Local>> {
        let end = Instant::now() + PATIENCE;
        self.browse((!bridge).then(|| Instant::now() + LINGER))
            .await?;
        self.settle(end).await;
        for _ in 0..MAX_ROUNDS {
            let unresolved = self.unresolved(kind);
            if unresolved.is_empty() {
                break;
            }
            for (instance, domain, place) in unresolved {
                self.resolve(instance, &domain, place).await?;
            }
            self.state().news = Some(Instant::now());
            self.settle(end + PATIENCE).await;
        }
        Ok(self.all(kind))
    }

    /// Services of a type, or of all, of which it is not known where they are.
    fn unresolved(&self, kind: &str) -> Vec<(Instance, String, (i32, i32))> {
        let state = self.state();
        let wanted = state.found.iter().filter(|(key, found)| {
            found.place.is_none() && (kind.is_empty() || key.1.eq_ignore_ascii_case(kind))
        });
        wanted
            .filter_map(|(key, found)| {
                // IPv4 first: it is what everything understands.
                let place = found.seen.keys().min_by_key(|(_, protocol)| *protocol)?;
                Some((key.clone(), found.domain.clone(), *place))
            })
            .take(MAX_RESOLVED)
            .collect()
    }

    /// Waits until there has been no news for a while.
    async fn settle(&self, end: Instant) {
        loop {
            let news = self.state().news.unwrap_or(end);
            let due = (news + SILENCE).min(end);
            let now = Instant::now();
            if due <= now {
                return;
            }
            // Either way the time is looked at again.
            let _ = tokio::time::timeout(due - now, self.changed.notified()).await;
        }
    }

    async fn resolve(
        &self,
        instance: Instance,
        domain: &str,
        (interface, protocol): (i32, i32),
    ) -> zbus::Result<()> {
        let server = AvahiServerProxy::new(&self.connection).await?;
        let (name, kind) = instance.clone();
        let path = server
            .service_resolver_prepare(interface, protocol, &name, &kind, domain, protocol, 0)
            .await?;
        self.state()
            .resolvers
            .insert(path.as_str().to_owned(), instance);
        tell(&self.connection, &path, "ServiceResolver", "Start").await
    }

    /// Every service known, of one type or of all.
    fn all(&self, kind: &str) -> Vec<Local> {
        let state = self.state();
        let wanted = state
            .found
            .iter()
            .filter(|((_, t), _)| kind.is_empty() || t.eq_ignore_ascii_case(kind))
            .filter(|(_, found)| !found.is_imported());
        wanted
            .map(|((name, kind), found)| Local {
                name: name.clone(),
                kind: kind.clone(),
                own: found.seen.values().any(|flags| flags & OWN != 0),
                place: found.place.clone(),
            })
            .collect()
    }
}
