//! One list out of what is on the link and what is in the community.

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
type Identity = (String, u64, String);

fn identities(service: &Value) -> impl Iterator<Item = Identity> {
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

/// Both lists in one, each service once: as the community knows it, if it does. The community
/// is large, and is told one by one; the link is small.
pub(crate) struct List {
    lines: String,
    /// What only the link knows so far, with what tells each from others.
    local: Vec<(Value, Vec<Identity>)>,
}

impl List {
    /// A list that begins with nothing but what is on the link.
    pub(crate) fn new(local: Vec<Value>) -> Self {
        let with_identities = |s: Value| {
            let found = identities(&s).collect();
            (s, found)
        };
        Self {
            lines: String::new(),
            local: local.into_iter().map(with_identities).collect(),
        }
    }

    /// Adds a service of the community.
    pub(crate) fn push(&mut self, service: &Value) {
        self.add(service);
        if self.local.is_empty() {
            return;
        }
        let known: Vec<_> = identities(service).collect();
        // A service of this box may be announced at an address that its record does not list.
        let socket = |s: &Value| (s["type"].to_string().to_lowercase(), s["port"].as_u64());
        let is_own = |s: &Value| s["own"].as_bool().unwrap_or_default();
        let is_same =
            |local: &Value| is_own(local) && is_own(service) && socket(local) == socket(service);
        self.local
            .retain(|(s, found)| !is_same(s) && !found.iter().any(|i| known.contains(i)));
    }

    fn add(&mut self, service: &Value) {
        self.lines.push_str(&service.to_string());
        self.lines.push('\n');
    }

    /// All lines.
    pub(crate) fn end(mut self) -> String {
        for (service, _) in std::mem::take(&mut self.local) {
            self.add(&service);
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_service_that_both_know_is_listed_once() {
        let service = |name: &str, address: &str, own: bool| json!({"name": name, "type": "_http._tcp", "port": 80, "addresses": [address], "own": own});
        let community = [
            service("Photos", "10.0.0.1", false),
            service("Mine", "10.0.0.9", true),
        ];
        let local = vec![
            service("Photos", "10.0.0.1", false),
            service("Printer", "10.0.0.2", false),
            service("mine", "fd00::9", true),
        ];
        let mut list = List::new(local);
        community.iter().for_each(|s| list.push(s));
        let lines = list.end();
        let merged = lines
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        let names: Vec<String> = merged
            .map(|s| s["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["Photos", "Mine", "Printer"]);
    }
}
