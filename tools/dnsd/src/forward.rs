//! Names that are not ours: asked at the upstream servers from random ports with random
//! identifiers and letter case (RFC 5452), remembered, and never for strangers.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guifi_core::Root;
use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::RData;
use tokio::sync::watch;

use crate::cache::{Cache, Key, Stored};
use crate::config::Settings;
use crate::exchange;
use crate::name::Name;
use crate::query::{Kind, Question};
use crate::respond::{Transport, error_header, limit, plain_form};
use crate::upstream::{self, Upstreams};
use crate::zone::UDP_LIMIT;

/// How long all attempts at one question may take; clients give up after five seconds.
const PATIENCE: Duration = Duration::from_millis(4500);
/// How long one server has to answer.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// Questions under way at once.
const FLIGHTS: usize = 512;
/// How often the system's files are looked at again, at most.
const LOOK: Duration = Duration::from_secs(10);
/// The longest lives of an answer and of "no such name".
const MAX_LIFE: u32 = 86_400;
const MAX_NEGATIVE_LIFE: u32 = 900;
/// Time to live of an answer past its life.
const STALE_TTL: u32 = 30;

type Answer = Option<Arc<Stored>>;

/// The forwarder.
pub struct Forwarder {
    root: Root,
    state: Mutex<State>,
    cache: Mutex<Cache>,
    flights: Mutex<HashMap<Key, watch::Receiver<Option<Answer>>>>,
    counts: Mutex<Counts>,
}

struct State {
    settings: Settings,
    /// Zones of others that the portal names, lower case.
    elsewhere: BTreeMap<Name, Vec<SocketAddr>>,
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
fn others(servers: &[SocketAddr], own: &[SocketAddr]) -> Vec<SocketAddr> {
    let other = |server: &&SocketAddr| !own.contains(server);
    servers.iter().filter(other).copied().collect()
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
            flights: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    /// Takes a new configuration.
    pub fn reconfigure(&self, settings: &Settings) {
        let mut state = lock(&self.state);
        lock(&self.cache).resize(settings.cache_bytes);
        state.settings = settings.clone();
        state.looked = None;
    }

    /// Says where zones of others are asked for, as far as the configuration does not.
    pub fn elsewhere(&self, zones: BTreeMap<Name, Vec<SocketAddr>>) {
        lock(&self.state).elsewhere = zones;
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
            let configured: Vec<_> = state
                .settings
                .servers
                .iter()
                .copied()
                .filter(|s| !own(*s))
                .collect();
            let found = if state.settings.servers.is_empty() {
                upstream::find(&self.root, own)
            } else {
                let source = "configuration".to_owned();
                Upstreams {
                    servers: configured,
                    source,
                }
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

    /// Forgets all answers.
    pub fn flush(&self) {
        lock(&self.cache).clear();
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
            others(at, &lock(&self.state).own)
        };
        let now = Instant::now();
        let known = lock(&self.cache).get(&key, now);
        let stored = match known.filter(|stored| stored.fresh(now)) {
            Some(stored) => {
                lock(&self.counts).hits += 1;
                Some(stored)
            }
            None => self.fetch(key, plain, servers).await,
        };
        let limit = limit(&query, transport);
        deliver(&query, asked, stored.as_deref(), limit)
            .unwrap_or_else(|| error_header(message, ResponseCode::ServFail).to_vec())
    }

    fn servers(&self, question: &Question) -> Vec<SocketAddr> {
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

    /// Asks outside; equal questions at one time are asked once, which also ends a circle of
    /// servers that ask each other.
    async fn fetch(self: &Arc<Self>, key: Key, plain: Vec<u8>, servers: Vec<SocketAddr>) -> Answer {
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
                        let answer = own.ask(&key, &plain, &servers).await;
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

    async fn ask(&self, key: &Key, plain: &[u8], servers: &[SocketAddr]) -> Answer {
        lock(&self.counts).misses += 1;
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        // Twice around: the first may have been lost.
        for server in servers.iter().chain(servers) {
            let left = deadline
                .saturating_duration_since(Instant::now())
                .min(ATTEMPT);
            if left.is_zero() {
                break;
            }
            match tokio::time::timeout(left, exchange::ask(*server, plain)).await {
                Ok(Ok(message)) => match message.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => {
                        let stored = store(message).map(Arc::new);
                        if let Some(stored) = stored.clone().filter(|s| !s.life.is_zero()) {
                            lock(&self.cache).put(key.clone(), stored);
                        }
                        return stored;
                    }
                    _ => last = store(message).map(Arc::new),
                },
                Ok(Err(e)) => log::debug!("{server}: {e}"),
                Err(_) => log::debug!("{server}: no answer"),
            }
        }
        if let Some(old) = lock(&self.cache).get(key, Instant::now()) {
            lock(&self.counts).stale += 1;
            return Some(old);
        }
        lock(&self.counts).failures += 1;
        last
    }
}

/// An answer as it is kept: without EDNS, and with the shortest of its lives.
fn store(mut message: Message) -> Option<Stored> {
    message.edns = None;
    message.signature = None;
    let negative = message.answers.is_empty();
    let life = if negative {
        let soa = message
            .authorities
            .iter()
            .find_map(|record| match &record.data {
                RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                _ => None,
            });
        soa.unwrap_or(0).min(MAX_NEGATIVE_LIFE)
    } else {
        let all = message.answers.iter().chain(&message.authorities);
        all.map(|record| record.ttl)
            .min()
            .unwrap_or(0)
            .min(MAX_LIFE)
    };
    let good = matches!(
        message.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    );
    Some(Stored {
        message: message.to_vec().ok()?,
        since: Instant::now(),
        life: Duration::from_secs(u64::from(if good { life } else { 0 })),
    })
}

/// The answer for one client: its question as it wrote it, lives counted down, cut to `limit`.
fn deliver(
    query: &Message,
    asked: &Query,
    stored: Option<&Stored>,
    limit: usize,
) -> Option<Vec<u8>> {
    let mut answer = match stored {
        Some(stored) => {
            let mut answer = Message::from_vec(&stored.message).ok()?;
            let age = u32::try_from(stored.since.elapsed().as_secs()).unwrap_or(u32::MAX);
            let fresh = stored.fresh(Instant::now()) || stored.life.is_zero();
            let sections = [
                &mut answer.answers,
                &mut answer.authorities,
                &mut answer.additionals,
            ];
            for record in sections.into_iter().flatten() {
                record.ttl = if fresh {
                    record.ttl.saturating_sub(age)
                } else {
                    STALE_TTL
                };
                if record.name == asked.name {
                    record.name = asked.name.clone(); // equal but for its letter case
                }
            }
            answer
        }
        None => {
            let mut failed = Message::response(query.metadata.id, query.metadata.op_code);
            failed.metadata.response_code = ResponseCode::ServFail;
            failed
        }
    };
    answer.metadata.id = query.metadata.id;
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.authoritative = false;
    answer.metadata.authentic_data = false; // we did not check
    answer.metadata.truncation = false;
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.checking_disabled = query.metadata.checking_disabled;
    answer.queries = vec![asked.clone()];
    if let Some(theirs) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_LIMIT as u16);
        edns.set_dnssec_ok(theirs.flags().dnssec_ok);
        answer.set_edns(edns);
    }
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    answer.additionals.clear();
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    answer.answers.clear();
    answer.authorities.clear();
    answer.metadata.truncation = true;
    answer.to_vec().ok()
}
