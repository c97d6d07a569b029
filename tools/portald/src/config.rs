//! Configuration of guifi-portald, `/etc/guifi/portald.toml`.

use std::time::Duration;

use guifi_core::{Error, Kind, Root};
use serde::Deserialize;

use crate::dns_name::dns_name;

/// The file as it is written; see guifi-portald.toml(5).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    portal: String,
    zones: Vec<u64>,
    proxies: bool,
    dns_services: Vec<u64>,
    federation: Vec<u64>,
    addresses: bool,
    interval_minutes: u32,
    limits: WrittenLimits,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct WrittenLimits {
    file_bytes: u64,
    connect_seconds: u32,
    response_seconds: u32,
    fetch_seconds: u32,
}

/// Every key with its table, for the manual.
pub const KEYS: [&str; 11] = [
    "portal",
    "zones",
    "proxies",
    "dns_services",
    "federation",
    "addresses",
    "interval_minutes",
    "limits.file_bytes",
    "limits.connect_seconds",
    "limits.response_seconds",
    "limits.fetch_seconds",
];

/// The largest file, in bytes: three times the whole network.
pub const FILE_BYTES: u64 = 1 << 30;
/// Numbers above this are none of the portal's.
const LARGEST: u64 = 1 << 32;
/// Sources of one kind.
const MOST: usize = 1000;

impl Default for Written {
    fn default() -> Self {
        Self {
            portal: "https://guifi.net".into(),
            zones: Vec::new(),
            proxies: true,
            dns_services: Vec::new(),
            federation: Vec::new(),
            addresses: false,
            interval_minutes: 60,
            limits: WrittenLimits::default(),
        }
    }
}

impl Default for WrittenLimits {
    fn default() -> Self {
        Self {
            file_bytes: FILE_BYTES,
            connect_seconds: 15,
            response_seconds: 200,
            fetch_seconds: 3600,
        }
    }
}

/// Bounds of a fetch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a file, packed and unpacked.
    pub bytes: u64,
    /// Until there is a connection.
    pub connect: Duration,
    /// Without a byte, before the first as well.
    pub response: Duration,
    /// In all.
    pub fetch: Duration,
}

/// The configuration as the daemon uses it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The portal, without a slash at its end.
    pub portal: String,
    /// Zones that are fetched with all details.
    pub zones: Vec<u64>,
    /// Whether their lists of proxies are.
    pub proxies: bool,
    /// DNS services whose domains are.
    pub dns_services: Vec<u64>,
    /// Proxies whose federation is.
    pub federation: Vec<u64>,
    /// Whether the dump of addresses is.
    pub addresses: bool,
    /// Between two looks at a source.
    pub interval: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl Settings {
    /// Loads and checks the configuration.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the key.
    pub fn load(root: &Root) -> Result<Self, Error> {
        Self::check(guifi_core::load(root, "portald")?)
    }

    fn check(written: Written) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::new(Kind::Config, format!("portald.toml: {what}")));
        let limits = &written.limits;
        let Some(portal) = portal(&written.portal) else {
            return wrong("portal must be http://HOST or https://HOST, perhaps with a path");
        };
        for (key, ids) in [
            ("zones", &written.zones),
            ("dns_services", &written.dns_services),
            ("federation", &written.federation),
        ] {
            if ids.len() > MOST || ids.iter().any(|id| !(1..LARGEST).contains(id)) {
                return wrong(&format!(
                    "{key} must be numbers of the portal, at most {MOST}"
                ));
            }
        }
        if !(5..=10_080).contains(&written.interval_minutes) {
            return wrong("interval_minutes must be between 5 and 10080");
        }
        if !(1024..=1 << 40).contains(&limits.file_bytes) {
            return wrong("limits.file_bytes must be between 1024 and 1099511627776");
        }
        for (key, seconds) in [
            ("connect_seconds", limits.connect_seconds),
            ("response_seconds", limits.response_seconds),
            ("fetch_seconds", limits.fetch_seconds),
        ] {
            if !(1..=86_400).contains(&seconds) {
                return wrong(&format!("limits.{key} must be between 1 and 86400"));
            }
        }
        let seconds = |number: u32| Duration::from_secs(number.into());
        Ok(Self {
            portal,
            zones: once(&written.zones),
            proxies: written.proxies,
            dns_services: once(&written.dns_services),
            federation: once(&written.federation),
            addresses: written.addresses,
            interval: seconds(written.interval_minutes * 60),
            limits: Limits {
                bytes: limits.file_bytes,
                connect: seconds(limits.connect_seconds),
                response: seconds(limits.response_seconds),
                fetch: seconds(limits.fetch_seconds),
            },
        })
    }
}

fn once(ids: &[u64]) -> Vec<u64> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The address of a portal without the slash at its end, if it is one.
fn portal(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let rest = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"))?;
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match place.rsplit_once(':') {
        Some((host, port)) if !place.ends_with(']') => {
            port.parse::<u16>().ok().filter(|port| *port != 0)?;
            host
        }
        _ => place,
    };
    let six = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let sound = match six {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => dns_name(host).is_some(),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    (sound && path.bytes().all(plain)).then(|| text.to_owned())
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
        let example = guifi_testing::example("portald");
        let written: Written = toml::from_str(&example).unwrap();
        assert_eq!(written, Written::default());
        let keys: toml::Table = toml::from_str(&example).unwrap();
        let count = keys.len() - 1 + keys["limits"].as_table().unwrap().len();
        assert_eq!(count, KEYS.len(), "every key is shown");
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (text, key) in [
            ("portal = 'guifi.net'", "portal"),
            ("portal = 'https://user@guifi.net'", "portal"),
            ("portal = 'https://guifi.net/?x'", "portal"),
            ("portal = 'http://x:0'", "portal"),
            ("zones = [0]", "zones"),
            ("dns_services = [99999999999]", "dns_services"),
            ("federation = [0]", "federation"),
            ("interval_minutes = 1", "interval_minutes"),
            ("[limits]\nfile_bytes = 1", "limits.file_bytes"),
            ("[limits]\nfetch_seconds = 0", "limits.fetch_seconds"),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().contains(key), "{error}");
        }
        assert_eq!(check("zones = [9, 3, 9]").unwrap().zones, [3, 9]);
        for text in [
            "http://portal.town.internal:8080/x/",
            "https://[fd00::1]:443",
            "http://10.1.2.3",
        ] {
            assert!(check(&format!("portal = '{text}'")).is_ok(), "{text}");
        }
    }
}
