#![allow(clippy::unwrap_used)]
use std::io::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::input::Input;

const DETAIL: &str = include_str!("../../../../tests/fixtures/portal/detail.xml");
const PROXIES: &str = include_str!("../../../../tests/fixtures/portal/csvproxy.csv");
const DOMAINS: &str = include_str!("../../../../tests/fixtures/portal/domains.xml");
const IPS: &str = include_str!("../../../../tests/fixtures/portal/ips.xml");

struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("portal.db")).unwrap();
        Self { dir, store }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("portal.db")
    }

    fn take(&mut self, text: &str) -> Result<Taken, Refusal> {
        self.take_as(text, None, false)
    }

    fn take_as(
        &mut self,
        text: &str,
        asked: Option<(Kind, u64)>,
        confirmed: bool,
    ) -> Result<Taken, Refusal> {
        let now = "2026-11-24T17:00:00Z".parse().unwrap();
        self.store
            .take(&input(text), asked, &Meta::default(), |_, _| confirmed, now)
    }

    fn lines(&self, ask: impl Fn(&Connection) -> list::Lines) -> Vec<Value> {
        let bytes = ask(&reader(&self.path()).unwrap()).unwrap().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn node(&self, which: &str) -> Option<Value> {
        find::node(&reader(&self.path()).unwrap(), which).unwrap()
    }
}

fn input(text: &str) -> Input {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Input::new(file, 1 << 20).unwrap()
}

fn ids(lines: &[Value]) -> Vec<u64> {
    lines
        .iter()
        .map(|line| line["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn interfaces_that_come_twice_are_one_with_all_links() {
    let mut place = Place::new();
    place.take(DETAIL).unwrap();
    let node = place.node("9101").unwrap();
    let radio = &node["devices"][0];
    let interfaces = radio["interfaces"].as_array().unwrap();
    assert_eq!(ids(interfaces), [93011, 93012]);
    assert_eq!(interfaces[0]["radio"], 0);
    let links = interfaces[0]["links"].as_array().unwrap();
    assert_eq!(ids(links), [94001, 94003]);
    assert_eq!(links[0]["title"], "AltaCasa");
    assert_eq!(ids(radio["radios"].as_array().unwrap()), [0, 1]);
    assert_eq!(node["devices"][1]["services"].as_array().unwrap().len(), 4);
}

#[test]
fn a_node_is_found_by_number_name_and_address() {
    let mut place = Place::new();
    place.take(DETAIL).unwrap();
    for which in [
        "9104",
        "baixaESCOLA",
        "10.90.2.1",
        "172.25.90.2",
        "10.90.2.10",
        " 9104 ",
    ] {
        assert_eq!(place.node(which).unwrap()["id"], 9104, "{which}");
    }
    assert_eq!(
        place.node("9104").unwrap()["zone"]["path"],
        json!([900, 902])
    );
    for which in ["1", "", "nowhere", "10.90.2.99", "%", "'"] {
        assert_eq!(place.node(which), None, "{which}");
    }
    let zone = find::zone_of(
        &reader(&place.path()).unwrap(),
        "10.90.1.2".parse().unwrap(),
    );
    let expected =
        json!({"id": 901, "title": "Vall Alta", "path": [900, 901], "node": 9102, "device": 92021});
    assert_eq!(zone.unwrap().unwrap(), expected);
}

#[test]
fn zones_come_parents_first_with_totals_and_extent_of_their_nodes() {
    let mut place = Place::new();
    place.take(DETAIL).unwrap();
    let zones = place.lines(list::zones);
    assert_eq!(ids(&zones), [900, 901, 902]);
    assert_eq!(
        (
            &zones[0]["nodes"],
            &zones[0]["devices"],
            &zones[0]["services"]
        ),
        (&json!(6), &json!(7), &json!(6))
    );
    assert_eq!(zones[1]["box"], json!([2.15, 42.01, 2.205, 42.03]));
    assert_eq!(zones[0]["box"], json!([2.15, 41.91, 2.26, 42.03]));
    assert_eq!(zones[2]["graph_server"], 9501);
    // An empty zone has no extent, whatever the portal's inverted box says.
    place.take("<cnml version='0.1'><class network_description='detail'/><network><zone id='5' box='179.9,89.9,-179.9,-89.9' zone_nodes='77'/></network></cnml>").unwrap();
    let zones = place.lines(list::zones);
    let empty = zones.iter().find(|zone| zone["id"] == 5).unwrap();
    assert_eq!((&empty["box"], &empty["nodes"]), (&Value::Null, &json!(0)));
}

#[test]
fn links_have_both_ends_and_those_that_dangle_are_kept() {
    let mut place = Place::new();
    // One end of 94001 is lost, and zone 902 is not in the file.
    let lost = "<link id=\"94001\" linked_device_id=\"92011\" linked_node_id=\"9101\" linked_interface_id=\"93011\" link_type=\"ap/client\" link_status=\"Working\"/>";
    let text = DETAIL.replace(lost, "");
    let begin = text.find("   <zone id=\"902\"").unwrap();
    let end = text.rfind("  </zone>\n </network>").unwrap();
    place
        .take(&format!("{}{}", &text[..begin], &text[end..]))
        .unwrap();
    let links = place.lines(|c| list::links(c, 0));
    assert_eq!(ids(&links), [94001, 94002, 94003]);
    let ends = &links[0]["ends"];
    assert_eq!(links[0]["dangling"], false);
    assert_eq!(
        (&ends[0]["listed"], &ends[1]["listed"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(ends[1]["zone"], 901);
    assert_eq!(
        (&links[1]["dangling"], &links[1]["ends"][1]["zone"]),
        (&json!(true), &Value::Null)
    );
    // And the node at the silent end shows it.
    let node = place.node("AltaCasa").unwrap();
    assert_eq!(node["devices"][0]["interfaces"][0]["links"][0]["id"], 94001);
    place.take(DETAIL).unwrap();
    assert_eq!(place.lines(|c| list::links(c, 0)).len(), 5);
    assert_eq!(
        ids(&place.lines(|c| list::links(c, 902))),
        [94002, 94004, 94005]
    );
    assert!(
        list::links(&reader(&place.path()).unwrap(), 77)
            .unwrap()
            .is_none()
    );
}

#[test]
fn services_are_listed_by_kind_and_zone() {
    let mut place = Place::new();
    place.take(DETAIL).unwrap();
    let of = |kind: &str, zone| ids(&place.lines(|c| list::services(c, kind, zone)));
    assert_eq!(of("", 0).len(), 6);
    assert_eq!(of("proxy", 0), [9502, 9505, 9506]);
    assert_eq!(of("Proxy", 902), [9505, 9506]);
    assert_eq!(of("Proxy", 900).len(), 3);
    assert_eq!(of("nothing", 0), [0u64; 0]);
    let dns = &place.lines(|c| list::services(c, "DNS", 0))[0];
    assert_eq!(
        (&dns["address"], &dns["zone"], &dns["node"]),
        (&json!("10.90.1.10"), &json!(901), &json!(9101))
    );
}

#[test]
fn the_zone_of_a_proxy_is_that_of_its_service() {
    let mut place = Place::new();
    place
        .take_as(
            &format!("{PROXIES}unknown;10.1.1.1;80\n"),
            Some((Kind::Proxies, 900)),
            false,
        )
        .unwrap();
    let all = place.lines(|c| list::proxies(c, 0));
    assert_eq!(
        all[0],
        json!({"nick": "prxAltaTorre", "host": "10.90.1.10", "port": 3128, "zone": null})
    );
    place.take(DETAIL).unwrap();
    assert_eq!(place.lines(|c| list::proxies(c, 901)).len(), 1);
    assert_eq!(place.lines(|c| list::proxies(c, 900)).len(), 2);
    assert_eq!(place.lines(|c| list::proxies(c, 902)).len(), 0);
    assert_eq!(place.lines(|c| list::proxies(c, 901))[0]["zone"], 901);
}

#[test]
fn the_graph_server_is_the_one_that_the_portal_computes() {
    let mut place = Place::new();
    let text = DETAIL
        .replace("id=\"9101\" title", "id=\"9101\" graph_server=\"7\" title")
        .replace(
            "id=\"92041\" mainipv4",
            "id=\"92041\" graph_server=\"8\" mainipv4",
        )
        .replace(
            "id=\"92042\" mainipv4",
            "id=\"92042\" graph_server=\"-1\" mainipv4",
        );
    place.take(&text).unwrap();
    let of = |node: &str, device: usize| {
        place.node(node).unwrap()["devices"][device]["graph_server"].clone()
    };
    assert_eq!(of("9101", 0), 7, "its node has an access point");
    assert_eq!(of("9102", 0), 7, "a client has that of the far end");
    assert_eq!(of("9104", 0), 8, "its own");
    assert_eq!(of("9104", 1), Value::Null, "explicitly nobody");
    assert_eq!(of("9105", 0), 8, "a client has that of the far end");
    assert_eq!(of("9106", 0), 9501, "that of the zone above its zone");
    assert_eq!(place.node("9103").unwrap()["graph_server"], 9501);
}

#[test]
fn of_overlapping_zones_the_newest_counts() {
    let mut place = Place::new();
    place.take(DETAIL).unwrap();
    let begin = DETAIL.find("   <zone id=\"901\"").unwrap();
    let end = DETAIL.find("   <zone id=\"902\"").unwrap();
    let part = DETAIL[begin..end]
        .replace("title=\"AltaCasa\"", "title=\"NovaCasa\"")
        .replace("92021", "92029");
    let file = format!(
        "<cnml version='0.1'><class network_description='detail'/><network>{part}</network></cnml>"
    );
    assert_eq!(place.take(&file).unwrap().id, 901);
    let zones = place.lines(list::zones);
    assert_eq!(
        (ids(&zones), &zones[0]["nodes"], &zones[0]["devices"]),
        (vec![900, 901, 902], &json!(6), &json!(7))
    );
    assert_eq!(place.node("AltaCasa"), None);
    assert_eq!(place.node("9102").unwrap()["devices"][0]["id"], 92029);
    assert_eq!(place.lines(|c| list::services(c, "", 0)).len(), 6);
    place.take(DETAIL).unwrap();
    assert_eq!(place.node("9102").unwrap()["title"], "AltaCasa");
}

#[test]
fn what_is_refused_leaves_everything_as_it_was() {
    let mut place = Place::new();
    place.take(DETAIL).unwrap();
    let before = place.lines(|c| list::services(c, "", 0));
    let empty =
        "<cnml version='0.1'><class network_description='detail'/><network nodes='0'/></cnml>";
    let asked = Some((Kind::Cnml, 900));
    for (text, said) in [
        (DETAIL[..DETAIL.len() - 20].to_owned(), "cut short"),
        ("<!DOCTYPE html><html></html>".into(), "web page"),
        (
            DETAIL.replace(
                "network_description=\"detail\"",
                "network_description=\"nodes\"",
            ),
            "describes 'nodes'",
        ),
        (
            DETAIL.replace("zone id=\"900\"", "zone id=\"800\""),
            "of zone 800 in place of 900",
        ),
        (DETAIL.replace("</network>", "&x;</network>"), "no entity"),
        (empty.into(), "empty and what is kept is not"),
    ] {
        let error = place.take_as(&text, asked, false).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!(place.lines(|c| list::services(c, "", 0)), before);
    }
    assert!(matches!(
        place.take_as(empty, asked, false),
        Err(Refusal::Empty(Kind::Cnml, 900))
    ));
    place.take_as(empty, asked, true).unwrap();
    assert!(place.node("9101").is_none());
}

#[test]
fn things_with_one_number_are_told() {
    let mut place = Place::new();
    let twice = DETAIL.replace("node id=\"9103\"", "node id=\"9102\"");
    let taken = place.take(&twice).unwrap();
    assert_eq!(
        taken.faults.list[0].text,
        "1 things are there twice, with one number"
    );
    assert_eq!(place.node("9102").unwrap()["title"], "AltaCasa");
}

mod sources;
