//! What a zone holds, and how it is divided.
use super::*;

#[test]
fn a_published_service_answers_with_all_that_a_browser_needs() {
    let s = small().build();
    assert_eq!(
        data(&s, "_http._tcp.vic.osona.internal.", PTR),
        ["Photos._http._tcp.vic.osona.internal."]
    );
    let (_, ptr) = ask(&s, "_http._tcp.vic.osona.internal.", PTR);
    assert_eq!(ptr.additionals.len(), 3, "SRV, TXT, A: {ptr}");
    assert!(ptr.metadata.authoritative);
    let name = "Photos._http._tcp.vic.osona.internal.";
    assert_eq!(data(&s, name, SRV), ["0 0 80 vic-01.vic.osona.internal."]);
    let (_, srv) = ask(&s, name, SRV);
    assert_eq!(srv.answers[0].ttl, 120);
    assert_eq!(
        srv.additionals[0].name.to_string(),
        "vic-01.vic.osona.internal."
    );
    assert_eq!(data(&s, name, TXT), ["path=/"]);
    assert_eq!(data(&s, "vic-01.vic.osona.internal.", A), ["10.1.0.2"]);
    assert_eq!(data(&s, "gate.osona.internal.", A), ["10.9.0.1"]);
    assert_eq!(
        data(&s, "_services._dns-sd._udp.vic.osona.internal.", PTR),
        ["_http._tcp.vic.osona.internal."]
    );
}

#[test]
fn the_domain_lists_zones_and_instances_while_they_fit() {
    let s = small().build();
    for row in ["b", "lb"] {
        assert_eq!(
            data(&s, &format!("{row}._dns-sd._udp.{D}."), PTR),
            ["osona.internal.", "vic.osona.internal."]
        );
    }
    assert_eq!(
        data(&s, &format!("db._dns-sd._udp.{D}."), PTR),
        ["vic.osona.internal."]
    );
    assert_eq!(
        data(&s, &format!("_http._tcp.{D}."), PTR),
        ["Photos._http._tcp.vic.osona.internal."]
    );
    assert_eq!(
        data(&s, &format!("_services._dns-sd._udp.{D}."), PTR),
        ["_http._tcp.osona.internal."]
    );
}

#[test]
fn the_apex_has_soa_and_ns_and_negative_answers_carry_the_soa() {
    let mut world = small();
    let s = world.build();
    assert_eq!(data(&s, "osona.internal.", NS), ["ns.osona.internal."]);
    assert_eq!(data(&s, "ns.osona.internal.", A), ["10.1.0.2"]);
    assert_eq!(data(&s, "osona.internal.", SOA).len(), 1);
    for (name, rtype, expected) in [
        ("nobody.osona.internal.", A, Outcome::NxDomain),
        ("nobody.vic.osona.internal.", A, Outcome::NxDomain),
        (
            "nobody._http._tcp.vic.osona.internal.",
            SRV,
            Outcome::NxDomain,
        ),
        ("vic-01.vic.osona.internal.", AAAA, Outcome::NoData),
        // Empty names in between.
        ("_tcp.vic.osona.internal.", PTR, Outcome::NoData),
        ("_udp.osona.internal.", A, Outcome::NoData),
        ("vic.osona.internal.", A, Outcome::NoData),
    ] {
        let (outcome, message) = ask(&s, name, rtype);
        assert_eq!(outcome, expected, "{name} {rtype}");
        let soa = &message.authorities[0];
        assert_eq!(
            (soa.name.to_string().as_str(), soa.ttl),
            ("osona.internal.", 60)
        );
    }
    let before = s.zones.community.as_ref().unwrap().serial;
    world.boxed("new", "vic", "10.1.0.3");
    let after = world.build().zones.community.as_ref().unwrap().serial;
    assert!(after > before);
}

#[test]
fn names_with_spaces_dots_quotes_and_emoji_survive() {
    let names = [
        "Dr. No's \"lab\"",
        "Impressora 2on pis",
        "a.b\\c",
        "🐙 fotos",
        "ñandú; (x) @$",
    ];
    let mut world = small();
    for name in names {
        world.service("vic-01", "vic", "_ipp._tcp", name);
    }
    let s = world.build();
    let (_, ptr) = ask(&s, "_ipp._tcp.vic.osona.internal.", PTR);
    assert_eq!(ptr.answers.len(), names.len());
    for answer in &ptr.answers {
        let hickory_proto::rr::RData::PTR(target) = &answer.data else {
            panic!("{answer}")
        };
        let label = target.0.iter().next().unwrap();
        assert!(names.iter().any(|n| n.as_bytes() == label), "{label:?}");
        let text = Name::from_labels(target.0.iter()).unwrap().to_string();
        let (outcome, _) = ask(&s, &text, SRV);
        assert_eq!(outcome, Outcome::Answer, "{text}");
    }
}

#[test]
fn one_name_of_two_owners_is_told_apart_by_host() {
    let mut world = small();
    world.boxed("vic-02", "vic", "10.1.0.3");
    world.service("vic-02", "vic", "_http._tcp", "PHOTOS");
    let s = world.build();
    assert_eq!(
        data(&s, "_http._tcp.vic.osona.internal.", PTR),
        [
            r"PHOTOS\032\(vic-02\)._http._tcp.vic.osona.internal.",
            r"Photos\032\(vic-01\)._http._tcp.vic.osona.internal."
        ]
    );
    // The same name elsewhere is no conflict.
    let mut world = small();
    world.boxed("manlleu-1", "manlleu", "10.2.0.3");
    world.service("manlleu-1", "manlleu", "_http._tcp", "Photos");
    let s = world.build();
    assert_eq!(data(&s, &format!("_http._tcp.{D}."), PTR).len(), 2);
    assert_eq!(
        data(&s, "_http._tcp.manlleu.osona.internal.", PTR),
        ["Photos._http._tcp.manlleu.osona.internal."]
    );
}

#[test]
fn four_hundred_instances_are_divided_and_each_is_found_once() {
    let mut world = small();
    for n in 0..400 {
        let owner = format!("vic-{n}");
        world.boxed(&owner, "vic", &format!("10.1.{}.{}", n / 200, n % 200 + 1));
        world.service(&owner, "vic", "_web._tcp", &format!("Web {n}"));
    }
    let s = world.build();
    let parts = s.zones.built["vic"].table.parts;
    assert_eq!(parts, 8);
    let mut seen = BTreeSet::new();
    for part in 1..=parts {
        let list = data(&s, &format!("_web._tcp.{part}.vic.osona.internal."), PTR);
        assert!(list.len() <= LIMIT, "part {part} has {}", list.len());
        for name in list {
            assert!(name.ends_with("._web._tcp.vic.osona.internal."), "{name}");
            assert!(seen.insert(name));
        }
    }
    assert_eq!(seen.len(), 400);
    let pointers = data(&s, "b._dns-sd._udp.vic.osona.internal.", PTR);
    assert_eq!(pointers.len(), 9, "{pointers:?}");
    // Instances answer under the zone and under every part.
    for zone in ["vic", "1.vic", "8.vic"] {
        let name = format!("Web\\0327._web._tcp.{zone}.{D}.");
        assert_eq!(data(&s, &name, SRV), ["0 0 80 vic-7.vic.osona.internal."]);
        assert_eq!(data(&s, &name, TXT).len(), 1);
        assert_eq!(outcome(&s, &name, A), Outcome::NoData);
        assert_eq!(outcome(&s, &name, ANY), Outcome::Answer);
    }
    let nothing = format!("Web\\0327._web._tcp.9.vic.{D}.");
    assert_eq!(outcome(&s, &nothing, SRV), Outcome::NxDomain);
    assert_eq!(
        outcome(&s, &format!("vic-7.1.vic.{D}."), A),
        Outcome::NxDomain
    );
    // The whole type is nowhere in one set; a small type still is.
    assert_eq!(
        outcome(&s, &format!("_web._tcp.vic.{D}."), PTR),
        Outcome::NoData
    );
    assert_eq!(
        outcome(&s, &format!("_web._tcp.{D}."), PTR),
        Outcome::NxDomain
    );
    assert_eq!(data(&s, &format!("_http._tcp.vic.{D}."), PTR).len(), 1);
}

#[test]
fn stale_boxes_count_for_the_division_but_are_not_shown() {
    let mut world = World::new();
    for n in 0..100 {
        let owner = format!("vic-{n}");
        let state = if n < 50 { "stale" } else { "live" };
        let body = json!({"instance": format!("Web {n}"), "type": "_web._tcp", "port": 80});
        let name = format!("_web._tcp/Web {n}");
        world.line_in_state(&owner, "vic", "service", &name, state, body);
    }
    let s = world.build();
    assert_eq!(s.zones.built["vic"].table.parts, 2);
    let shown: usize = (1..=2)
        .map(|p| data(&s, &format!("_web._tcp.{p}.vic.osona.internal."), PTR).len())
        .sum();
    assert_eq!(shown, 50);
    let stale = "Web\\0327._web._tcp.vic.osona.internal.";
    assert_eq!(outcome(&s, stale, SRV), Outcome::NxDomain);
}

#[test]
fn nested_zones_point_downwards() {
    let mut world = small();
    world.boxed("far", "vic.osona-nord", "10.3.0.1");
    let s = world.build();
    assert_eq!(
        data(&s, "far.vic.osona-nord.osona.internal.", A),
        ["10.3.0.1"]
    );
    assert_eq!(
        data(&s, "b._dns-sd._udp.osona-nord.osona.internal.", PTR),
        [
            "osona-nord.osona.internal.",
            "vic.osona-nord.osona.internal."
        ]
    );
    assert_eq!(data(&s, &format!("b._dns-sd._udp.{D}."), PTR).len(), 4);
}
