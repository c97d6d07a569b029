//! Large communities, odd names, other zones, and change.
use super::*;

#[test]
fn many_zones_are_listed_in_parts() {
    let mut world = World::new();
    for n in 0..200 {
        world.boxed("a", &format!("zone{n}"), "10.3.0.1");
        let line = format!("b{n}");
        world.boxed(&line, &format!("zone{n}"), "10.3.0.1");
    }
    let s = world.build();
    let parts = data(&s, &format!("b._dns-sd._udp.{D}."), PTR);
    assert_eq!(parts.len(), 5, "the domain and four parts: {parts:?}");
    let mut all = BTreeSet::new();
    for part in 1..=4 {
        all.extend(data(&s, &format!("b._dns-sd._udp.{part}.{D}."), PTR));
    }
    assert_eq!(all.len(), 200 + 4);
}

#[test]
fn a_box_may_have_the_name_of_a_zone() {
    let mut world = small();
    world.boxed("vic", "", "10.7.0.1");
    let body = json!({"addresses": ["10.7.0.9"]});
    world.line("vic", "", "host", "printer", body.clone());
    world.line("vic", "", "host", "vic-01", body);
    let s = world.build();
    assert_eq!(data(&s, "vic.osona.internal.", A), ["10.7.0.1"]);
    assert_eq!(data(&s, "printer.vic.osona.internal.", A), ["10.7.0.9"]);
    assert_eq!(data(&s, "vic-01.vic.osona.internal.", A), ["10.1.0.2"]);
    // It goes when the box goes.
    let gone = json!({"owner": "key-of-vic", "kind": "box", "name": "box", "removed": true});
    let line = serde_json::from_value(gone).unwrap();
    world.store.apply(&line, &mut world.dirty);
    assert_eq!(
        outcome(&world.build(), "vic.osona.internal.", A),
        Outcome::NoData
    );
}

#[test]
fn further_hosts_stand_below_their_box() {
    let mut world = small();
    let host = json!({"name": "printer", "addresses": ["10.1.0.9", "169.254.1.1", "fe80::1"]});
    let body = json!({"instance": "Print", "type": "_ipp._tcp", "port": 631, "host": host});
    world.line("vic-01", "vic", "service", "_ipp._tcp/Print", body);
    world.line(
        "vic-01",
        "vic",
        "host",
        "nas",
        json!({"addresses": ["10.1.0.10", "fd00::10"]}),
    );
    let s = world.build();
    let name = "printer.vic-01.vic.osona.internal.";
    assert_eq!(data(&s, name, A), ["10.1.0.9"]);
    assert_eq!(outcome(&s, name, AAAA), Outcome::NoData);
    assert_eq!(
        data(&s, "nas.vic-01.vic.osona.internal.", AAAA),
        ["fd00::10"]
    );
    assert_eq!(
        data(&s, "Print._ipp._tcp.vic.osona.internal.", SRV),
        ["0 0 631 printer.vic-01.vic.osona.internal."]
    );
}

#[test]
fn txt_is_never_absent_and_bad_records_are_left_out() {
    let mut world = small();
    let body = json!({"instance": "Bare", "type": "_http._tcp", "port": 80});
    world.line("vic-01", "vic", "service", "_http._tcp/Bare", body);
    for (n, (kind, instance)) in [
        ("http._tcp", "x"),
        ("_dns-sd._udp", "x"),
        ("_http._tcp", ""),
        ("_http._tcp", "bell\u{7}"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"instance": instance, "type": kind, "port": 80});
        world.line("vic-01", "vic", "service", &format!("bad{n}"), body);
    }
    world.line(
        "vic-01",
        "vic",
        "service",
        "shape",
        json!({"port": "eighty"}),
    );
    world.line(
        "bad name",
        "vic",
        "box",
        "box",
        json!({"spine": {"addresses": ["10.1.1.1"]}}),
    );
    world.boxed("digits", "1.vic", "10.1.1.2");
    let s = world.build();
    assert_eq!(data(&s, "Bare._http._tcp.vic.osona.internal.", TXT), [""]);
    assert_eq!(data(&s, "_http._tcp.vic.osona.internal.", PTR).len(), 2);
}

#[test]
fn subtypes_point_to_the_same_instance() {
    let mut world = small();
    let body = json!({"instance": "Adm", "type": "_http._tcp", "port": 80, "subtypes": ["_admin"]});
    world.line("vic-01", "vic", "service", "_http._tcp/Adm", body);
    let s = world.build();
    assert_eq!(
        data(&s, "_admin._sub._http._tcp.vic.osona.internal.", PTR),
        ["Adm._http._tcp.vic.osona.internal."]
    );
}

#[test]
fn addresses_of_boxes_in_private_networks_have_names() {
    let mut world = small();
    world.boxed("six", "vic", "fd00::2");
    world.boxed("public", "vic", "8.8.4.4");
    let s = world.build();
    assert_eq!(
        data(&s, "2.0.1.10.in-addr.arpa.", PTR),
        ["vic-01.vic.osona.internal."]
    );
    let six = reverse("fd00::2");
    assert_eq!(data(&s, &six, PTR), ["six.vic.osona.internal."]);
    assert_eq!(
        outcome(&s, "3.0.1.10.in-addr.arpa.", PTR),
        Outcome::NxDomain
    );
    assert_eq!(outcome(&s, "1.10.in-addr.arpa.", PTR), Outcome::NoData);
    assert_eq!(data(&s, "10.in-addr.arpa.", SOA).len(), 1);
    assert_eq!(data(&s, "1.0.0.127.in-addr.arpa.", PTR), ["localhost."]);
    assert_eq!(data(&s, "www.localhost.", A), ["127.0.0.1"]);
    for private in ["x.internal.", "x.local.", "1.1.168.192.in-addr.arpa."] {
        assert_eq!(outcome(&s, private, A), Outcome::NxDomain, "{private}");
    }
    let query = crate::ask::query("4.4.8.8.in-addr.arpa.", PTR, None)
        .to_vec()
        .unwrap();
    let (outcome, _) = crate::ask::raw(&s, &query, crate::respond::Transport::Udp);
    assert_eq!(outcome, Outcome::Forward);
}

#[test]
fn only_addresses_with_a_witness_have_names() {
    let mut world = small();
    let spine = json!({"spine": {"addresses": ["10.4.0.1", "10.4.0.2"]}});
    world.witnessed = vec!["10.4.0.2".parse().unwrap(), "10.1.0.2".parse().unwrap()];
    world.line("liar", "vic", "box", "box", spine.clone());
    world.witnessed.clear();
    let s = world.build();
    assert_eq!(data(&s, "liar.vic.osona.internal.", A).len(), 2);
    assert_eq!(outcome(&s, &reverse("10.4.0.1"), PTR), Outcome::NxDomain);
    assert_eq!(
        data(&s, &reverse("10.4.0.2"), PTR),
        ["liar.vic.osona.internal."]
    );
    assert_eq!(
        data(&s, &reverse("10.1.0.2"), PTR),
        ["vic-01.vic.osona.internal."],
        "not listed by the box itself"
    );
    // Kept on disk, and gone with its witness.
    let kept: Vec<Line> = world.store.lines().collect();
    let mut other = World::new();
    for line in &kept {
        other.store.apply(line, &mut other.dirty);
    }
    let s = other.build();
    assert_eq!(data(&s, &reverse("10.4.0.2"), PTR).len(), 1);
    other.line("liar", "vic", "box", "box", spine);
    let s = other.build();
    assert_eq!(outcome(&s, &reverse("10.4.0.2"), PTR), Outcome::NxDomain);
    assert_eq!(data(&s, "liar.vic.osona.internal.", A).len(), 2);
}

fn reverse(address: &str) -> String {
    local::reverse_name(address.parse().unwrap())
        .unwrap()
        .to_string()
}

#[test]
fn an_update_leaves_other_zones_untouched() {
    let mut world = small();
    world.boxed("m", "manlleu", "10.2.0.1");
    let one = world.build();
    world.service("vic-01", "vic", "_ftp._tcp", "Files");
    let two = world.build();
    let table = |s: &Snapshot, z: &str| s.zones.built[z].table.clone();
    assert!(Arc::ptr_eq(
        &table(&one, "manlleu"),
        &table(&two, "manlleu")
    ));
    assert!(!Arc::ptr_eq(&table(&one, "vic"), &table(&two, "vic")));
    // A record written anew without a change touches nothing.
    world.boxed("m", "manlleu", "10.2.0.1");
    assert!(world.dirty.is_empty());
    // An owner that moves takes all its records along.
    world.boxed("vic-01", "manlleu", "10.1.0.2");
    let three = world.build();
    assert_eq!(
        data(&three, "_ftp._tcp.manlleu.osona.internal.", PTR).len(),
        1
    );
    assert_eq!(
        outcome(&three, "vic.osona.internal.", SOA),
        Outcome::NxDomain
    );
}

#[test]
fn records_die_when_they_expire_and_survive_the_way_to_the_disk() {
    let mut world = small();
    let mut copy = Store::default();
    for line in world.store.lines() {
        let text = serde_json::to_string(&line).unwrap();
        copy.apply(&serde_json::from_str(&text).unwrap(), &mut BTreeSet::new());
    }
    assert_eq!(copy.len(), world.store.len());
    assert!(
        copy.lines()
            .zip(world.store.lines())
            .all(|(a, b)| format!("{a:?}") == format!("{b:?}"))
    );
    world.store.expire(1_893_456_001, &mut world.dirty); // a second after 2030 began
    assert!(world.store.is_empty());
    assert_eq!(
        outcome(&world.build(), "vic.osona.internal.", SOA),
        Outcome::NxDomain
    );
}
