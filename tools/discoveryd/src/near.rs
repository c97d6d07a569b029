//! Which boxes are on a link of this box: by their addresses, and proved by a direct connection.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use guifi_bus::PeerProxy;
use guifi_streams::Key;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use serde_json::Value;
use tokio::time::timeout;
use zbus::Connection;

use crate::community::Boxed;

/// Members with lower keys that are tried before this box takes a task.
const MAX_TRIED: usize = 3;
/// How long a box of the same link may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// An own network: address and prefix length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Network(IpAddr, u32);

impl Network {
    fn contains(&self, address: &IpAddr) -> bool {
        let same = |a: u128, b: u128, bits: u32| {
            self.1 > 0 && self.1 <= bits && (a ^ b) >> (bits - self.1) == 0
        };
        match (self.0, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(*b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), (*b).into(), 128),
            _ => false,
        }
    }
}

/// An interface of this box that multicast leaves by, and so a link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Interface {
    /// Its number in the kernel, and so in Avahi.
    pub(crate) index: i32,
    networks: Vec<Network>,
}

impl Interface {
    /// Whether one of the addresses is of this link.
    pub(crate) fn holds(&self, addresses: &[IpAddr]) -> bool {
        addresses
            .iter()
            .any(|a| self.networks.iter().any(|n| n.contains(a)))
    }
}

/// The links that this box is on.
pub(crate) fn interfaces() -> Vec<Interface> {
    let Ok(found) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut networks: BTreeMap<String, Vec<Network>> = BTreeMap::new();
    for interface in found {
        let flags = interface.flags;
        // A tunnel has two ends, and no link between them.
        let link = flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_MULTICAST)
            && !flags.intersects(InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_POINTOPOINT);
        let (Some(address), Some(mask), true) = (interface.address, interface.netmask, link) else {
            continue;
        };
        let network = match (
            address.as_sockaddr_in(),
            mask.as_sockaddr_in(),
            address.as_sockaddr_in6(),
            mask.as_sockaddr_in6(),
        ) {
            (Some(a), Some(m), ..) => Network(a.ip().into(), u32::from(m.ip()).count_ones()),
            (.., Some(a), Some(m)) => Network(a.ip().into(), u128::from(m.ip()).count_ones()),
            _ => continue,
        };
        networks
            .entry(interface.interface_name)
            .or_default()
            .push(network);
    }
    let interfaces = networks.into_iter().filter_map(|(name, networks)| {
        let index = if_nametoindex(name.as_str()).ok()?.try_into().ok()?;
        Some(Interface { index, networks })
    });
    interfaces.collect()
}

/// The keys of the other boxes whose addresses are near, in order.
pub(crate) fn keys(boxes: &[Boxed], own: Key, near: impl Fn(&[IpAddr]) -> bool) -> Vec<Key> {
    let mut keys: Vec<Key> = boxes
        .iter()
        .filter(|b| b.key != own && near(&b.addresses))
        .map(|b| b.key)
        .collect();
    keys.sort();
    keys
}

/// What direct connections prove; each box is tried once.
pub(crate) struct Proofs<'a> {
    peer: Option<PeerProxy<'a>>,
    known: HashMap<Key, Option<IpAddr>>,
}

impl Proofs<'_> {
    pub(crate) async fn new(connection: &Connection) -> Self {
        Self {
            peer: PeerProxy::new(connection).await.ok(),
            known: HashMap::new(),
        }
    }

    /// Whether a box answers at all.
    pub(crate) async fn answers(&mut self, key: Key) -> bool {
        let answered = match &self.peer {
            Some(peer) => timeout(PATIENCE, peer.ping(&key.to_string())).await,
            None => return false,
        };
        let answers = matches!(answered, Ok(Ok(_)));
        if !answers {
            self.known.insert(key, None);
        }
        answers
    }

    /// The address by which a box is connected directly.
    async fn address(&mut self, key: Key) -> Option<IpAddr> {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let address = match self.answers(key).await {
            true => self.direct(key).await,
            false => None,
        };
        self.known.insert(key, address);
        address
    }

    async fn direct(&self, key: Key) -> Option<IpAddr> {
        let document = self.peer.as_ref()?.describe().await.ok()?;
        let document: Value = serde_json::from_str(&document).ok()?;
        let key = key.to_string();
        let mut peers = document["peers"].as_array()?.iter();
        let peer = peers.find(|p| p["key"].as_str() == Some(&key))?;
        let address: SocketAddr = peer["address"].as_str()?.parse().ok()?;
        (peer["path"].as_str() == Some("direct")).then(|| address.ip())
    }

    /// The lowest of `keys` below `own` that is proved to be on one of these links; none: it
    /// is this box itself.
    pub(crate) async fn lowest(
        &mut self,
        keys: &[Key],
        own: Key,
        links: &[Interface],
    ) -> Option<Key> {
        for key in keys.iter().filter(|k| **k < own).take(MAX_TRIED) {
            // Proved, not believed: a direct connection on this very link.
            if let Some(address) = self.address(*key).await
                && links.iter().any(|l| l.holds(&[address]))
            {
                return Some(*key);
            }
        }
        None
    }
}

#[cfg(test)]
impl Interface {
    /// One with a single network.
    pub(crate) fn of(index: i32, address: IpAddr, prefix: u32) -> Self {
        let networks = vec![Network(address, prefix)];
        Self { index, networks }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_network_holds_its_addresses() {
        let network = Network("10.1.0.2".parse().unwrap(), 24);
        assert!(network.contains(&"10.1.0.9".parse().unwrap()));
        assert!(!network.contains(&"10.1.1.9".parse().unwrap()));
        assert!(!network.contains(&"fd00::1".parse().unwrap()));
        let network = Network("fd00::1".parse().unwrap(), 64);
        assert!(network.contains(&"fd00::ffff".parse().unwrap()));
        assert!(!Network("0.0.0.0".parse().unwrap(), 0).contains(&"10.0.0.1".parse().unwrap()));
    }
}
