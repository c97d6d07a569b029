//! The addresses of this box and the networks of its links, and word of their change.

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

/// Groups of the routing socket that tell of addresses: RTMGRP_IPV4_IFADDR and
/// RTMGRP_IPV6_IFADDR of rtnetlink(7).
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;
/// Shorter prefixes than these are no links.
const SHORTEST: (u8, u8) = (8, 32);

/// One address of this box.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Length of the prefix of its link.
    pub prefix: u8,
}

/// All addresses, in order, without those of the loopback and link-local ones.
///
/// # Errors
/// Those of the kernel.
pub fn addresses() -> io::Result<Vec<Address>> {
    let mut addresses = Vec::new();
    for interface in getifaddrs()? {
        if !interface.flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        let Some(ip) = interface.address.as_ref().and_then(ip) else {
            continue;
        };
        let prefix = interface
            .netmask
            .as_ref()
            .and_then(ip_of_mask)
            .map_or(0, ones);
        let local = match ip {
            IpAddr::V4(a) => a.is_loopback() || a.is_link_local(),
            IpAddr::V6(a) => a.is_loopback() || a.is_unicast_link_local(),
        };
        if !local {
            addresses.push(Address { ip, prefix });
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// The networks of the links with these addresses.
pub fn networks(addresses: &[Address]) -> Vec<(IpAddr, u8)> {
    let linked = |a: &&Address| match a.ip {
        IpAddr::V4(_) => a.prefix >= SHORTEST.0,
        IpAddr::V6(_) => a.prefix >= SHORTEST.1,
    };
    let mut networks: Vec<_> = addresses
        .iter()
        .filter(linked)
        .map(|a| (a.ip, a.prefix))
        .collect();
    // A box may ask itself at any of its addresses.
    let own = addresses
        .iter()
        .map(|a| (a.ip, if a.ip.is_ipv4() { 32 } else { 128 }));
    networks.extend(own);
    networks.sort_unstable();
    networks.dedup();
    networks
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

fn ip_of_mask(mask: &SockaddrStorage) -> Option<IpAddr> {
    ip(mask)
}

fn ones(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(a) => a.to_bits().leading_ones(),
        IpAddr::V6(a) => a.to_bits().leading_ones(),
    };
    ones as u8 // at most 128
}

/// Word of changed addresses. A routing socket is a datagram socket as any other to the
/// runtime, which has no safe wrapper for other kinds of descriptors.
pub struct Watch(tokio::net::UdpSocket);

impl Watch {
    /// Starts to watch; within a runtime.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn start() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Protocol 0 of this family is NETLINK_ROUTE.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, ADDRESS_GROUPS))?;
        Ok(Self(tokio::net::UdpSocket::from_std(socket.into())?))
    }

    /// Waits for the next change.
    pub async fn changed(&self) {
        // What it says is not looked at: the addresses are listed anew. An overrun says the same.
        let mut heard = vec![0u8; 8192];
        let _ = self.0.recv(&mut heard).await;
    }
}

/// Who holds a port of this box, as far as a plain user may know: a name server that is told
/// this address or runs at all, or else the user of the socket.
pub fn holder(root: &guifi_core::Root, address: SocketAddr) -> Option<String> {
    const SERVERS: [&str; 9] = [
        "dnsmasq",
        "named",
        "unbound",
        "systemd-resolve",
        "knotd",
        "nsd",
        "pdns",
        "coredns",
        "pihole-FTL",
    ];
    let mut found: Vec<(bool, String)> = Vec::new();
    for entry in std::fs::read_dir(root.join("/proc")).ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let name = String::from_utf8_lossy(&read("comm")).trim().to_owned();
        if SERVERS.iter().any(|server| name.starts_with(server)) {
            let arguments = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let told = arguments.contains(&address.ip().to_string());
            found.push((told, format!("{name} (process {pid})")));
        }
    }
    // Told the address first; then the youngest name in order, so that the answer is stable.
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().next().map(|(_, name)| name)
}
