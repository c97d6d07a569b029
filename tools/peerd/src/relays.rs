//! The relays that this box waits at, and those over which a member is met.
//!
//! Of the members that relay, the nearest few are used; the box names them in its record, so
//! that others know where it waits. One that is gone is dropped after a second, and the peers
//! that were met over it are dialled anew: a connection never changes its relay.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use guifi_streams::{Key, Member, PathKind};
use iroh::{Endpoint, RelayUrl, TransportAddr, Watcher as _};
use iroh_relay::{RelayConfig, RelayQuicConfig};
use tokio::time::{Instant, sleep_until};

use crate::coordinates::Place;
use crate::dial;
use crate::members::Members;
use crate::node::{Node, Notice, lock};
use crate::peers::close;
use crate::verifier::Trusted;

/// How many relays are used.
const MAX: usize = 3;
/// How many are tried on the way to a member.
const TOWARDS: usize = 4;
/// A relay that was there is given up after this,
const GONE: Duration = Duration::from_secs(1);
/// one that does not answer at first after this,
const NEVER_THERE: Duration = Duration::from_secs(5);
/// and it is tried again after this.
const REST: Duration = Duration::from_secs(60);

/// The relays of the community, as this box uses them.
#[derive(Debug)]
pub(crate) struct Relays {
    trusted: Arc<Trusted>,
    used: Mutex<BTreeMap<RelayUrl, Used>>,
}

#[derive(Debug)]
struct Used {
    owner: Key,
    config: Arc<RelayConfig>,
    /// Until when it is left alone.
    resting: Option<Instant>,
}

impl Relays {
    /// None yet; certificates that are to be believed go to `trusted`.
    pub(crate) fn new(trusted: Arc<Trusted>) -> Self {
        Self {
            trusted,
            used: Mutex::default(),
        }
    }

    /// Uses the nearest relays of the members; repeating it costs little.
    pub(crate) async fn choose(&self, node: &Node, endpoint: &Endpoint) {
        let members = node.members();
        let own = node.identity.public();
        let mut hashes: HashMap<IpAddr, HashSet<[u8; 32]>> = HashMap::new();
        let mut sites = Vec::new();
        for member in members.by_key.values() {
            if let Some(site) = site(member)
                && member.key != own
                && members.contains(member.key)
            {
                hashes
                    .entry(site.address.ip())
                    .or_default()
                    .insert(site.hash);
                sites.push((self.rank(node, member), site));
            }
        }
        self.trusted.set(hashes);
        sites.sort_by_key(|(rank, _)| *rank);
        sites.truncate(MAX);
        let wanted: BTreeMap<RelayUrl, Site> =
            sites.into_iter().map(|(_, s)| (s.url.clone(), s)).collect();
        let mut gone = Vec::new();
        let mut come = Vec::new();
        {
            let mut used = lock(&self.used);
            used.retain(|url, relay| {
                let stays = wanted.contains_key(url);
                if !stays && relay.resting.is_none() {
                    gone.push(url.clone());
                }
                stays
            });
            for (url, site) in wanted {
                used.entry(url.clone()).or_insert_with(|| {
                    let config = Arc::new(site.config);
                    come.push((url, config.clone()));
                    Used {
                        owner: site.owner,
                        config,
                        resting: None,
                    }
                });
            }
        }
        for url in gone {
            endpoint.remove_relay(&url).await;
        }
        for (url, config) in come {
            endpoint.insert_relay(url, config).await;
        }
    }

    /// The nearest first: measured, else guessed, else in an order of this box's own, so that
    /// not all take the same. One in use stays unless another is nearer by a third.
    fn rank(&self, node: &Node, member: &Member) -> (u64, [u8; 32]) {
        let direct = node.peers.newest(member.key).map(|link| link.route());
        let measured = direct
            .filter(|route| route.path == PathKind::Direct)
            .map(|route| route.rtt);
        let guessed = || {
            let there = Place::read(member.coordinate?)?;
            let here = *lock(&node.place);
            here.is_known().then(|| here.distance(&there))
        };
        let mut micros = measured.or_else(guessed).map_or(u64::MAX >> 1, |d| {
            d.as_micros().try_into().unwrap_or(u64::MAX)
        });
        if lock(&self.used).values().any(|u| u.owner == member.key) {
            micros -= micros / 3;
        }
        let own = node.identity.public();
        (micros, std::array::from_fn(|i| own.0[i] ^ member.key.0[i]))
    }

    /// The members at one of whose relays this box waits, in the order of their keys: which of
    /// two as near is home today is no news for the community.
    pub(crate) fn named(&self) -> Vec<Key> {
        let used = lock(&self.used);
        let mut named: Vec<Key> = used
            .values()
            .filter(|relay| relay.resting.is_none())
            .map(|relay| relay.owner)
            .collect();
        named.sort_unstable();
        named
    }

    /// The relays over which a member may be met: those that it names, then this box's own.
    pub(crate) fn towards(&self, members: &Members, key: Key) -> Vec<RelayUrl> {
        let named = members.by_key.get(&key).map(|m| m.relays.as_slice());
        let mut urls: Vec<RelayUrl> = named
            .unwrap_or_default()
            .iter()
            .filter(|owner| members.contains(**owner))
            .filter_map(|owner| site(members.by_key.get(owner)?))
            .map(|site| site.url)
            .collect();
        for (url, relay) in lock(&self.used).iter() {
            if relay.owner != key && relay.resting.is_none() && !urls.contains(url) {
                urls.push(url.clone());
            }
        }
        urls.truncate(TOWARDS);
        urls
    }

    /// Stops using a relay for a while, unless there is no other.
    async fn rest(&self, endpoint: &Endpoint, url: &RelayUrl) -> bool {
        {
            let mut used = lock(&self.used);
            let others = used.iter().any(|(u, r)| u != url && r.resting.is_none());
            let Some(relay) = used.get_mut(url).filter(|_| others) else {
                return false;
            };
            relay.resting = Some(Instant::now() + REST);
        }
        endpoint.remove_relay(url).await;
        true
    }

    /// Uses those again that have rested; when the next will have.
    async fn wake(&self, endpoint: &Endpoint) -> Option<Instant> {
        let now = Instant::now();
        let mut rested = Vec::new();
        let next = {
            let mut used = lock(&self.used);
            for (url, relay) in used.iter_mut() {
                if relay.resting.is_some_and(|until| until <= now) {
                    relay.resting = None;
                    rested.push((url.clone(), relay.config.clone()));
                }
            }
            used.values().filter_map(|relay| relay.resting).min()
        };
        for (url, config) in rested {
            endpoint.insert_relay(url, config).await;
        }
        next
    }
}

/// A relay as its member's record describes it.
struct Site {
    owner: Key,
    url: RelayUrl,
    address: SocketAddr,
    hash: [u8; 32],
    config: RelayConfig,
}

fn site(member: &Member) -> Option<Site> {
    let relay = member.relay.as_ref()?;
    let address = SocketAddr::new(member.addresses.first()?.ip(), relay.tcp);
    let url: RelayUrl = format!("https://{address}/").parse().ok()?;
    let hash: Key = relay.certificate.parse().ok()?;
    Some(Site {
        owner: member.key,
        config: RelayConfig::new(url.clone(), Some(RelayQuicConfig::new(relay.udp))),
        url,
        address,
        hash: hash.0,
    })
}

/// Watches the home relay and gives it up when it is gone, for as long as the box is joined.
pub(crate) async fn watch(node: Arc<Node>, endpoint: Endpoint) {
    let mut statuses = endpoint.home_relay_status().stream();
    let mut up: HashMap<RelayUrl, bool> = HashMap::new();
    let mut doubts: HashMap<RelayUrl, Instant> = HashMap::new();
    let mut wake: Option<Instant> = None;
    loop {
        let next = doubts.values().copied().chain(wake).min();
        let due = async {
            match next {
                Some(when) => sleep_until(when).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            statuses = statuses.next() => {
                let Some(statuses) = statuses else { return };
                let now: HashMap<RelayUrl, bool> = statuses
                    .iter()
                    .map(|s| (s.url().clone(), s.is_connected()))
                    .collect();
                doubts.retain(|url, _| now.get(url) == Some(&false));
                for (url, connected) in &now {
                    let was = up.get(url).copied().unwrap_or(false);
                    if was != *connected {
                        node.notice(Notice::Relay(url.to_string(), *connected));
                    }
                    if !connected {
                        let patience = if was { GONE } else { NEVER_THERE };
                        doubts.entry(url.clone()).or_insert(Instant::now() + patience);
                    }
                }
                up = now;
            }
            () = due => {
                let Some(net) = node.net() else { return };
                let now = Instant::now();
                let given_up: Vec<_> = doubts.extract_if(|_, when| *when <= now).collect();
                for (url, _) in given_up {
                    if net.relays.rest(&endpoint, &url).await {
                        log::info!("the relay {url} is gone; using another");
                        renew(&node, &url);
                    } else {
                        // The only one: it is waited for.
                        doubts.insert(url, now + REST);
                    }
                }
                wake = net.relays.wake(&endpoint).await;
            }
        }
    }
}

/// Ends the connections that lead over a relay, and dials those peers anew.
fn renew(node: &Arc<Node>, url: &RelayUrl) {
    for link in node.peers.links() {
        let over = link.connection.paths().iter().any(|path| {
            path.is_selected() && *path.remote_addr() == TransportAddr::Relay(url.clone())
        });
        if !over {
            continue;
        }
        let used = link.stream_count() > 0;
        link.close(close::SILENT);
        if used {
            let (node, key) = (node.clone(), link.key);
            tokio::spawn(async move {
                if let Some(net) = node.net()
                    && let Err(refusal) = dial::dial(&node, &net, key, &[]).await
                {
                    log::debug!("cannot meet {key} elsewhere: {}", refusal.1);
                }
            });
        }
    }
}
