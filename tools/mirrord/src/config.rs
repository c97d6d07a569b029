//! Configuration of guifi-mirrord, `/etc/guifi/mirrord.toml`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use guifi_core::{Error, Kind, Root};
use jiff::SignedDuration;
use serde::Deserialize;

use crate::official;
use crate::path::is_plain;
use crate::source::Source;
use crate::sync::Plan;
use crate::tree::Limits;

/// The file as it is written; see guifi-mirrord.toml(5).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    upstream: Vec<String>,
    boxes: bool,
    suite: String,
    keyring: PathBuf,
    listen: Vec<IpAddr>,
    port: u16,
    check_seconds: u32,
    max_age_days: u32,
    limits: WrittenLimits,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenLimits {
    packages: usize,
    size_bytes: u64,
    seconds: u32,
    connections: usize,
    per_client: usize,
    idle_seconds: u32,
}

/// Every key with its table, for the manual.
pub const KEYS: [&str; 14] = [
    "upstream",
    "boxes",
    "suite",
    "keyring",
    "listen",
    "port",
    "check_seconds",
    "max_age_days",
    "limits.packages",
    "limits.size_bytes",
    "limits.seconds",
    "limits.connections",
    "limits.per_client",
    "limits.idle_seconds",
];

/// The keys that come with guifi-archive-keyring.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/guifi-archive-keyring.gpg";
/// The suite of the community's repository.
pub(crate) const SUITE: &str = "guifi";
/// Bounds of a repository: far above what ours needs.
pub(crate) const LIMITS: Limits = Limits {
    packages: 20_000,
    bytes: 8 << 30,
};

impl Default for Written {
    fn default() -> Self {
        Self {
            upstream: Vec::new(),
            boxes: true,
            suite: SUITE.into(),
            keyring: KEYRING.into(),
            listen: Vec::new(),
            port: 7659,
            check_seconds: 3600,
            max_age_days: 90,
            limits: WrittenLimits::default(),
        }
    }
}

impl Default for WrittenLimits {
    fn default() -> Self {
        Self {
            packages: LIMITS.packages,
            size_bytes: LIMITS.bytes,
            seconds: 3600,
            connections: 64,
            per_client: 8,
            idle_seconds: 30,
        }
    }
}

/// The configuration as the daemon uses it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The official hosts.
    pub upstream: Vec<Source>,
    /// Whether mirrors of other boxes are sources, too.
    pub boxes: bool,
    /// How a synchronisation goes.
    pub plan: Plan,
    /// Addresses to serve on; empty: all.
    pub listen: Vec<IpAddr>,
    /// TCP port.
    pub port: u16,
    /// Between two looks at the sources.
    pub check: Duration,
    /// An index older than this is reported.
    pub max_age: SignedDuration,
    /// Connections served at once, in all and of one address.
    pub connections: [usize; 2],
    /// How long a connection may stand still.
    pub idle: Duration,
}

impl Settings {
    /// Loads and checks the configuration.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the key.
    pub fn load(root: &Root) -> Result<Self, Error> {
        Self::check(guifi_core::load(root, "mirrord")?, root)
    }

    fn check(written: Written, root: &Root) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::new(Kind::Config, format!("mirrord.toml: {what}")));
        let limits = &written.limits;
        if written.port == 0 {
            return wrong("port must be between 1 and 65535");
        }
        if !(60..=604_800).contains(&written.check_seconds) {
            return wrong("check_seconds must be between 60 and 604800");
        }
        if !is_plain(&written.suite) || written.suite.contains('/') {
            return wrong("suite must be the name of a suite, such as guifi");
        }
        if !(1..=1024).contains(&limits.connections) || limits.per_client == 0 {
            return wrong(
                "limits.connections must be between 1 and 1024, limits.per_client at least 1",
            );
        }
        if limits.seconds == 0 || limits.idle_seconds == 0 {
            return wrong("limits.seconds and limits.idle_seconds must be at least 1");
        }
        let named: Result<Vec<Source>, Error> = written
            .upstream
            .iter()
            .map(|url| Source::parse(url))
            .collect();
        let named =
            named.map_err(|e| Error::new(Kind::Config, format!("mirrord.toml: upstream: {e}")))?;
        let upstream = if named.is_empty() {
            of_apt(root, &written.suite)
        } else {
            named
        };
        Ok(Self {
            upstream,
            boxes: written.boxes,
            plan: Plan {
                suite: written.suite,
                keyring: root.join(&written.keyring),
                limits: Limits {
                    packages: limits.packages,
                    bytes: limits.size_bytes,
                },
                time: Duration::from_secs(limits.seconds.into()),
            },
            listen: written.listen,
            port: written.port,
            check: Duration::from_secs(written.check_seconds.into()),
            max_age: SignedDuration::from_hours(24 * i64::from(written.max_age_days)),
            connections: [limits.connections, limits.per_client],
            idle: Duration::from_secs(limits.idle_seconds.into()),
        })
    }
}

/// Those that APT names; ones that cannot be read here are for APT alone.
fn of_apt(root: &Root, suite: &str) -> Vec<Source> {
    let named = official::find(root, suite).into_iter();
    named
        .filter_map(|official| match Source::parse(&official.url) {
            Ok(source) => Some(source),
            Err(e) => {
                log::warn!("a source of APT is left out: {e}");
                None
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str) -> Result<Settings, Error> {
        Settings::check(toml::from_str(text).unwrap(), &Root::new("/nonexistent"))
    }

    #[test]
    fn the_example_shows_every_default() {
        let example = guifi_testing::example("mirrord");
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
            ("check_seconds = 5", "check_seconds"),
            ("suite = '../x'", "suite"),
            ("suite = 'a/b'", "suite"),
            ("upstream = ['gopher://x/']", "upstream"),
            ("[limits]\nconnections = 0", "limits.connections"),
            ("[limits]\nidle_seconds = 0", "limits.idle_seconds"),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().contains(key), "{error}");
        }
        assert_eq!(
            check("upstream = ['file:/srv/x']").unwrap().upstream.len(),
            1
        );
    }
}
