//! Configuration of guifi-storaged, `/etc/guifi/storaged.toml`.

mod size;

use std::net::IpAddr;
use std::time::Duration;

use guifi_core::{Error, Kind, Root};
use serde::Deserialize;

pub use size::Size;

use crate::serve;
use crate::store::{Bounds, Given, Limits};

/// The file as it is written; see guifi-storaged.toml(5).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    space: Size,
    reserved: Size,
    nickname: String,
    hosts: Vec<String>,
    listen: Vec<IpAddr>,
    port: u16,
    standalone: bool,
    grace_days: u32,
    scrub_days: u32,
    scrub_kib: u32,
    limits: WrittenLimits,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenLimits {
    connections: usize,
    per_client: usize,
    idle_seconds: u32,
    uploads: usize,
    uploads_per_account: usize,
    uploads_per_client: usize,
    leases_per_account: u64,
    receive_mbit: u32,
    send_mbit: u32,
}

/// Every key with its table, for the manual.
pub const KEYS: [&str; 19] = [
    "space",
    "reserved",
    "nickname",
    "hosts",
    "listen",
    "port",
    "standalone",
    "grace_days",
    "scrub_days",
    "scrub_kib",
    "limits.connections",
    "limits.per_client",
    "limits.idle_seconds",
    "limits.uploads",
    "limits.uploads_per_account",
    "limits.uploads_per_client",
    "limits.leases_per_account",
    "limits.receive_mbit",
    "limits.send_mbit",
];

impl Default for Written {
    fn default() -> Self {
        Self {
            space: Size::Percent(10),
            reserved: Size::Bytes(1 << 30),
            nickname: String::new(),
            hosts: Vec::new(),
            listen: Vec::new(),
            port: 7658,
            standalone: false,
            grace_days: 7,
            scrub_days: 30,
            scrub_kib: 1024,
            limits: WrittenLimits::default(),
        }
    }
}

impl Default for WrittenLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            per_client: 64,
            idle_seconds: 60,
            uploads: 4096,
            uploads_per_account: 2048,
            uploads_per_client: 512,
            leases_per_account: 1_000_000,
            receive_mbit: 0,
            send_mbit: 0,
        }
    }
}

/// The configuration as the daemon uses it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Space for shares.
    pub bounds: Bounds,
    /// Bounds of the store.
    pub limits: Limits,
    /// Name for people; none: that of the box.
    pub nickname: Option<String>,
    /// Where others find the server; empty: at the addresses of the box.
    pub hosts: Vec<String>,
    /// Addresses to serve on; empty: all.
    pub listen: Vec<IpAddr>,
    /// TCP port.
    pub port: u16,
    /// Whether to serve outside of a community, too.
    pub standalone: bool,
    /// After the end of the last lease.
    pub grace: Duration,
    /// Between two looks at a share.
    pub scrub: Duration,
    /// Bytes of shares read a second, when looking at them.
    pub scrub_rate: u64,
    /// Bounds of connections.
    pub(crate) connections: serve::Bounds,
    /// Bytes a second in and out; 0: no limit.
    pub rates: [u64; 2],
}

impl Settings {
    /// Loads and checks the configuration.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the key.
    pub fn load(root: &Root) -> Result<Self, Error> {
        Self::check(guifi_core::load(root, "storaged")?)
    }

    fn check(written: Written) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::new(Kind::Config, format!("storaged.toml: {what}")));
        let limits = &written.limits;
        if written.port == 0 {
            return wrong("port must be between 1 and 65535");
        }
        let Size::Bytes(reserved) = written.reserved else {
            return wrong("reserved must be a number of bytes, such as 1073741824 or '1G'");
        };
        if written.nickname.chars().count() > 63 || written.nickname.contains(char::is_control) {
            return wrong("nickname must have at most 63 characters");
        }
        if written.hosts.len() > 8 || !written.hosts.iter().all(|host| is_host(host)) {
            return wrong("hosts must be at most 8 names or addresses");
        }
        if !(1..=4096).contains(&limits.connections) || limits.per_client == 0 {
            return wrong(
                "limits.connections must be between 1 and 4096, limits.per_client at least 1",
            );
        }
        if limits.idle_seconds == 0 {
            return wrong("limits.idle_seconds must be at least 1");
        }
        if written.grace_days == 0 || written.scrub_days == 0 || written.scrub_kib == 0 {
            return wrong("grace_days, scrub_days and scrub_kib must be at least 1");
        }
        let days = |days: u32| Duration::from_secs(86_400 * u64::from(days));
        let rate = |mbit: u32| u64::from(mbit) * 125_000;
        Ok(Self {
            bounds: Bounds {
                given: match written.space {
                    Size::Bytes(bytes) => Given::Bytes(bytes),
                    Size::Percent(percent) => Given::Percent(percent),
                },
                reserved,
            },
            limits: Limits {
                uploads: [
                    limits.uploads,
                    limits.uploads_per_account,
                    limits.uploads_per_client,
                ],
                leases: limits.leases_per_account,
            },
            nickname: Some(written.nickname).filter(|name| !name.is_empty()),
            hosts: written.hosts,
            listen: written.listen,
            port: written.port,
            standalone: written.standalone,
            grace: days(written.grace_days),
            scrub: days(written.scrub_days),
            scrub_rate: u64::from(written.scrub_kib) * 1024,
            connections: serve::Bounds {
                connections: [limits.connections, limits.per_client],
                idle: Duration::from_secs(limits.idle_seconds.into()),
            },
            rates: [rate(limits.receive_mbit), rate(limits.send_mbit)],
        })
    }
}

/// Whether a text may stand in a NURL.
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.parse::<IpAddr>().is_ok() || ((1..=253).contains(&text.len()) && text.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str) -> Result<Settings, Error> {
        Settings::check(toml::from_str(text).unwrap())
    }

    #[test]
    fn the_example_shows_every_default() {
        let example = guifi_testing::example("storaged");
        let written: Written = toml::from_str(&example).unwrap();
        assert_eq!(written, Written::default());
        let keys: toml::Table = toml::from_str(&example).unwrap();
        let count = keys.len() - 1 + keys["limits"].as_table().unwrap().len();
        assert_eq!(count, KEYS.len(), "every key is shown");
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (text, key) in [
            ("port = 0", "port"),
            ("reserved = '5%'", "reserved"),
            ("hosts = ['a b']", "hosts"),
            ("nickname = \"a\\nb\"", "nickname"),
            ("grace_days = 0", "grace_days"),
            ("[limits]\nconnections = 0", "limits.connections"),
            ("[limits]\nidle_seconds = 0", "limits.idle_seconds"),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().contains(key), "{error}");
        }
        let settings = check("space = '2G'\nhosts = ['fd00::1', 'a.b']").unwrap();
        assert_eq!(settings.bounds.given, Given::Bytes(2 << 30));
        assert!(toml::from_str::<Written>("space = '101%'").is_err());
    }
}
