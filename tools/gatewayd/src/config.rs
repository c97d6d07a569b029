//! Configuration of guifi-gatewayd, `/etc/guifi/gatewayd.toml`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use guifi_core::{Error, Kind, Root};
use serde::Deserialize;

use crate::policy::Policy;

/// The file as it is written; see guifi-gatewayd.toml(5).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    listen: SocketAddr,
    web: bool,
    registry: bool,
    encoding: WrittenEncoding,
    limits: WrittenLimits,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenEncoding {
    needed: u16,
    happy: u16,
    total: u16,
    survive: u16,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenLimits {
    connections: usize,
    upload_bytes: u64,
    mutable_bytes: u64,
    idle_seconds: u32,
}

/// Every key with its table, for the manual.
pub const KEYS: [&str; 11] = [
    "listen",
    "web",
    "registry",
    "encoding.needed",
    "encoding.happy",
    "encoding.total",
    "encoding.survive",
    "limits.connections",
    "limits.upload_bytes",
    "limits.mutable_bytes",
    "limits.idle_seconds",
];

/// Tahoe's own port for clients.
const PORT: u16 = 3456;

impl Default for Written {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
            web: true,
            registry: true,
            encoding: WrittenEncoding::default(),
            limits: WrittenLimits::default(),
        }
    }
}

impl Default for WrittenLimits {
    fn default() -> Self {
        Self {
            connections: 64,
            upload_bytes: 1 << 40,
            mutable_bytes: 32 << 20,
            idle_seconds: 60,
        }
    }
}

/// Bounds of what clients may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections served at once.
    pub connections: usize,
    /// Longest file.
    pub upload: u64,
    /// Longest mutable file or directory.
    pub mutable: u64,
    /// How long a client may be silent within a request.
    pub idle: Duration,
}

/// The configuration as the daemon uses it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Where web requests are taken; none: on the socket only.
    pub listen: Option<SocketAddr>,
    /// Whether servers of the community are used.
    pub registry: bool,
    /// How files are cut and spread.
    pub policy: Policy,
    /// Bounds.
    pub limits: Limits,
}

impl Settings {
    /// Loads and checks the configuration.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the key.
    pub fn load(root: &Root) -> Result<Self, Error> {
        Self::check(&guifi_core::load(root, "gatewayd")?)
    }

    fn check(written: &Written) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::new(Kind::Config, format!("gatewayd.toml: {what}")));
        if !written.listen.ip().is_loopback() {
            return wrong(
                "listen must be an address of this machine alone, such as 127.0.0.1:3456",
            );
        }
        let encoding = &written.encoding;
        let policy = Policy {
            fixed: match [encoding.needed, encoding.happy, encoding.total] {
                [0, 0, 0] => None,
                [needed, happy, total]
                    if 1 <= needed && needed <= happy && happy <= total && total <= 256 =>
                {
                    Some([needed, happy, total])
                }
                _ => {
                    return wrong(
                        "encoding.needed, encoding.happy and encoding.total must all be 0, or each at \
                         least 1, no larger than the next, and at most 256",
                    );
                }
            },
            survive: encoding.survive,
        };
        let limits = &written.limits;
        if !(1..=4096).contains(&limits.connections) {
            return wrong("limits.connections must be between 1 and 4096");
        }
        if limits.upload_bytes == 0 || !(1..=64 << 20).contains(&limits.mutable_bytes) {
            return wrong(
                "limits.upload_bytes must be at least 1, limits.mutable_bytes between 1 and 67108864",
            );
        }
        if limits.idle_seconds == 0 {
            return wrong("limits.idle_seconds must be at least 1");
        }
        Ok(Self {
            listen: written.web.then_some(written.listen),
            registry: written.registry,
            policy,
            limits: Limits {
                connections: limits.connections,
                upload: limits.upload_bytes,
                mutable: limits.mutable_bytes,
                idle: Duration::from_secs(limits.idle_seconds.into()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str) -> Result<Settings, Error> {
        Settings::check(&toml::from_str(text).unwrap())
    }

    #[test]
    fn the_example_shows_every_default() {
        let example = guifi_testing::example("gatewayd");
        let written: Written = toml::from_str(&example).unwrap();
        assert_eq!(written, Written::default());
        let keys: toml::Table = toml::from_str(&example).unwrap();
        let tables = keys.values().filter_map(toml::Value::as_table);
        let count: usize = tables.map(|table| table.len() - 1).sum();
        assert_eq!(keys.len() + count, KEYS.len(), "every key is shown");
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (text, key) in [
            ("listen = '192.0.2.1:80'", "listen"),
            ("[encoding]\nneeded = 3", "encoding.needed"),
            (
                "[encoding]\nneeded = 3\nhappy = 2\ntotal = 4",
                "encoding.happy",
            ),
            (
                "[encoding]\nneeded = 3\nhappy = 5\ntotal = 300",
                "encoding.total",
            ),
            ("[limits]\nconnections = 0", "limits.connections"),
            ("[limits]\nmutable_bytes = 0", "limits.mutable_bytes"),
            ("[limits]\nidle_seconds = 0", "limits.idle_seconds"),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().contains(key), "{error}");
        }
        let fixed = check("[encoding]\nneeded = 3\nhappy = 7\ntotal = 10").unwrap();
        assert_eq!(fixed.policy.fixed, Some([3, 7, 10]));
        assert_eq!(check("web = false").unwrap().listen, None);
    }
}
