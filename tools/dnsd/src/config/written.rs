//! `dnsd.toml` as it is written, with its defaults.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use guifi_core::{Error, Kind};
use serde::Deserialize;

use super::{networks, wrong};
use crate::limit::{FASTEST, Rules};
use crate::upstream::address;

/// The file as written; see guifi-dnsd.toml(5).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    pub(super) listen: Vec<IpAddr>,
    pub(super) port: u16,
    pub(super) workers: u8,
    pub(super) allow: Vec<String>,
    pub(super) cache_bytes: usize,
    pub(super) upstream: Upstream,
    pub(super) tcp: Tcp,
    pub(super) limit: Limit,
    pub(super) portal: Portal,
    pub(super) secondary: Secondary,
    pub(super) zones: BTreeMap<String, Zone>,
    pub(super) transfer: Vec<String>,
    pub(super) notify: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Upstream {
    pub(super) mode: Mode,
    pub(super) dnssec: bool,
    pub(super) recursor: String,
    pub(super) servers: Vec<String>,
    pub(super) zones: BTreeMap<String, Vec<String>>,
    pub(super) authorities: PathBuf,
}

/// Who finds names outside.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    #[default]
    Forward,
    Recursive,
}

impl Upstream {
    /// Where the recursor is, if there is one.
    pub(super) fn recursor(&self) -> Result<Option<SocketAddr>, Error> {
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

impl Default for Upstream {
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
pub(super) struct Tcp {
    pub(super) connections: usize,
    pub(super) per_client: usize,
    pub(super) idle_seconds: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limit {
    pub(super) per_answer: u32,
    pub(super) per_network: u32,
    pub(super) slip: u32,
    pub(super) known: bool,
    pub(super) except: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Portal {
    pub(super) service: u64,
    pub(super) reverse: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Secondary {
    pub(super) bytes: usize,
    pub(super) records: usize,
    pub(super) seconds: u32,
    pub(super) idle_seconds: u32,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Zone {
    pub(super) file: Option<PathBuf>,
    pub(super) primaries: Vec<String>,
    pub(super) view: View,
    pub(super) transfer: Vec<String>,
    pub(super) notify: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
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
            upstream: Upstream::default(),
            tcp: Tcp::default(),
            limit: Limit::default(),
            portal: Portal::default(),
            secondary: Secondary::default(),
            zones: BTreeMap::new(),
            transfer: Vec::new(),
            notify: Vec::new(),
        }
    }
}

impl Default for Secondary {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            records: 500_000,
            seconds: 1800,
            idle_seconds: 30,
        }
    }
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            connections: 64,
            per_client: 8,
            idle_seconds: 10,
        }
    }
}

impl Default for Limit {
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

impl Limit {
    pub(super) fn check(&self) -> Result<Rules, Error> {
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
