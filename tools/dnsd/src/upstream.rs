//! The servers that other names are asked at: those of the configuration, or those that the
//! system had before this daemon became its resolver.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::{fmt, fs};

use guifi_core::Root;
use rustls::pki_types::ServerName;

/// Where guifi-dnsd-resolv keeps the system's own file.
pub const SAVED: &str = "/var/lib/guifi/dnsd/resolv.conf.orig";
/// With this systemd-resolved asks us for everything.
pub const RESOLVED_DROP_IN: &str = "/etc/systemd/resolved.conf.d/guifi.conf";
/// What systemd-resolved got from its links.
pub const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// What NetworkManager got from its links.
pub const NETWORK_MANAGER: &str = "/run/NetworkManager/no-stub-resolv.conf";
/// Directories in which resolvconf keeps one file for each source.
pub const RESOLVCONF: [&str; 2] = ["/run/resolvconf/interface", "/run/resolvconf/interfaces"];
/// The system's file.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The first line of files that guifi-dnsd-resolv writes.
pub const MARK: &str = "# Written by guifi-dnsd";

/// systemd-resolved's own addresses: it asks us.
const STUBS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)];

/// A server that is asked.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Server {
    /// Its address.
    pub address: SocketAddr,
    /// The name that its certificate is for; with it, it is asked by TLS.
    pub tls: Option<Arc<str>>,
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tls {
            Some(name) => write!(f, "tls://{}#{name}", self.address),
            None => self.address.fmt(f),
        }
    }
}

impl Server {
    /// Reads `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`; or `tls://`, one of these, and `#NAME`
    /// with the name in its certificate, which is the address if it is left out.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(text) = text.strip_prefix("tls://") else {
            return Some(address(text, 53)?.into());
        };
        let (text, name) = text.split_once('#').unwrap_or((text, ""));
        let address = address(text, 853)?;
        let name = match name {
            "" => address.ip().to_string(),
            name => name.to_owned(),
        };
        ServerName::try_from(&*name).ok()?;
        let tls = Some(name.into());
        Some(Self { address, tls })
    }
}

/// `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
pub fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let plain = text.parse::<IpAddr>().ok();
    plain
        .map(|ip| SocketAddr::new(ip, port))
        .or_else(|| text.parse().ok())
}

/// Servers, and where they were found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Upstreams {
    /// The servers in the order of the configuration.
    pub servers: Vec<Server>,
    /// A file, or `configuration`.
    pub source: String,
}

/// Finds the system's servers; `own` tells addresses at which we would ask ourselves.
pub fn find(root: &Root, own: impl Fn(SocketAddr) -> bool) -> Upstreams {
    let mut texts = Vec::new();
    if root.join(RESOLVED_DROP_IN).exists() {
        // Servers that were set for all links go before those of the links.
        texts.push((SAVED.to_owned(), read(root, SAVED)));
    }
    texts.push((RESOLVED.to_owned(), read(root, RESOLVED)));
    texts.push((NETWORK_MANAGER.to_owned(), read(root, NETWORK_MANAGER)));
    for directory in RESOLVCONF {
        let Ok(entries) = fs::read_dir(root.join(directory)) else {
            continue;
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let files = paths
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok());
        texts.push((directory.to_owned(), files.collect::<Vec<_>>().join("\n")));
    }
    texts.push((SAVED.to_owned(), read(root, SAVED)));
    texts.push((RESOLV_CONF.to_owned(), read(root, RESOLV_CONF)));
    for (source, text) in texts {
        let servers: Vec<_> = servers(&text)
            .into_iter()
            .filter(|s| !own(*s))
            .map(Server::from)
            .collect();
        if !servers.is_empty() {
            return Upstreams { servers, source };
        }
    }
    Upstreams::default()
}

fn read(root: &Root, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap_or_default()
}

/// The `nameserver` lines of a resolv.conf(5), each once.
fn servers(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        // A scope of a link-local address needs the interface's number: such are left out.
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        let server = SocketAddr::new(address, 53);
        let stub = STUBS.iter().any(|stub| address == *stub);
        if !stub && !address.is_unspecified() && !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::new(dir.path());
        (dir, root)
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let (_dir, root) = tree(files);
        let own = |s: SocketAddr| s.ip().is_loopback();
        find(&root, own)
            .servers
            .iter()
            .map(|s| s.address.ip().to_string())
            .collect()
    }

    #[test]
    fn the_links_of_systemd_resolved_come_first_and_ourselves_never() {
        let resolved =
            "# comment\nnameserver 127.0.0.1\nnameserver 192.168.1.1\nnameserver 192.168.1.1\n";
        let saved = "nameserver 9.9.9.9\n";
        assert_eq!(
            found(&[(RESOLVED, resolved), (SAVED, saved)]),
            ["192.168.1.1"]
        );
        assert_eq!(
            found(&[(RESOLVED, "nameserver 127.0.0.1\n"), (SAVED, saved)]),
            ["9.9.9.9"]
        );
        let drop_in = (RESOLVED_DROP_IN, "");
        assert_eq!(
            found(&[(RESOLVED, resolved), (SAVED, saved), drop_in]),
            ["9.9.9.9"]
        );
    }

    #[test]
    fn servers_are_written_as_they_are_read() {
        for (text, shown) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("[::1]:54", "[::1]:54"),
            ("::1", "[::1]:53"),
            (
                "tls://9.9.9.9#dns.quad9.net",
                "tls://9.9.9.9:853#dns.quad9.net",
            ),
            ("tls://[::1]:54#a.example", "tls://[::1]:54#a.example"),
            ("tls://1.1.1.1", "tls://1.1.1.1:853#1.1.1.1"),
        ] {
            let server = Server::parse(text).unwrap();
            assert_eq!(server.to_string(), shown);
            assert_eq!(Server::parse(shown), Some(server));
        }
        for wrong in [
            "",
            "dns",
            "tls://",
            "tls://dns.example",
            "tls://9.9.9.9#",
            "udp://9.9.9.9",
            "tls://9.9.9.9#a b",
            "9.9.9.9#a",
        ] {
            let server = Server::parse(wrong).map(|s| s.to_string());
            assert!(server.is_none() || wrong == "tls://9.9.9.9#", "{wrong}");
        }
    }

    #[test]
    fn resolvconf_and_the_plain_file_are_read() {
        let file = "/run/resolvconf/interface/eth0.dhcp";
        assert_eq!(found(&[(file, "nameserver 10.0.0.1\n")]), ["10.0.0.1"]);
        let plain =
            "search x\nnameserver 1.1.1.1\nnameserver fe80::1%eth0\nnameserver 2620:fe::fe\n";
        assert_eq!(found(&[(RESOLV_CONF, plain)]), ["1.1.1.1", "2620:fe::fe"]);
        assert!(found(&[(RESOLV_CONF, "nameserver 127.0.0.53\n")]).is_empty());
        assert!(found(&[]).is_empty());
    }
}
