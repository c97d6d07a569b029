//! One list out of what is on the link and what is in the community.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::link::Local;
use crate::service;

/// A service on the link as `Browse` answers it.
pub(crate) fn local(service: &Local) -> Value {
    let place = service.place.as_ref();
    json!({
        "name": service.name,
        "type": service.kind,
        "scope": "local",
        "box": null,
        "zone": null,
        "owner": null,
        "host": place.map(|p| &p.host),
        "addresses": place.and_then(|p| p.address).into_iter().collect::<Vec<_>>(),
        "port": place.map(|p| p.port),
        "txt": place.map(|p| p.txt.clone()).unwrap_or_default(),
        "state": "live",
        "seen_at": null,
        "own": service.own,
    })
}

/// Whether a service found on a link is one of another link that is shown there.
pub(crate) fn is_imported(service: &Value) -> bool {
    let txt = service["txt"].as_array();
    service::is_imported(txt.into_iter().flatten().filter_map(Value::as_str))
}

/// What tells the same service in both lists: its type, port, and an address of its host.
fn identities(service: &Value) -> impl Iterator<Item = (String, u64, String)> {
    let kind = service["type"]
        .as_str()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let port = service["port"].as_u64().unwrap_or_default();
    let addresses = service["addresses"].as_array().cloned().unwrap_or_default();
    addresses
        .into_iter()
        .filter_map(move |a| Some((kind.clone(), port, a.as_str()?.to_owned())))
}

/// Both lists in one, each service once: as the community knows it, if it does.
pub(crate) fn merge(community: Vec<Value>, local: Vec<Value>) -> Vec<Value> {
    let known: BTreeSet<(String, u64, String)> = community.iter().flat_map(identities).collect();
    // A service of this box may be announced at an address that its record does not list.
    let socket = |s: &Value| (s["type"].to_string().to_lowercase(), s["port"].as_u64());
    let is_own = |s: &Value| s["own"].as_bool().unwrap_or_default();
    let own: BTreeSet<(String, Option<u64>)> =
        community.iter().filter(|s| is_own(s)).map(socket).collect();
    let further = local.into_iter().filter(|s| {
        let ours = is_own(s) && own.contains(&socket(s));
        !ours && !identities(s).any(|i| known.contains(&i))
    });
    let further: Vec<Value> = further.collect();
    community.into_iter().chain(further).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_both_know_is_listed_once() {
        let service = |name: &str, address: &str, own: bool| json!({"name": name, "type": "_http._tcp", "port": 80, "addresses": [address], "own": own});
        let community = vec![
            service("Photos", "10.0.0.1", false),
            service("Mine", "10.0.0.9", true),
        ];
        let local = vec![
            service("Photos", "10.0.0.1", false),
            service("Printer", "10.0.0.2", false),
            service("mine", "fd00::9", true),
        ];
        let merged = merge(community, local);
        let names: Vec<&str> = merged.iter().filter_map(|s| s["name"].as_str()).collect();
        assert_eq!(names, ["Photos", "Mine", "Printer"]);
    }
}
