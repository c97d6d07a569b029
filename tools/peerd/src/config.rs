//! `/etc/guifi/peerd.toml` and its drop-ins: as written, and as used.

use std::collections::BTreeMap;

use guifi_core::{Error, Kind, Root};
use guifi_streams::protocol_name_is_valid;
use serde::Deserialize;

/// The files as written; what is absent has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    port: Option<u16>,
    relay: Option<bool>,
    relay_port: Option<u16>,
    relay_mbit: Option<u32>,
    announce: Option<bool>,
    max_streams: Option<u32>,
    protocol: BTreeMap<String, WrittenProtocol>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenProtocol {
    users: Option<Vec<String>>,
    activate: Option<String>,
}

/// Who has to do with a protocol.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Protocol {
    /// The local users that may open and serve it.
    pub users: Vec<String>,
    /// The bus name whose service is started when a peer asks for it and nobody serves it.
    pub activate: Option<String>,
}

/// The settings that the daemon runs with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// UDP port of the endpoint and TCP port of "who are you".
    pub port: u16,
    /// Whether this box relays for the members.
    pub relay: bool,
    /// TCP port of the relay, and UDP port where it tells others their address.
    pub relay_port: u16,
    /// What one connection to the relay may send, in Mbit/s.
    pub relay_mbit: u32,
    /// Whether the box is announced on its links, through Avahi.
    pub announce: bool,
    /// The most streams at once.
    pub max_streams: u32,
    /// The protocols of programs.
    pub protocols: BTreeMap<String, Protocol>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 7656,
            relay: false,
            relay_port: 7657,
            relay_mbit: 32,
            announce: true,
            max_streams: 4096,
            protocols: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Loads the configuration.
    ///
    /// # Errors
    /// [`Kind::Config`] naming what is wrong.
    pub fn load(root: &Root) -> Result<Self, Error> {
        let written: Written = guifi_core::load(root, "peerd")?;
        let default = Self::default();
        let settings = Self {
            port: written.port.unwrap_or(default.port),
            relay: written.relay.unwrap_or(default.relay),
            relay_port: written.relay_port.unwrap_or(default.relay_port),
            relay_mbit: written.relay_mbit.unwrap_or(default.relay_mbit),
            announce: written.announce.unwrap_or(default.announce),
            max_streams: written.max_streams.unwrap_or(default.max_streams),
            protocols: written
                .protocol
                .into_iter()
                .map(|(name, written)| {
                    let users = written.users.unwrap_or_default();
                    let activate = written.activate;
                    (name, Protocol { users, activate })
                })
                .collect(),
        };
        settings.validate()
    }

    fn validate(self) -> Result<Self, Error> {
        let wrong = |text: String| {
            Err(Error::new(
                Kind::Config,
                format!("cannot use the configuration of peerd: {text}"),
            ))
        };
        if self.port == 0 || self.relay_port == 0 {
            return wrong("a port is 1 to 65535".to_owned());
        }
        if self.relay && self.port == self.relay_port {
            return wrong("'port' and 'relay_port' must differ".to_owned());
        }
        if !(1..=10_000).contains(&self.relay_mbit) {
            return wrong("'relay_mbit' is 1 to 10000".to_owned());
        }
        if !(16..=65536).contains(&self.max_streams) {
            return wrong("'max_streams' is 16 to 65536".to_owned());
        }
        let bus_names = self
            .protocols
            .values()
            .filter_map(|p| p.activate.as_deref());
        if let Some(name) = bus_names.into_iter().find(|n| !is_bus_name(n)) {
            return wrong(format!("'{name}' is no bus name such as net.guifi.Video1"));
        }
        match self.protocols.keys().find(|n| !protocol_name_is_valid(n)) {
            Some(name) => wrong(format!(
                "'{name}' is no protocol: 1 to 32 of a-z, 0-9 and '-' are wanted"
            )),
            None => Ok(self),
        }
    }
}

fn is_bus_name(name: &str) -> bool {
    zbus::names::WellKnownName::try_from(name).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(text: &str) -> Result<Settings, Error> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
        std::fs::write(dir.path().join("etc/guifi/peerd.toml"), text).unwrap();
        Settings::load(&Root::new(dir.path()))
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "port = 0",
            "port = 7657\nrelay = true",
            "max_streams = 3",
            "relay_mbit = 0",
            "[protocol.Join]\nusers = []",
            "[protocol.join]\nuser = []",
            "[protocol.video]\nactivate = \"video\"",
        ] {
            assert_eq!(with(wrong).unwrap_err().kind(), Kind::Config, "{wrong}");
        }
    }

    #[test]
    fn the_example_says_the_defaults() {
        let text = guifi_testing::example("peerd");
        let mut settings = with(&text).unwrap();
        let example = Protocol {
            users: vec!["nobody".to_owned()],
            activate: Some("net.guifi.Example1".to_owned()),
        };
        assert_eq!(settings.protocols.remove("example").unwrap(), example);
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn the_drop_in_for_registryd_is_valid() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../systemd/usr/lib/guifi/peerd.d/50-registryd.toml"
        );
        let settings = with(&std::fs::read_to_string(path).unwrap()).unwrap();
        for protocol in ["join", "gossip", "sync"] {
            assert_eq!(settings.protocols[protocol].users, ["guifi-registryd"]);
        }
    }
}
