use super::*;
use serde_json::json;

fn healthy() -> Evidence {
    Evidence {
        bus: None,
        peer: Ok(json!({"online": true, "port": 7656, "relay": null,
            "reached_from_outside": {"udp": true, "tcp": true, "helper": "k", "at": "2026-11-24T05:00:00Z"},
            "peers": [{"path": "direct"}, {"path": "none"}]})),
        registry: Ok(
            json!({"joined": true, "peerd": true, "saved": true, "synced": true,
            "members": 2, "boxes": 2, "boxes_live": 2, "records": 9, "connected_peers": ["k"],
            "community": {"name": "osona"}, "name": "a", "wished_name": "a", "zone": "vic",
            "community_time_offset_ms": 12}),
        ),
        discovery: Ok(json!({"avahi": {"running": true}, "published": 1, "unhealthy": 0})),
        gateway: None,
        portal: None,
        storage: None,
        dns: Ok(json!({"listen": [{"address": "127.0.0.1", "state": "listening"}]})),
        updates: Ok(json!({"pending": [], "broken": [], "error": null})),
        disk: Some(1 << 33),
        firewall: Firewall::NotSeen,
    }
}

/// What a box with one fault says: the part, its state and words of its reason.
fn says(change: impl FnOnce(&mut Evidence), part: &str, state: State, words: &str) {
    let mut evidence = healthy();
    change(&mut evidence);
    let parts = all(&evidence);
    let found = parts
        .iter()
        .find(|p| p.name == part)
        .map(|p| (p.state, p.reason.clone(), p.hint.is_some()));
    let (got, reason, hint) = found.unwrap_or((State::Ok, format!("{parts:?}"), false));
    assert_eq!(got, state, "{reason}");
    assert!(reason.contains(words), "{reason}");
    assert!(hint, "{part} says what to do");
}

fn set(document: &mut Result<Value, String>, member: &str, value: Value) {
    if let Ok(document) = document {
        document[member] = value;
    }
}

#[test]
fn a_healthy_box_is_ok_everywhere() {
    let parts = all(&healthy());
    assert!(parts.iter().all(|p| p.state == State::Ok), "{parts:?}");
    assert_eq!(parts.len(), 7);
}

#[test]
fn each_cause_is_named() {
    use State::{Degraded, Down};
    says(
        |e| set(&mut e.registry, "joined", json!(false)),
        "registryd",
        Degraded,
        "not joined",
    );
    says(
        |e| set(&mut e.registry, "connected_peers", json!([])),
        "registryd",
        Degraded,
        "no peers",
    );
    let outside = |udp, tcp| json!({"udp": udp, "tcp": tcp});
    says(
        |e| set(&mut e.peer, "reached_from_outside", outside(false, false)),
        "peerd",
        Degraded,
        "do not reach UDP and TCP port 7656",
    );
    says(
        |e| set(&mut e.peer, "reached_from_outside", outside(true, false)),
        "peerd",
        Degraded,
        "do not reach TCP port 7656",
    );
    says(
        |e| {
            set(&mut e.peer, "reached_from_outside", outside(false, false));
            set(&mut e.peer, "home_relays", json!([{"connected": true}]));
        },
        "peerd",
        State::Ok,
        "but over a relay",
    );
    says(
        |e| set(&mut e.discovery, "avahi", json!({"running": false})),
        "discoveryd",
        Degraded,
        "Avahi",
    );
    let taken = json!([{"address": "127.0.0.1", "state": "taken", "reason": "dnsmasq"}]);
    says(
        |e| set(&mut e.dns, "listen", taken),
        "dnsd",
        Down,
        "port 53 is taken on 127.0.0.1 (dnsmasq)",
    );
    let hosted = json!([{"domain": "vall.example.", "fault": "x: line 3: 'y' is no type"}]);
    says(
        |e| set(&mut e.dns, "hosted", hosted),
        "dnsd",
        Degraded,
        "zone vall.example: x: line 3",
    );
    says(
        |e| {
            set(
                &mut e.registry,
                "community_time_offset_ms",
                json!(-86_400_000),
            )
        },
        "clock",
        Degraded,
        "86400 s ahead",
    );
    says(
        |e| set(&mut e.registry, "clock_before_build", json!(true)),
        "clock",
        Degraded,
        "older than",
    );
    says(|e| e.disk = Some(1 << 20), "disk", Down, "full");
    says(
        |e| set(&mut e.registry, "saved", json!(false)),
        "registryd",
        Down,
        "cannot be written",
    );
    says(
        |e| set(&mut e.registry, "damaged_database", json!("x")),
        "registryd",
        Degraded,
        "damaged",
    );
    says(
        |e| set(&mut e.registry, "name", json!("b-abc")),
        "registryd",
        Degraded,
        "another's",
    );
    says(|e| e.dns = Err("gone".into()), "dnsd", Down, "gone");
    says(
        |e| e.updates = Err("gone".into()),
        "updates",
        Degraded,
        "gone",
    );
    says(|e| e.bus = Some("no bus".into()), "bus", Down, "no bus");
}

#[test]
fn a_box_that_is_no_member_any_more_says_why() {
    let expelled = |e: &mut Evidence| {
        set(&mut e.registry, "member", json!(false));
        set(&mut e.registry, "expelled", json!("its place was used"));
    };
    says(
        expelled,
        "registryd",
        State::Down,
        "no member of osona any more: its place was used",
    );
    let restarted = |e: &mut Evidence| set(&mut e.registry, "member", json!(false));
    says(
        restarted,
        "registryd",
        State::Down,
        "nobody who sponsors it",
    );
    let rebuilding = |e: &mut Evidence| {
        set(&mut e.registry, "member", json!(false));
        set(&mut e.registry, "damaged_database", json!("x"));
    };
    says(rebuilding, "registryd", State::Degraded, "has been rebuilt");
}

#[test]
fn a_box_whose_key_is_not_its_own_alone_says_so() {
    let state = |word: &'static str| {
        move |e: &mut Evidence| {
            set(&mut e.registry, "key_state", json!(word));
            set(&mut e.registry, "key_left_for", json!("abc"));
            set(&mut e.registry, "member", json!(false));
        }
    };
    says(state("left"), "registryd", State::Down, "given up for abc");
    says(state("frozen"), "registryd", State::Down, "two others");
    let twin = |e: &mut Evidence| {
        set(
            &mut e.registry,
            "twin",
            json!({"addresses": ["10.1.0.9", "10.2.0.9"]}),
        );
    };
    says(
        twin,
        "registryd",
        State::Degraded,
        "at 10.1.0.9 and 10.2.0.9, uses the key",
    );
}
