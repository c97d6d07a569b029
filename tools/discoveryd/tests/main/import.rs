//! Services of other links on this one: boxes with the real Avahi, and a machine that has
//! nothing of ours.

use crate::common;

use common::community::{Community, key};
use common::{Link, Place, until};
use serde_json::Value;

const IMPORT: &str = "import = ['_http._tcp']\n";
/// A box of another link.
const FAR: (u8, &str) = (9, "198.51.100.9");

/// A link with two boxes that import, a visitor, and a box far away.
fn link(test: &str) -> Option<(Community, Link, [Place; 2], Place)> {
    let link = Link::new(test)?;
    let community = Community::default();
    community.boxed(FAR.0, FAR.1);
    community.boxed(1, "192.0.2.1");
    community.boxed(2, "192.0.2.2");
    let boxes = [1, 2].map(|number| link.boxed(number, &community, IMPORT));
    let visitor = link.machine(77);
    Some((community, link, boxes, visitor))
}

fn import(place: &Place) -> Value {
    place
        .try_describe()
        .map(|mut d| d["import"].take())
        .unwrap_or_default()
}

/// Waits until the first box imports and the second leaves it to it.
fn elected(boxes: &[Place; 2]) {
    until("the lowest key imports", || {
        import(&boxes[0])["links"] == 1 && import(&boxes[1])["links"] == 0
    });
    assert_eq!(import(&boxes[1])["by"], serde_json::json!([key(1)]));
}

#[test]
fn a_machine_with_nothing_of_ours_sees_a_service_of_another_link_once() {
    let test = "a_machine_with_nothing_of_ours_sees_a_service_of_another_link_once";
    let Some((community, _link, boxes, visitor)) = link(test) else {
        return;
    };
    elected(&boxes);
    community.services(&[(FAR.0, "Photos", 8080), (1, "Here", 80), (2, "There", 80)]);
    until("the visitor sees it", || {
        visitor.names("_http._tcp") == ["Photos"]
    });
    let [_, host, address, port, txt] = visitor.seen("_http._tcp").remove(0);
    assert_eq!(host, format!("box-9-{}.local", &key(9)[..8]));
    assert_eq!([address.as_str(), &port], [FAR.1, "8080"]);
    let origin = format!("guifi-origin={}", key(9));
    assert!(txt.contains("path=/") && txt.contains(&origin), "{txt}");
    for place in &boxes {
        // Known as what it is: not counted here, and nobody's own.
        assert!(
            place.browse("_http._tcp").is_empty(),
            "{:?}",
            place.browse("")
        );
        let described = place.try_describe().unwrap();
        assert_eq!(described["local_services"], 0, "{described}");
        assert_eq!(described["published"], 0, "{described}");
    }
    community.services(&[(FAR.0, "Photos", 8081)]);
    until("its change is seen", || {
        let seen = visitor.seen("_http._tcp");
        seen.len() == 1 && seen[0][3] == "8081"
    });
    community.services(&[(FAR.0, "Photos", 0)]);
    until("it is gone", || visitor.names("_http._tcp").is_empty());
}

#[test]
fn another_box_takes_over_without_a_gap_and_gives_back() {
    let test = "another_box_takes_over_without_a_gap_and_gives_back";
    let Some((community, _link, mut boxes, visitor)) = link(test) else {
        return;
    };
    elected(&boxes);
    community.services(&[(FAR.0, "Photos", 8080)]);
    until("the visitor sees it", || {
        visitor.names("_http._tcp") == ["Photos"]
    });
    // The power goes: nothing is withdrawn.
    community.dies(1);
    boxes[0].power_off();
    until("the second box imports", || import(&boxes[1])["shown"] == 1);
    assert_eq!(visitor.names("_http._tcp"), ["Photos"]);
    // The first is back, and both show it for a while: to the letter the same.
    boxes[0].start_avahi();
    boxes[0].start_discoveryd();
    boxes[0].settled();
    until("the first box imports again", || {
        import(&boxes[0])["shown"] == 1
    });
    assert_eq!(visitor.names("_http._tcp"), ["Photos"]);
    community.boxed(1, "192.0.2.1");
    // A box that comes near asks for an election.
    community.boxed(5, "192.0.2.5");
    community.tell();
    until("the second box gives back", || {
        import(&boxes[1])["shown"] == 0
    });
    for _ in 0..3 {
        assert_eq!(visitor.names("_http._tcp"), ["Photos"]);
    }
}

#[test]
fn two_boxes_that_both_import_neither_echo_nor_rename() {
    let test = "two_boxes_that_both_import_neither_echo_nor_rename";
    let Some(link) = Link::new(test) else { return };
    let community = Community::default();
    community.boxed(FAR.0, FAR.1);
    // Neither hears of the other: each takes itself for the only one.
    let boxes = [1, 2].map(|number| link.boxed(number, &community, IMPORT));
    let visitor = link.machine(77);
    let own = link.machine(78);
    let _taken = own.announce("Music", "_http._tcp", 9000);
    until("a machine of the link has a name", || {
        visitor.names("_http._tcp") == ["Music"]
    });
    community.services(&[(FAR.0, "Photos", 8080), (FAR.0, "Music", 8081)]);
    let expected = ["Music", "Music (box-9)", "Photos"];
    until("both import", || {
        boxes.iter().all(|b| import(b)["shown"] == 2) && visitor.names("_http._tcp") == expected
    });
    // Changes of each kind, seen by both: still one of each.
    community.services(&[(FAR.0, "Films", 8082), (FAR.0, "Photos", 8083)]);
    let expected = ["Films", "Music", "Music (box-9)", "Photos"];
    until("both follow", || {
        boxes.iter().all(|b| import(b)["shown"] == 3) && visitor.names("_http._tcp") == expected
    });
    for place in &boxes {
        assert_eq!(place.browse("_http._tcp").len(), 1, "only the link's own");
    }
}

#[test]
fn what_is_imported_survives_avahi_and_the_bus() {
    let test = "what_is_imported_survives_avahi_and_the_bus";
    let Some(link) = Link::new(test) else { return };
    let community = Community::default();
    community.boxed(FAR.0, FAR.1);
    let mut place = link.boxed(1, &community, IMPORT);
    let visitor = link.machine(77);
    // More than one batch.
    let names: Vec<String> = (0..120).map(|n| format!("Site {n:03}")).collect();
    let services: Vec<(u8, &str, u16)> = names.iter().map(|n| (FAR.0, n.as_str(), 80)).collect();
    community.services(&services);
    until("all are seen", || visitor.names("_http._tcp") == names);
    place.kill_avahi();
    until("the daemon notices", || {
        place
            .try_describe()
            .is_some_and(|d| d["avahi"]["running"] == false)
    });
    place.start_avahi();
    until("all are seen after Avahi's restart", || {
        import(&place)["shown"] == 120 && visitor.names("_http._tcp") == names
    });
    place.bus.kill();
    place.bus.restart();
    community.serve(1, &place.bus);
    place.settled();
    until("all are seen after the bus's restart", || {
        import(&place)["shown"] == 120 && visitor.names("_http._tcp") == names
    });
}

#[test]
fn four_hundred_of_one_zone_come_and_go_without_a_gap() {
    let test = "four_hundred_of_one_zone_come_and_go_without_a_gap";
    let Some(link) = Link::new(test) else { return };
    let community = Community::default();
    community.boxed(FAR.0, FAR.1);
    let place = link.boxed(1, &community, IMPORT);
    let visitor = link.machine(77);
    let names: Vec<String> = (0..400).map(|n| format!("Site {n:03}")).collect();
    let tell = |names: &[String], port: u16| {
        let services: Vec<_> = names.iter().map(|n| (FAR.0, n.as_str(), port)).collect();
        community.services(&services);
    };
    let (few, more) = names.split_at(79);
    tell(few, 80);
    until("a part is seen", || visitor.listed("_http._tcp") == few);
    for (port, all) in [(80, &names[..]), (0, few)] {
        tell(more, port);
        until("the zone has grown, or shrunk again", || {
            let seen = visitor.listed("_http._tcp");
            let missing: Vec<_> = few.iter().filter(|n| !seen.contains(n)).collect();
            assert!(missing.is_empty(), "no longer seen: {missing:?}");
            import(&place)["shown"] == all.len() && seen == all
        });
        until("all are resolved", || visitor.names("_http._tcp") == all);
    }
}
