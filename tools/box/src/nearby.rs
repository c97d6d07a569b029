//! Communities heard on the link: boxes announce `_guifi-peer._udp` there, and `avahi-browse`
//! (package avahi-utils) collects them.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// How long the link is listened to at most.
const PATIENCE_SECONDS: &str = "8";
/// Boxes that are remembered of one community.
const MAX_SEEDS: usize = 8;

/// A community heard on the link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Nearby {
    /// Its identity.
    pub(crate) id: String,
    /// Its name, as its boxes announce it.
    pub(crate) name: String,
    /// Its boxes as seeds, `KEY@ADDRESS:PORT`.
    pub(crate) seeds: Vec<String>,
}

/// Listens to the link. Nothing is heard where there is no Avahi.
pub(crate) fn listen() -> Vec<Nearby> {
    let browse = Command::new("timeout")
        .args([
            PATIENCE_SECONDS,
            "avahi-browse",
            "--parsable",
            "--terminate",
            "--resolve",
        ])
        .args(["--no-db-lookup", "_guifi-peer._udp"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    browse.map_or_else(
        |_| Vec::new(),
        |output| parse(&String::from_utf8_lossy(&output.stdout)),
    )
}

/// Reads lines `=;IF;PROTO;NAME;TYPE;DOMAIN;HOST;ADDRESS;PORT;"TXT" …`.
fn parse(output: &str) -> Vec<Nearby> {
    let mut found: BTreeMap<String, Nearby> = BTreeMap::new();
    for line in output.lines().take(4096) {
        let fields: Vec<&str> = line.splitn(10, ';').collect();
        let ["=", _, _, _, _, _, _, address, port, txt] = fields.as_slice() else {
            continue;
        };
        let pairs: Vec<&str> = txt.split('"').collect();
        let value = |key: &str| {
            pairs
                .iter()
                .find_map(|p| p.strip_prefix(key)?.strip_prefix('='))
                .map(str::to_owned)
        };
        let (Some(id), Some(name), Some(key)) = (value("community"), value("name"), value("key"))
        else {
            continue;
        };
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            (*address).to_owned()
        };
        // Link-local addresses need an interface that a seed cannot name.
        if address.starts_with("fe80") || port.parse::<u16>().is_err() {
            continue;
        }
        let community = found.entry(id.clone()).or_insert_with(|| Nearby {
            id,
            name,
            seeds: Vec::new(),
        });
        let seed = format!("{key}@{host}:{port}");
        if community.seeds.len() < MAX_SEEDS && !community.seeds.contains(&seed) {
            community.seeds.push(seed);
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boxes_of_one_community_are_its_seeds() {
        let output = "\
+;eth0;IPv4;a;_guifi-peer._udp;local\n\
=;eth0;IPv4;a;_guifi-peer._udp;local;a.local;10.0.0.1;7656;\"v=1\" \"name=osona\" \"community=cid\" \"key=ka\"\n\
=;eth0;IPv6;a;_guifi-peer._udp;local;a.local;fd00::1;7656;\"v=1\" \"name=osona\" \"community=cid\" \"key=ka\"\n\
=;eth0;IPv6;a;_guifi-peer._udp;local;a.local;fe80::1;7656;\"v=1\" \"name=osona\" \"community=cid\" \"key=ka\"\n\
=;eth0;IPv4;b;_guifi-peer._udp;local;b.local;10.0.0.2;7656;\"name=osona\" \"community=other\" \"key=kb\"\n";
        let found = parse(output);
        assert_eq!(found.len(), 2, "one name, two identities");
        assert_eq!(found[0].seeds, ["ka@10.0.0.1:7656", "ka@[fd00::1]:7656"]);
        assert_eq!(found[1].seeds, ["kb@10.0.0.2:7656"]);
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(output in "[=;a-z0-9\"\n:]{0,200}") {
            let _ = parse(&output);
        }
    }
}
