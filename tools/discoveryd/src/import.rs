//! What is to be shown here of other links: a function of what is published and of the links
//! that are this box's to fill. Two boxes that know the same want the same to the letter, so
//! that Avahi takes what both show for one: no echo, no new names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use guifi_bus::instance;
use serde_json::Value;

use crate::near::Interface;
use crate::service::{Check, Host, ORIGIN, Service, is_imported};
use guifi_core::is_routed;

/// Entries on all links together. Avahi keeps 1,024 groups of one program, and each entry has a
/// group, as has each machine; and avahi-browse, with as many objects, resolves that many by
/// IPv4 and IPv6.
const MAX_ENTRIES: usize = 500;
/// Addresses of one entry: with the service itself far below the 32 that a group may hold.
const MAX_ADDRESSES: usize = 4;
/// Characters of a key that make a host name unique.
const KEY_CHARACTERS: usize = 8;
/// Octets of a label.
const MAX_LABEL: usize = 63;

/// A link that is this box's to fill.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Duty {
    pub(crate) link: Interface,
    /// Types, in small letters.
    pub(crate) types: BTreeSet<String>,
}

/// Interface, type, name and owner: what tells entries apart.
pub(crate) type Id = (i32, String, String, String);

/// An entry as it is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// The name to take if that is another's on the link.
    pub(crate) second: String,
    pub(crate) kind: String,
    /// Its machine's name on this link.
    pub(crate) host: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) port: u16,
    pub(crate) txt: Vec<String>,
}

/// What is to be shown, and how much there is no room for. `services` are documents of the
/// community as `Browse` gives them.
pub(crate) fn plan(services: &[Value], duties: &[Duty]) -> (BTreeMap<Id, Wanted>, usize) {
    let word = |service: &Value, member: &str| -> String {
        service[member]
            .as_str()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    // Name and type to owners: zones share a link, and so their names.
    let mut owners: BTreeMap<[String; 2], BTreeSet<String>> = BTreeMap::new();
    for service in services {
        let name = ["type", "name"].map(|m| word(service, m));
        owners
            .entry(name)
            .or_default()
            .insert(word(service, "owner"));
    }
    let mut all = BTreeMap::new();
    for service in services.iter().filter(|s| s["state"] == "live") {
        let [kind, name] = ["type", "name"].map(|m| word(service, m));
        let on: Vec<&Duty> = duties.iter().filter(|d| d.types.contains(&kind)).collect();
        let shared = owners
            .get(&[kind.clone(), name])
            .is_some_and(|o| o.len() > 1);
        let Some(wanted) = (!on.is_empty()).then(|| wanted(service, shared)).flatten() else {
            continue;
        };
        // What is on a link needs no import there, be it ours or a neighbour's.
        let further = on
            .iter()
            .filter(|d| service["own"] != true && !d.link.holds(&wanted.addresses));
        for duty in further {
            let name = wanted.name.to_lowercase();
            let id = (duty.link.index, kind.clone(), name, word(service, "owner"));
            all.insert(id, wanted.clone());
        }
    }
    let left_out = all.len().saturating_sub(MAX_ENTRIES);
    (all.into_iter().take(MAX_ENTRIES).collect(), left_out)
}

/// A service of the community as an entry; none if it is not sound, or cannot be reached.
fn wanted(service: &Value, shared: bool) -> Option<Wanted> {
    let (owner, owner_name) = (service["owner"].as_str()?, service["box"].as_str()?);
    let name = service["name"].as_str()?;
    let texts = |member: &str| {
        let list = service[member].as_array();
        list.into_iter().flatten().filter_map(Value::as_str)
    };
    if is_imported(texts("txt")) {
        return None;
    }
    let addresses: Vec<IpAddr> = texts("addresses")
        .filter_map(|a| a.parse().ok())
        .filter(is_routed)
        .take(MAX_ADDRESSES)
        .collect();
    // In a zone with two of that name it has its box's already.
    let boxed = name.ends_with(&format!(" ({owner_name})"));
    let host = host_name(
        service["host"].as_str(),
        owner_name,
        owner,
        addresses.first()?,
    );
    let sound = Service {
        name: instance::label(name, owner_name, shared && !boxed),
        r#type: service["type"].as_str()?.to_owned(),
        port: service["port"].as_u64()?.try_into().ok()?,
        txt: texts("txt").map(ToOwned::to_owned).collect(),
        global: true,
        check: Check::None,
        host: Some(Host {
            name: host,
            addresses,
        }),
        heard: None,
    };
    if let Err(e) = sound.validate() {
        log::debug!("a service of {owner} is not imported: {e}");
        return None;
    }
    let Host {
        name: host,
        addresses,
    } = sound.host?;
    let origin = format!("{ORIGIN}={owner}");
    Some(Wanted {
        second: instance::label(name, owner_name, !boxed),
        name: sound.name,
        kind: sound.r#type,
        host: format!("{host}.local"),
        addresses,
        port: sound.port,
        txt: sound.txt.into_iter().chain([origin]).collect(),
    })
}

/// A label for a machine that no machine of the link has: any program of the link resolves
/// NAME.local, while a name of the community's domain needs a server that knows it.
fn host_name(host: Option<&str>, owner_name: &str, owner: &str, address: &IpAddr) -> String {
    let key = &owner[..owner.floor_char_boundary(KEY_CHARACTERS)];
    let whole = match host {
        Some(host) => format!("{host}-{owner_name}-{key}"),
        None => format!("{owner_name}-{key}"),
    };
    if whole.len() <= MAX_LABEL {
        return whole;
    }
    let address = address.to_string().replace(['.', ':'], "-");
    format!("host-{}-{key}", address.trim_matches('-'))
}

#[cfg(test)]
mod tests;
