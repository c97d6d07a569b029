//! `dnsd.toml`: as written, and as checked.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use guifi_core::{Error, Kind, Root};
use serde::Deserialize;

use crate::hosted::View;
use crate::hosted::spec::{Access, Source, Spec};
use crate::limit::{FASTEST, Rules};
use crate::name::Name;
use crate::upstream::{Server, address};

/// The file as written; see guifi-dnsd.toml(5).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    listen: Vec<IpAddr>,
    port: u16,
    workers: u8,
    allow: Vec<String>,
    cache_bytes: usize,
    upstream: WrittenUpstream,
    tcp: WrittenTcp,
    limit: WrittenLimit,
    portal: WrittenPortal,
    zones: BTreeMap<String, WrittenZone>,
    transfer: Vec<String>,
    notify: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenUpstream {
    mode: Mode,
    dnssec: bool,
    recursor: String,
    servers: Vec<String>,
    zones: BTreeMap<String, Vec<String>>,
    authorities: PathBuf,
}

/// Who finds names outside.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Forward,
    Recursive,
}

impl WrittenUpstream {
    /// Where the recursor is, if there is one.
    fn recursor(&self) -> Result<Option<SocketAddr>, Error> {
        let at = address(&self.recursor, 53).filter(|address| address.ip().is_loopback());
        let wrong = || {
            wrong(
                "upstream.recursor",
                &self.recursor,
                "an address of loopback",
            )
        };
        let at = at.ok_or_else(wrong)?;
        if self.mode == Mode::Recursive && !self.servers.is_empty() {
            return Err(wrong_with_mode());
        }
        Ok(Some(at).filter(|_| self.mode == Mode::Recursive))
    }
}

fn wrong_with_mode() -> Error {
    let text = "cannot use key 'upstream.servers' of dnsd.toml: in mode recursive names are \
                looked up from the root";
    Error::new(Kind::Config, text)
}

impl Default for WrittenUpstream {
    fn default() -> Self {
        Self {
            mode: Mode::Forward,
            dnssec: true,
            recursor: "127.0.0.153".to_owned(),
            servers: Vec::new(),
            zones: BTreeMap::new(),
            authorities: "/etc/ssl/certs/ca-certificates.crt".into(),
        }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenTcp {
    connections: usize,
    per_client: usize,
    idle_seconds: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenLimit {
    per_answer: u32,
    per_network: u32,
    slip: u32,
    known: bool,
    except: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenPortal {
    service: u64,
    reverse: bool,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenZone {
    file: Option<PathBuf>,
    view: WrittenView,
    transfer: Vec<String>,
    notify: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum WrittenView {
    #[default]
    All,
    Internal,
    External,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            port: 53,
            workers: 0,
            allow: Vec::new(),
            cache_bytes: 2 << 20,
            upstream: WrittenUpstream::default(),
            tcp: WrittenTcp::default(),
            limit: WrittenLimit::default(),
            portal: WrittenPortal::default(),
            zones: BTreeMap::new(),
            transfer: Vec::new(),
            notify: Vec::new(),
        }
    }
}

impl Default for WrittenTcp {
    fn default() -> Self {
        Self {
            connections: 64,
            per_client: 8,
            idle_seconds: 10,
        }
    }
}

impl Default for WrittenLimit {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            per_answer: rules.per_answer,
            per_network: rules.per_network,
            slip: rules.slip,
            known: rules.known,
            except: Vec::new(),
        }
    }
}

impl WrittenLimit {
    fn check(&self) -> Result<Rules, Error> {
        for (key, rate) in [
            ("limit.per_answer", self.per_answer),
            ("limit.per_network", self.per_network),
        ] {
            if rate > FASTEST {
                return Err(wrong(key, &rate.to_string(), &format!("at most {FASTEST}")));
            }
        }
        Ok(Rules {
            per_answer: self.per_answer,
            per_network: self.per_network,
            slip: self.slip,
            known: self.known,
            except: networks("limit.except", &self.except)?,
        })
    }
}

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
    pub servers: Vec<Server>,
    /// Where the recursor answers that names outside are asked of, in place of servers.
    pub recursor: Option<SocketAddr>,
    /// Whether it validates.
    pub dnssec: bool,
    /// The PEM file with the authorities for certificates of servers.
    pub authorities: PathBuf,
    /// Zones (lower case) with servers of their own.
    pub zones: BTreeMap<Name, Vec<Server>>,
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
    /// What is taken from the portal.
    pub portal: Option<Portal>,
    /// Who may have all of the community's domain.
    pub transfer: Access,
    /// Who is told of its changes.
    pub notify: Vec<SocketAddr>,
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
            zones.insert(name.lower(), servers("upstream.zones", texts)?);
        }
        Ok(Self {
            workers,
            allow: networks("allow", &written.allow)?,
            servers: servers("upstream.servers", &written.upstream.servers)?,
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
            portal: Some(Portal {
                service: written.portal.service,
                reverse: written.portal.reverse,
            })
            .filter(|portal| portal.service != 0 || portal.reverse),
            transfer: access("transfer", &written.transfer)?,
            notify: addresses("notify", &written.notify)?,
        })
    }
}

fn hosted((text, written): (&String, &WrittenZone)) -> Result<Spec, Error> {
    let name = Name::parse(text).filter(|name| text.is_ascii() && name.labels().count() > 0);
    let name = name.ok_or_else(|| wrong("zones", text, "a domain name"))?;
    let file = written.file.as_ref().filter(|file| file.is_absolute());
    let file = file.ok_or_else(|| wrong("zones", text, "a zone with an absolute 'file'"))?;
    Ok(Spec {
        name: name.lower(),
        views: match written.view {
            WrittenView::All => vec![View::Internal, View::External],
            WrittenView::Internal => vec![View::Internal],
            WrittenView::External => vec![View::External],
        },
        source: Source::File(file.clone()),
        transfer: access("zones.transfer", &written.transfer)?,
        notify: addresses("zones.notify", &written.notify)?,
    })
}

fn wrong(key: &str, value: &str, wanted: &str) -> Error {
    let message = format!("cannot use key '{key}' of dnsd.toml: '{value}' is not {wanted}");
    Error::new(Kind::Config, message)
}

/// `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
fn addresses(key: &str, texts: &[String]) -> Result<Vec<SocketAddr>, Error> {
    let one = |text: &String| address(text, 53).ok_or_else(|| wrong(key, text, "an address"));
    texts.iter().map(one).collect()
}

fn servers(key: &str, texts: &[String]) -> Result<Vec<Server>, Error> {
    let one = |text: &String| Server::parse(text).ok_or_else(|| wrong(key, text, "an address"));
    texts.iter().map(one).collect()
}

fn networks(key: &str, texts: &[String]) -> Result<Vec<(IpAddr, u8)>, Error> {
    let one = |text: &String| {
        network(text).ok_or_else(|| wrong(key, text, "a network such as 10.0.0.0/8"))
    };
    texts.iter().map(one).collect()
}

fn access(key: &str, texts: &[String]) -> Result<Access, Error> {
    networks(key, texts).map(Access)
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
