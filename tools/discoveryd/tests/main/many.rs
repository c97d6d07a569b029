//! A community with thousands of services, as guifi-browse shows it.

use crate::common;

use std::collections::BTreeSet;

use common::community::{Community, zone};
use common::{Quiet, until};

/// Services of one type, of which 400 are in one zone of the forty.
const ALL: usize = 3000;
const MANY: usize = 400;

/// Owners and names of `count` services of a zone, whose boxes have at most 80 each.
fn services(zone: u8, count: usize) -> Vec<(u8, String)> {
    let owner = |n: usize| zone + 40 * u8::try_from(n / 80).unwrap();
    let names = (0..count).map(|n| (owner(n), format!("Site {zone:02}-{n:03}")));
    names.collect()
}

fn tell(community: &Community, services: &[(u8, String)], port: u16) {
    let services: Vec<_> = services
        .iter()
        .map(|(o, n)| (*o, n.as_str(), port))
        .collect();
    community.services(&services);
}

fn names(found: &[serde_json::Value]) -> BTreeSet<String> {
    found
        .iter()
        .map(|s| s["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn three_thousand_services_in_forty_zones_are_all_listed() {
    let community = Community::default();
    let place = Quiet::new(1, &community);
    let mut all = services(0, MANY);
    for zone in 1..40 {
        // The first zones have one more: 3,000 in all.
        let rest = ALL - MANY;
        all.extend(services(
            zone,
            rest / 39 + usize::from(usize::from(zone) <= rest % 39),
        ));
    }
    assert_eq!(all.len(), ALL);
    tell(&community, &all, 80);
    until("all are listed", || {
        place.browse(&["_http._tcp"]).len() == ALL
    });
    let expected: BTreeSet<String> = all.iter().map(|(_, n)| n.clone()).collect();
    assert_eq!(names(&place.browse(&["_http._tcp"])), expected);
    let zone = format!("--zone={}", zone(0));
    assert_eq!(place.browse(&[&zone, "_http._tcp"]).len(), MANY);
}

#[test]
fn a_zone_grows_beyond_what_dns_holds_in_one_and_shrinks_without_a_gap() {
    let community = Community::default();
    let place = Quiet::new(1, &community);
    let all = services(0, MANY);
    let (few, more) = all.split_at(79);
    tell(&community, few, 80);
    let zone = format!("--zone={}", zone(0));
    let listed = || names(&place.browse(&[&zone, "_http._tcp"]));
    let always: BTreeSet<String> = few.iter().map(|(_, n)| n.clone()).collect();
    until("the first are listed", || listed() == always);
    for port in [80, 0] {
        for part in more.chunks(40) {
            let before = listed();
            tell(&community, part, port);
            let wanted =
                |now: &BTreeSet<String>| part.iter().all(|(_, n)| now.contains(n) == (port != 0));
            until("the change is listed", || {
                let now = listed();
                assert!(now.is_superset(&always), "a gap: {now:?}");
                assert!(port == 0 || now.is_superset(&before), "a gap: {now:?}");
                wanted(&now)
            });
        }
    }
    assert_eq!(listed(), always);
}
