#![allow(clippy::unwrap_used)]
use super::Protocol::{Tcp, Udp};
use super::*;
use serde_json::json;

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn say(document: &Value) -> Vec<String> {
    findings(document, &[Udp, Tcp], 7656)
}

/// One base chain with these rules, of which the first has handle 10.
fn input(policy: &str, rules: &[Value]) -> Value {
    let mut all = vec![
        json!({"chain": {"family": "inet", "table": "t", "name": "in", "handle": 1,
            "type": "filter", "hook": "input", "prio": 0, "policy": policy}}),
        json!({"chain": {"family": "inet", "table": "t", "name": "other", "handle": 2}}),
        json!({"set": {"family": "inet", "table": "t", "name": "ports", "type": "inet_service",
            "elem": [22, {"range": [7000, 8000]}]}}),
    ];
    all.extend(rules.iter().enumerate().map(|(number, expr)| {
        let other = expr[0] == "other";
        let expr: Vec<_> = list(expr).iter().skip(usize::from(other)).collect();
        json!({"rule": {"family": "inet", "table": "t", "chain": if other { "other" } else { "in" },
            "handle": 10 + number, "expr": expr}})
    }));
    json!({"nftables": all})
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn is(op: &str, left: Value, right: Value) -> Value {
    json!({"match": {"op": op, "left": left, "right": right}})
}

fn port(protocol: &str, right: Value) -> Value {
    is(
        "==",
        json!({"payload": {"protocol": protocol, "field": "dport"}}),
        right,
    )
}

fn from(address: &str) -> Value {
    is(
        "==",
        json!({"payload": {"protocol": "ip", "field": "saddr"}}),
        json!(address),
    )
}

const POLICY: &str = "the policy of chain in (handle 1), table inet t, stops UDP and TCP port 7656";

#[test]
fn what_debian_firewalld_and_ufw_do_is_understood() {
    let workstation = document(include_str!("fixtures/workstation.json"));
    assert_eq!(
        say(&workstation),
        ["the rule (handle 8) of chain input, table inet filter, stops UDP and TCP port 7656"]
    );
    let firewalld = document(include_str!("fixtures/firewalld.json"));
    let found = say(&firewalld);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("of chain filter_INPUT, table inet firewalld, stops UDP and TCP"),
        "{found:?}"
    );
    let ufw = document(include_str!("fixtures/ufw.json"));
    let found = say(&ufw);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("the policy of chain INPUT (handle "),
        "{found:?}"
    );
    assert!(found[0].ends_with(", table ip filter, stops UDP and TCP port 7656 of IPv4"));
    // What they let in is let in.
    assert!(findings(&firewalld, &[Tcp], 22).is_empty());
    assert!(findings(&ufw, &[Tcp], 22).is_empty());
}

#[test]
fn a_policy_stops_what_no_rule_accepts() {
    let lo = is("==", json!({"meta": {"key": "iif"}}), json!("lo"));
    let old = is(
        "in",
        json!({"ct": {"key": "state"}}),
        json!(["established", "related"]),
    );
    let accept = json!({"accept": null});
    let rules = [
        json!([lo, accept]),
        json!([old, accept]),
        json!([port("tcp", json!(22)), accept]),
    ];
    assert_eq!(say(&input("drop", &rules)), [POLICY]);
    assert!(say(&input("accept", &rules)).is_empty());
    for open in [
        port("th", json!(7656)),
        port("th", json!("@ports")),
        port("th", json!({"set": [1, {"range": [7656, 7657]}]})),
        is(
            ">=",
            json!({"payload": {"protocol": "th", "field": "dport"}}),
            json!(1024),
        ),
        is(
            "==",
            json!({"meta": {"key": "l4proto"}}),
            json!({"set": ["tcp", "udp"]}),
        ),
    ] {
        assert!(say(&input("drop", &[json!([open, {"counter": null}, accept])])).is_empty());
    }
    let found = say(&input("drop", &[json!([port("tcp", json!(7656)), accept])]));
    assert_eq!(
        found,
        ["the policy of chain in (handle 1), table inet t, stops UDP port 7656"]
    );
}

#[test]
fn what_is_not_certain_is_not_accused() {
    let (accept, drop) = (json!({"accept": null}), json!({"drop": null}));
    let possible =
        "the policy of chain in (handle 1), table inet t, may stop UDP and TCP port 7656";
    for maybe in [
        json!([
            is("==", json!({"meta": {"key": "iifname"}}), json!("eth0")),
            accept
        ]),
        json!([is("==", json!({"meta": {"key": "mark"}}), json!(1)), accept]),
        json!([{"limit": {"rate": 1, "per": "second"}}, accept]),
        json!([
            is("==", json!({"meta": {"key": "nfproto"}}), json!("@gone")),
            accept
        ]),
    ] {
        assert_eq!(say(&input("drop", &[maybe])), [possible]);
    }
    // Neighbours may be let in: IPv4 is not certain, IPv6 is.
    let found = say(&input("drop", &[json!([from("10.0.0.1"), accept])]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("may stop") && found[0].ends_with("of IPv4"));
    assert!(found[1].contains(" stops ") && found[1].ends_with("of IPv6"));
    let found = say(&input("accept", &[json!([from("10.0.0.1"), drop])]));
    assert_eq!(
        found,
        ["the rule (handle 10) of chain in, table inet t, may stop UDP and TCP port 7656 of IPv4"]
    );
    let strange = say(&input("accept", &[json!([{"new-thing": 1}])]));
    assert!(strange[0].contains("may stop"), "{strange:?}");
}

#[test]
fn chains_and_verdict_maps_are_followed() {
    let drop_ours = json!(["other", port("udp", json!(7656)), {"drop": null}]);
    let jump = json!([{"jump": {"target": "other"}}]);
    let found = say(&input("accept", &[drop_ours.clone(), jump.clone()]));
    assert_eq!(
        found,
        ["the rule (handle 10) of chain other, table inet t, stops UDP port 7656"]
    );
    let back = json!(["other", {"return": null}]);
    assert!(say(&input("accept", &[back, drop_ours, jump])).is_empty());
    let map =
        |key: Value, elements: Value| json!([{"vmap": {"key": key, "data": {"set": elements}}}]);
    let state = map(
        json!({"ct": {"key": "state"}}),
        json!([["established", {"accept": null}], ["new", {"drop": null}]]),
    );
    assert_eq!(
        say(&input("accept", &[state])),
        ["the rule (handle 10) of chain in, table inet t, stops UDP and TCP port 7656"]
    );
    let interface = map(
        json!({"meta": {"key": "iifname"}}),
        json!([["lo", {"accept": null}], ["eth0", {"jump": {"target": "other"}}]]),
    );
    assert_eq!(say(&input("drop", &[interface])), [POLICY]);
    let looping = json!(["other", {"jump": {"target": "other"}}]);
    assert!(
        say(&input(
            "drop",
            &[looping, json!([{"jump": {"target": "other"}}])]
        ))[0]
            .contains("may")
    );
}

#[test]
fn packets_that_are_sent_elsewhere_are_not_accused() {
    let mut ruleset = input("drop", &[]);
    let nat = json!({"family": "inet", "table": "t", "name": "nat", "handle": 3,
        "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"});
    let redirect = json!({"family": "inet", "table": "t", "chain": "nat", "handle": 40,
        "expr": [port("udp", json!(7656)), {"redirect": {"port": 9}}]});
    let all = ruleset["nftables"].as_array_mut().unwrap();
    all.extend([json!({"chain": nat}), json!({"rule": redirect})]);
    let found = say(&ruleset);
    assert!(found[0].contains("may stop UDP"), "{found:?}");
    assert!(found[1].contains("stops TCP"), "{found:?}");
}

#[test]
fn the_rules_that_the_packages_bring_let_all_ports_in() {
    let own = document(include_str!("fixtures/own.json"));
    for (protocols, port) in [
        (&[Udp, Tcp][..], 7656),
        (&[Udp, Tcp], 7700),
        (&[Udp, Tcp], 7657),
        (&[Udp, Tcp], 53),
        (&[Tcp], 7659),
    ] {
        let found = findings(&own, protocols, port);
        assert!(found.is_empty(), "{port}: {found:?}");
    }
    assert_eq!(
        findings(&own, &[Udp, Tcp], 22),
        ["the policy of chain input (handle 2), table inet filter, stops UDP and TCP port 22"]
    );
}

#[test]
fn only_root_sees_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    let root = guifi_core::Root::new(dir.path());
    assert_eq!(look(&root), Firewall::NotSeen);
    let nft = root.join("/usr/sbin/nft");
    std::fs::create_dir_all(nft.parent().unwrap()).unwrap();
    std::fs::write(&nft, "#!/bin/sh\necho \"{\\\"asked\\\": \\\"$*\\\"}\"\n").unwrap();
    let execute = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&nft, execute).unwrap();
    let seen = look(&root);
    if rustix::process::geteuid().is_root() {
        assert_eq!(seen, Firewall::Rules(json!({"asked": "-j list ruleset"})));
    } else {
        assert_eq!(seen, Firewall::Hidden);
    }
}

#[test]
fn the_hint_says_what_to_do() {
    let said = hint(&Firewall::Rules(input("drop", &[])), &[Udp], 7656);
    assert!(
        said.contains("'udp dport 7656 accept'") && said.contains("peerd.nft"),
        "{said}"
    );
    assert!(hint(&Firewall::Hidden, &[Udp], 7656).contains("sudo guifi-status"));
    assert!(!hint(&Firewall::NotSeen, &[Udp], 7656).contains("sudo"));
    let open = hint(&Firewall::Rules(input("accept", &[])), &[Udp, Tcp], 7656);
    assert!(
        open.contains("lets it in") && open.contains("router"),
        "{open}"
    );
}

#[test]
fn mutants_of_rulesets_never_panic() {
    let samples = [
        include_str!("fixtures/workstation.json"),
        include_str!("fixtures/firewalld.json"),
        include_str!("fixtures/ufw.json"),
        &input(
            "drop",
            &[json!([port("th", json!("@ports")), {"accept": null}])],
        )
        .to_string(),
    ];
    let values: Vec<Value> = samples.iter().map(|text| document(text)).collect();
    let count = guifi_testing::fuzz::inputs();
    guifi_testing::fuzz::rounds("ruleset", count, |chance, round| {
        // Changed as text it is seldom JSON; so pieces are exchanged, too.
        let text = chance.text(&samples);
        let mut value = chance.one(&values).clone();
        for _ in 0..=chance.below(3) {
            let other = chance.one(&values);
            *part(&mut value, chance) = part(&mut other.clone(), chance).take();
        }
        round.is(value.to_string().into_bytes());
        say(&value);
        if let Ok(value) = serde_json::from_str(&text) {
            round.is(text.into_bytes());
            say(&value);
        }
    });
}

/// Some value in the document, however deep.
fn part<'a>(value: &'a mut Value, chance: &mut guifi_testing::fuzz::Chance) -> &'a mut Value {
    let length = match value {
        Value::Array(members) => members.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if length == 0 || chance.below(6) == 0 {
        return value;
    }
    let at = chance.index(length);
    let member = match value {
        Value::Array(members) => members.get_mut(at),
        Value::Object(members) => members.values_mut().nth(at),
        _ => None,
    };
    part(member.unwrap(), chance)
}
