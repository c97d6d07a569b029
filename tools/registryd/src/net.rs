//! Streams of the registry: threads that move frames between peerd's sockets and the engine.

mod gossip;
mod peer;
mod places;
mod sync;

pub(crate) use peer::watch;
pub(crate) use places::{Place, Places};

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use guifi_streams::{Client, Key};

use crate::engine::{Handle, now};
use crate::node::Protocol;

/// How long opening a stream may take.
const DIAL: Duration = Duration::from_secs(6);
/// The stack of a thread that only moves frames.
const STACK: usize = 128 << 10;

/// Protocol names on peerd's socket.
pub(crate) const GOSSIP: &str = "gossip";
/// Reconciliation.
pub(crate) const SYNC: &str = "sync";
/// Admission.
pub(crate) const JOIN: &str = "join";

/// Runs `task` in a thread of its own.
pub(crate) fn spawn(name: &str, task: impl FnOnce() + Send + 'static) {
    let started = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(task);
    if let Err(e) = started {
        log::error!("cannot start a thread for {name}: {e}; the stream is dropped");
    }
}

/// Opens a stream in the background and serves it.
pub(crate) fn dial(
    client: Client,
    handle: Handle,
    peer: Key,
    protocol: Protocol,
    hints: Vec<SocketAddr>,
) {
    spawn("dial", move || {
        let name = match protocol {
            Protocol::Gossip => GOSSIP,
            Protocol::Sync => SYNC,
        };
        match (client.open(peer, name, &hints, DIAL), protocol) {
            (Ok(stream), Protocol::Gossip) => gossip::serve(stream, true, &handle),
            (Ok(stream), Protocol::Sync) => sync::initiate(&stream, &handle),
            (Err(e), _) => {
                log::debug!("cannot open {name} to {peer}: {e}");
                handle.send(move |engine| {
                    if let Ok(node) = engine.node() {
                        node.dial_failed(peer, protocol, now());
                    }
                });
            }
        }
    });
}

/// The addresses of this box that others may reach: neither loopback nor link-local.
#[must_use]
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(is_reachable)
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses.truncate(16);
    addresses
}

/// Whether others may reach this address: it is neither loopback nor link-local.
#[must_use]
pub(crate) fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !a.is_loopback() && !a.is_link_local() && !a.is_unspecified(),
        IpAddr::V6(a) => !a.is_loopback() && !a.is_unicast_link_local() && !a.is_unspecified(),
    }
}

/// A number that nobody can guess.
#[must_use]
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    if let Err(e) = getrandom::fill(&mut bytes) {
        log::warn!("no randomness to be had: {e}; going on with the clock");
        return crate::time::own_clock_ms();
    }
    u64::from_le_bytes(bytes)
}
