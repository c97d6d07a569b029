//! Names that are not ours: asked at the upstream servers from random ports with random
//! identifiers and letter case (RFC 5452), remembered, and never for strangers.

mod race;
mod reply;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guifi_core::Root;
use hickory_proto::op::{Message, ResponseCode};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cache::{Cache, Key, Stored};
use crate::config::Settings;
use crate::health::Report;
use crate::name::Name;
use crate::query::{Kind, Question};
use crate::respond::{Transport, error_header, limit, plain_form};
use crate::upstream::{self, Server, Upstreams};
use race::Racer;
use reply::{deliver, store};

/// Questions under way at once.
const FLIGHTS: usize = 512;
/// How often the system's files are looked at again, at most.
const LOOK: Duration = Duration::from_secs(10);
/// How long a client waits for a fresh answer if there is an old one (RFC 8767 section 5).
const STALE_WAIT: Duration = Duration::from_millis(1800);

type Answer = Option<Arc<Stored>>;

/// The forwarder.
pub struct Forwarder {
    root: Root,
    state: Mutex<State>,
    cache: Mutex<Cache>,
    racer: Arc<Racer>,
    flights: Mutex<HashMap<Key, watch::Receiver<Option<Answer>>>>,
    counts: Mutex<Counts>,
}

struct State {
    settings: Settings,
    /// Zones of others that the portal names, lower case.
    elsewhere: BTreeMap<Name, Vec<Server>>,
    own: Vec<SocketAddr>,
    upstreams: Arc<Upstreams>,
    looked: Option<Instant>,
}

/// Numbers since the start.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Counts {
    /// Answered from the cache.
    pub hits: u64,
    /// Asked outside.
    pub misses: u64,
    /// Answered with what was past its life.
    pub stale: u64,
    /// Without an answer.
    pub failures: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those of `servers` that are not we ourselves.
fn others(servers: &[Server], own: &[SocketAddr]) -> Vec<Server> {
    let other = |server: &&Server| !own.contains(&server.address);
    servers.iter().filter(other).cloned().collect()
}

impl Forwarder {
    /// A forwarder with an empty cache.
    pub fn new(root: &Root, settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            root: root.clone(),
            cache: Mutex::new(Cache::new(settings.cache_bytes)),
            state: Mutex::new(State {
                settings: settings.clone(),
                elsewhere: BTreeMap::new(),
                own: Vec::new(),
                upstreams: Arc::default(),
                looked: None,
            }),
            racer: Arc::new(Racer::new(settings)),
            flights: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    /// Takes a new configuration.
    pub fn reconfigure(&self, settings: &Settings) {
        let mut state = lock(&self.state);
        lock(&self.cache).resize(settings.cache_bytes);
        self.racer.reconfigure(settings);
        state.settings = settings.clone();
        state.looked = None;
    }

    /// Says where zones of others are asked for, as far as the configuration does not.
    pub fn elsewhere(&self, zones: BTreeMap<Name, Vec<SocketAddr>>) {
        let servers = |servers: Vec<SocketAddr>| servers.into_iter().map(Server::from).collect();
        let zones = zones
            .into_iter()
            .map(|(zone, addresses)| (zone, servers(addresses)));
        lock(&self.state).elsewhere = zones.collect();
    }

    /// Says at which addresses we answer ourselves, and so must not ask.
    pub fn own(&self, own: Vec<SocketAddr>) {
        let mut state = lock(&self.state);
        state.own = own;
        state.looked = None;
    }

    /// The servers in use.
    pub fn upstreams(&self) -> Arc<Upstreams> {
        let mut state = lock(&self.state);
        if state.looked.is_none_or(|looked| looked.elapsed() > LOOK) {
            let own = |server: SocketAddr| state.own.contains(&server);
            let configured = others(&state.settings.servers, &state.own);
            let found = match state.settings.recursor {
                Some(address) => Upstreams {
                    servers: vec![address.into()],
                    source: "recursor".to_owned(),
                },
                None if state.settings.servers.is_empty() => upstream::find(&self.root, own),
                None => Upstreams {
                    servers: configured,
                    source: "configuration".to_owned(),
                },
            };
            if found != *state.upstreams {
                state.upstreams = Arc::new(found);
            }
            state.looked = Some(Instant::now());
        }
        state.upstreams.clone()
    }

    /// Entries and octets of the cache, and the counters.
    pub fn numbers(&self) -> ((usize, usize), Counts) {
        (lock(&self.cache).size(), *lock(&self.counts))
    }

    /// How the servers in use are.
    pub fn health(&self) -> Vec<Report> {
        let servers = &self.upstreams().servers;
        self.racer.health.report(servers, Instant::now())
    }

    /// Forgets all answers.
    pub fn flush(&self) {
        lock(&self.cache).clear();
    }

    /// Forgets the answers for `name` (in lower case) and the names below it.
    pub fn forget(&self, name: &Name) {
        lock(&self.cache).forget(name);
    }

    /// Answers `message`, a query that is not ours: asked at `at`, or, if that is empty, at the
    /// servers for its name.
    pub async fn answer(
        self: &Arc<Self>,
        message: &[u8],
        transport: Transport,
        at: &[SocketAddr],
    ) -> Vec<u8> {
        let Ok(query) = Message::from_vec(message) else {
            return error_header(message, ResponseCode::FormErr).to_vec();
        };
        let (Some(plain), [asked]) = (plain_form(&query), &query.queries[..]) else {
            return error_header(message, ResponseCode::FormErr).to_vec();
        };
        let mut question = Question::default();
        if question.read(&plain) != Kind::Plain {
            return error_header(message, ResponseCode::FormErr).to_vec();
        }
        let key = Key {
            question: [question.name(), &question.rtype.to_be_bytes()]
                .concat()
                .into(),
            dnssec_ok: question.edns.is_some_and(|edns| edns.dnssec_ok),
            checking_disabled: query.metadata.checking_disabled,
        };
        let servers = if at.is_empty() {
            self.servers(&question)
        } else {
            let at: Vec<_> = at.iter().copied().map(Server::from).collect();
            others(&at, &lock(&self.state).own)
        };
        let now = Instant::now();
        let known = lock(&self.cache).get(&key, now);
        let stored = match known {
            Some(stored) if stored.fresh(now) => {
                lock(&self.counts).hits += 1;
                Some(stored)
            }
            Some(old) => Some(self.refresh(key, plain, servers, old).await),
            None => self.fetch(key, plain, servers).await,
        };
        let limit = limit(&query, transport);
        deliver(&query, asked, stored.as_deref(), limit)
            .unwrap_or_else(|| error_header(message, ResponseCode::ServFail).to_vec())
    }

    fn servers(&self, question: &Question) -> Vec<Server> {
        let state = lock(&self.state);
        let inside = |zone: &&Name| question.ends_with(zone.wire(), zone.labels().count());
        for zones in [&state.settings.zones, &state.elsewhere] {
            let zone = zones
                .keys()
                .filter(inside)
                .max_by_key(|zone| zone.wire().len());
            if let Some(servers) = zone.and_then(|zone| zones.get(zone)) {
                return others(servers, &state.own);
            }
        }
        drop(state);
        self.upstreams().servers.clone()
    }

    /// Asks outside although there is an old answer, which serves if the new one takes long.
    async fn refresh(
        self: &Arc<Self>,
        key: Key,
        plain: Vec<u8>,
        servers: Vec<Server>,
        old: Arc<Stored>,
    ) -> Arc<Stored> {
        let away = self.racer.health.all_down(&servers, Instant::now());
        let wait = if away { Duration::ZERO } else { STALE_WAIT };
        match timeout(wait, self.fetch(key, plain, servers)).await {
            Ok(Some(answer)) => answer,
            _ => {
                lock(&self.counts).stale += 1;
                old
            }
        }
    }

    /// Asks outside; equal questions at one time are asked once, which also ends a circle of
    /// servers that ask each other.
    async fn fetch(self: &Arc<Self>, key: Key, plain: Vec<u8>, servers: Vec<Server>) -> Answer {
        let mut flight = {
            let mut flights = lock(&self.flights);
            match flights.get(&key) {
                Some(flight) => flight.clone(),
                None if flights.len() >= FLIGHTS => {
                    lock(&self.counts).failures += 1;
                    return None;
                }
                None => {
                    let (landed, flight) = watch::channel(None);
                    flights.insert(key.clone(), flight.clone());
                    let own = self.clone();
                    // A task of its own: it goes on when the client has gone.
                    tokio::spawn(async move {
                        let answer = own.ask(&key, &plain.into(), &servers).await;
                        lock(&own.flights).remove(&key);
                        landed.send_replace(Some(answer));
                    });
                    flight
                }
            }
        };
        let landed = flight.wait_for(Option::is_some).await.ok()?;
        landed.as_ref()?.clone()
    }

    /// Whether these servers check signatures for us, on this box.
    fn validated(&self, servers: &[Server]) -> bool {
        let state = lock(&self.state);
        let recursor = state.settings.recursor.filter(|_| state.settings.dnssec);
        recursor.is_some_and(|address| matches!(servers, [one] if one.address == address))
    }

    async fn ask(&self, key: &Key, plain: &Arc<[u8]>, servers: &[Server]) -> Answer {
        lock(&self.counts).misses += 1;
        let answer = self.racer.ask(servers, plain).await;
        let known = answer.as_ref().is_some_and(race::good);
        let validated = self.validated(servers);
        let stored = answer
            .and_then(|message| store(message, plain, validated))
            .map(Arc::new);
        if known {
            if let Some(stored) = stored.clone().filter(|stored| !stored.life.is_zero()) {
                lock(&self.cache).put(key.clone(), stored);
            }
            return stored;
        }
        // Better old than none (RFC 8767).
        if lock(&self.cache).get(key, Instant::now()).is_some() {
            return None;
        }
        lock(&self.counts).failures += 1;
        stored
    }
}
