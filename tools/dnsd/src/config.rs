//! `dnsd.toml`: as written, and as checked.

mod written;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use guifi_core::{Error, Kind, Root};

use crate::hosted::View;
use crate::hosted::spec::{Access, Server, Source, Spec};
use crate::limit::Rules;
use crate::name::Name;
use crate::secondary::fetch::Limits;
use crate::secondary::stream::Size;
use crate::upstream::{self, address};
pub use written::Written;

/// The configuration as the daemon uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Addresses to listen on; empty: all of this box.
    pub listen: Vec<IpAddr>,
    /// Port, UDP and TCP.
    pub port: u16,
    /// Number of UDP workers, at least 1.
    pub workers: usize,
    /// Further networks to resolve for: address and length of the prefix.
    pub allow: Vec<(IpAddr, u8)>,
    /// Octets of the cache.
    pub cache_bytes: usize,
    /// Servers to forward to; empty: those that the system had.
    pub servers: Vec<upstream::Server>,
    /// Where the recursor answers that names outside are asked of, in place of servers.
    pub recursor: Option<SocketAddr>,
    /// Whether it validates.
    pub dnssec: bool,
    /// The PEM file with the authorities for certificates of servers.
    pub authorities: PathBuf,
    /// Zones (lower case) with servers of their own.
    pub zones: BTreeMap<Name, Vec<upstream::Server>>,
    /// Open TCP connections, in all.
    pub tcp_connections: usize,
    /// Open TCP connections of one address.
    pub tcp_per_client: usize,
    /// How long a silent TCP connection is kept.
    pub tcp_idle: Duration,
    /// Limits of answers on UDP.
    pub limit: Rules,
    /// Zones that are hosted here.
    pub hosted: Vec<Spec>,
    /// How much is taken of a primary.
    pub secondary: Limits,
    /// What is taken from the portal.
    pub portal: Option<Portal>,
    /// Who may have all of the community's domain.
    pub transfer: Access,
    /// Who is told of its changes.
    pub notify: Vec<Server>,
}

/// Zones from the portal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Portal {
    /// Number of the DNS service whose zones it defines; 0 for none.
    pub service: u64,
    /// Whether the reverse of its addresses is served.
    pub reverse: bool,
}

/// The most workers that are started by themselves.
const MAX_AUTOMATIC: usize = 4;

impl Settings {
    /// Loads `dnsd.toml` and its drop-ins.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the file or the key.
    pub fn load(root: &Root) -> Result<Self, Error> {
        Self::check(guifi_core::load::<Written>(root, "dnsd")?)
    }

    /// Checks what was written.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the key.
    pub fn check(written: Written) -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match usize::from(written.workers) {
            0 => cores.min(MAX_AUTOMATIC),
            n @ 1..=64 => n,
            n => return Err(wrong("workers", &n.to_string(), "at most 64")),
        };
        if written.port == 0 {
            return Err(wrong("port", "0", "1 to 65535"));
        }
        if written.tcp.connections == 0 || written.tcp.per_client == 0 {
            return Err(wrong("tcp", "0", "at least one connection"));
        }
        let authorities = written.upstream.authorities.clone();
        if !authorities.is_absolute() {
            let text = authorities.display().to_string();
            return Err(wrong("upstream.authorities", &text, "an absolute path"));
        }
        let mut zones = BTreeMap::new();
        for (zone, texts) in &written.upstream.zones {
            let name = Name::parse(zone).filter(|_| zone.is_ascii());
            let name = name.ok_or_else(|| wrong("upstream.zones", zone, "a domain name"))?;
            zones.insert(name.lower(), upstreams("upstream.zones", texts)?);
        }
        Ok(Self {
            workers,
            allow: networks("allow", &written.allow)?,
            servers: upstreams("upstream.servers", &written.upstream.servers)?,
            zones,
            authorities,
            recursor: written.upstream.recursor()?,
            dnssec: written.upstream.dnssec,
            listen: written.listen,
            port: written.port,
            cache_bytes: written.cache_bytes,
            tcp_connections: written.tcp.connections,
            tcp_per_client: written.tcp.per_client,
            tcp_idle: Duration::from_secs(u64::from(written.tcp.idle_seconds.max(1))),
            limit: written.limit.check()?,
            hosted: written.zones.iter().map(hosted).collect::<Result<_, _>>()?,
            secondary: limits(&written.secondary)?,
            portal: Some(Portal {
                service: written.portal.service,
                reverse: written.portal.reverse,
            })
            .filter(|portal| portal.service != 0 || portal.reverse),
            transfer: access("transfer", &written.transfer)?,
            notify: servers("notify", &written.notify)?,
        })
    }
}

fn hosted((text, written): (&String, &written::Zone)) -> Result<Spec, Error> {
    let name = Name::parse(text).filter(|name| text.is_ascii() && name.labels().count() > 0);
    let name = name.ok_or_else(|| wrong("zones", text, "a domain name"))?;
    Ok(Spec {
        name: name.lower(),
        views: match written.view {
            written::View::All => vec![View::Internal, View::External],
            written::View::Internal => vec![View::Internal],
            written::View::External => vec![View::External],
        },
        source: source(text, written)?,
        transfer: access("zones.transfer", &written.transfer)?,
        notify: servers("zones.notify", &written.notify)?,
    })
}

/// Where a zone comes from: a file or primaries.
fn source(text: &str, written: &written::Zone) -> Result<Source, Error> {
    let primaries = servers("zones.primaries", &written.primaries)?;
    match &written.file {
        Some(file) if file.is_absolute() && primaries.is_empty() => Ok(Source::File(file.clone())),
        None if !primaries.is_empty() => Ok(Source::Primaries(primaries)),
        _ => Err(wrong(
            "zones",
            text,
            "a zone with either an absolute 'file' or 'primaries'",
        )),
    }
}

fn limits(written: &written::Secondary) -> Result<Limits, Error> {
    let numbers = [
        ("secondary.bytes", written.bytes),
        ("secondary.records", written.records),
        ("secondary.seconds", written.seconds as usize),
        ("secondary.idle_seconds", written.idle_seconds as usize),
    ];
    if let Some((key, _)) = numbers.iter().find(|(_, number)| *number == 0) {
        return Err(wrong(key, "0", "at least 1"));
    }
    Ok(Limits {
        size: Size {
            octets: written.bytes,
            records: written.records,
        },
        time: Duration::from_secs(u64::from(written.seconds)),
        idle: Duration::from_secs(u64::from(written.idle_seconds)),
    })
}

fn wrong(key: &str, value: &str, wanted: &str) -> Error {
    let message = format!("cannot use key '{key}' of dnsd.toml: '{value}' is not {wanted}");
    Error::new(Kind::Config, message)
}

fn upstreams(key: &str, texts: &[String]) -> Result<Vec<upstream::Server>, Error> {
    let one =
        |text: &String| upstream::Server::parse(text).ok_or_else(|| wrong(key, text, "an address"));
    texts.iter().map(one).collect()
}

/// Addresses, each perhaps with ` key NAME` behind it.
fn servers(key: &str, texts: &[String]) -> Result<Vec<Server>, Error> {
    let one = |text: &String| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (place, name) = match words[..] {
            [place] => (place, None),
            [place, "key", name] => (place, Some(key_name(name)?)),
            _ => return None,
        };
        let address = address(place, 53)?;
        Some(Server { address, key: name })
    };
    let wanted = "an address, perhaps with 'key NAME' behind it";
    let one = |text: &String| one(text).ok_or_else(|| wrong(key, text, wanted));
    texts.iter().map(one).collect()
}

fn key_name(text: &str) -> Option<Name> {
    let name = Name::parse(text).filter(|name| text.is_ascii() && name.labels().count() > 0)?;
    Some(name.lower())
}

fn networks(key: &str, texts: &[String]) -> Result<Vec<(IpAddr, u8)>, Error> {
    let one = |text: &String| {
        network(text).ok_or_else(|| wrong(key, text, "a network such as 10.0.0.0/8"))
    };
    texts.iter().map(one).collect()
}

fn access(key: &str, texts: &[String]) -> Result<Access, Error> {
    let mut access = Access::default();
    for text in texts {
        let words: Vec<&str> = text.split_whitespace().collect();
        let found = match words[..] {
            ["key", name] => key_name(name).map(|name| access.keys.push(name)),
            [network_text] => network(network_text).map(|found| access.networks.push(found)),
            _ => None,
        };
        let wanted = "a network such as 10.0.0.0/8, or 'key NAME'";
        found.ok_or_else(|| wrong(key, text, wanted))?;
    }
    Ok(access)
}

/// `ADDRESS` or `ADDRESS/LENGTH`.
pub(crate) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address.parse().ok()?, length.parse().ok()?),
        None => (text.parse().ok()?, 128),
    };
    let most = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    (length <= most || !text.contains('/')).then_some((address, length.min(most)))
}

#[cfg(test)]
mod tests;
