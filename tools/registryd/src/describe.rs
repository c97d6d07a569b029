//! The document of `Describe`, which `guifi-registry stats --json` prints as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use guifi_streams::Key;
use serde_json::{Value, json};

use crate::engine::{Engine, now};
use crate::node::KeyState;
use crate::record::Record;
use crate::rules::Policy;
use crate::time::BUILT_MS;
use crate::view::time_text;

/// State of the registry; fields are listed in net.guifi.Registry1(5).
pub(crate) fn document(engine: &mut Engine) -> String {
    let key = engine.own();
    let peer = engine.client().is_ok();
    let damaged = engine.damaged().map(str::to_owned);
    let Ok(node) = engine.node() else {
        return json!({"joined": false, "key": key, "peerd": peer}).to_string();
    };
    let now = now();
    let pending = node.pending(now).len();
    let ruling = node.book().ruling();
    let view = node.book().view();
    let own = node.own();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut boxes = (0usize, 0usize);
    let mut bytes = 0;
    for entry in view.entries() {
        *kinds.entry(entry.record.key.kind.as_str()).or_default() += 1;
        bytes += entry.record.size;
        if entry.record.key.kind == "box" {
            boxes.0 += 1;
            boxes.1 += usize::from(!entry.standing.stale);
        }
    }
    let own_box = view.of_owner(own).find(|e| e.record.key.kind == "box");
    let name = own_box.map_or_else(|| node.home().name.clone(), |e| e.standing.label.clone());
    let (epoch, sequence) = view.at();
    json!({
        "joined": true,
        "key": own,
        "peerd": peer,
        "community": {
            "id": Key(node.community()),
            "name": ruling.founding.name,
            "domain": ruling.founding.domain,
            "policy": match ruling.founding.policy {
                Policy::Open => "open",
                Policy::Closed => "closed",
            },
            "terms": ruling.founding.terms,
        },
        "name": name,
        "wished_name": node.home().name,
        "zone": node.home().zone,
        "addresses": own_box
            .and_then(|e| e.record.json().get("spine")?.get("addresses").cloned())
            .unwrap_or_else(|| json!([])),
        "administrator": ruling.is_administrator(own),
        "member": ruling.is_member(own),
        "expelled": node.expelled(),
        "key_state": match node.key_state() {
            KeyState::InUse => "in use",
            KeyState::LeftFor(_) => "left",
            KeyState::Frozen => "frozen",
        },
        "key_left_for": match node.key_state() {
            KeyState::LeftFor(key) => Some(key),
            _ => None,
        },
        "twin": node.twin(now).map(|addresses| json!({"addresses": addresses})),
        "banned": ruling.is_banned(own),
        "administrators": ruling
            .administrators
            .iter()
            .filter_map(|identity| ruling.members.get(identity).map(|m| m.current))
            .collect::<Vec<_>>(),
        "pending": pending,
        "members": ruling.members.len(),
        "boxes": boxes.0,
        "boxes_live": boxes.1,
        "records": view.len(),
        "record_bytes": bytes,
        "kinds": kinds,
        "epoch": epoch,
        "sequence": sequence,
        "synced": node.synced(),
        "saved": node.saved(),
        "damaged_database": damaged,
        "connected_peers": node.linked().collect::<Vec<_>>(),
        "neighbours": node.neighbours(),
        "community_time": time_text(node.community_time(now)),
        "community_time_offset_ms": node.clock_offset(now),
        "clock_before_build": now.clock_ms < BUILT_MS,
        "counters": node.counters(),
    })
    .to_string()
}

/// What `Verify` answers: every record whose signature is not its owner's.
pub(crate) fn verified(records: &[Arc<Record>]) -> Value {
    let bad: Vec<Value> = records
        .iter()
        .filter(|r| !r.verify())
        .map(|r| json!({"owner": r.key.owner, "kind": r.key.kind, "name": r.key.name}))
        .collect();
    json!({"records": records.len(), "bad": bad})
}
