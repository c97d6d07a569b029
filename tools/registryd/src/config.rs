//! Configuration of guifi-registryd, `/etc/guifi/registryd.toml`.

use std::time::Duration;

use guifi_core::{Error, Kind, Root};
use serde::Deserialize;

use crate::node::{LapsePace, Pace, Tuning, WritePace};

/// The file as it is written; see guifi-registryd.toml(5).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// How fast this box sponsors new members.
    pub sponsor: Sponsor,
    /// How fast local users may write.
    pub write: Write,
    /// How often books are compared.
    pub sync: Sync,
}

/// Table `[sponsor]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Sponsor {
    /// New members a day.
    pub per_day: u32,
    /// Of these from one /24 (IPv4) or /48 (IPv6).
    pub per_network: u32,
}

/// Table `[write]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Write {
    /// Writes at once.
    pub burst: u32,
    /// Then one in so many seconds.
    pub interval_seconds: u32,
}

/// Table `[sync]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Sync {
    /// Mean time between two reconciliations, in seconds.
    pub interval_seconds: u32,
}

/// Every key with its table, for the manual.
pub const KEYS: [&str; 5] = [
    "sponsor.per_day",
    "sponsor.per_network",
    "write.burst",
    "write.interval_seconds",
    "sync.interval_seconds",
];

impl Default for Sponsor {
    fn default() -> Self {
        Self {
            per_day: 20,
            per_network: 3,
        }
    }
}

impl Default for Write {
    fn default() -> Self {
        Self {
            burst: 100,
            interval_seconds: 10,
        }
    }
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            interval_seconds: 60,
        }
    }
}

/// Loads and checks the configuration.
///
/// # Errors
/// [`Kind::Config`] naming file, key and cause.
pub fn load(root: &Root) -> Result<Tuning, Error> {
    let written: Written = guifi_core::load(root, "registryd")?;
    let wrong = |what: &str| Err(Error::new(Kind::Config, format!("registryd.toml: {what}")));
    if written.write.burst == 0 || written.write.interval_seconds == 0 {
        return wrong("write.burst and write.interval_seconds must be at least 1");
    }
    if !(5..=3600).contains(&written.sync.interval_seconds) {
        return wrong("sync.interval_seconds must be between 5 and 3600");
    }
    Ok(Tuning {
        sponsor: Pace {
            per_day: written.sponsor.per_day,
            per_network: written.sponsor.per_network,
        },
        write: WritePace {
            burst: written.write.burst,
            every: Duration::from_secs(written.write.interval_seconds.into()),
        },
        sync_interval: Duration::from_secs(written.sync.interval_seconds.into()),
        lapse: LapsePace::default(),
    })
}
