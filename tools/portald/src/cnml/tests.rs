#![allow(clippy::unwrap_used)]
use std::convert::Infallible;

use super::read::Stop;
use super::*;

const DETAIL: &str = include_str!("../../../../tests/fixtures/portal/detail.xml");

fn items(text: &str) -> (Vec<Item>, Report) {
    let mut items = Vec::new();
    let report = read::<Infallible>(text.as_bytes(), |item| {
        items.push(item.clone());
        Ok(())
    });
    (items, report.unwrap())
}

fn fault(text: &str) -> String {
    match read::<Infallible>(text.as_bytes(), |_| Ok(())) {
        Err(Stop::Fault(_, fault)) => fault.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A device with this inside, and what was left out.
fn device(inside: &str) -> (Vec<Item>, Vec<String>) {
    let text = format!(
        "<cnml version='0.1'><class network_description='detail'/><network><zone id='1' title='z'>\
         <node id='2' title='n' lat='1' lon='2'><device id='3' title='d'>{inside}</device></node></zone></network></cnml>"
    );
    let (mut items, report) = items(&text);
    let faults = report.faults.list.iter().map(|f| f.text.clone()).collect();
    (items.split_off(3), faults)
}

#[test]
fn the_example_has_the_facts_that_the_reference_expects() {
    let (_, report) = items(DETAIL);
    let counts = &report.counts;
    assert_eq!(report.faults.count, 0, "{:?}", report.faults.list);
    assert_eq!((counts.zones, counts.nodes, counts.devices), (3, 6, 7));
    let statuses: Vec<_> = counts
        .statuses
        .iter()
        .map(|(s, n)| (s.as_str(), *n))
        .collect();
    assert_eq!(
        statuses,
        [
            ("Building", 1),
            ("Planned", 1),
            ("Testing", 1),
            ("Working", 3)
        ]
    );
    assert_eq!((counts.services, counts.interfaces()), (6, 9));
    assert_eq!((counts.link_ends, counts.links()), (10, 5));
    assert_eq!(report.roots, [900]);
    assert_eq!(report.head.class, Class::Detail);
    assert_eq!(report.head.generated, "20240131 0105");
}

#[test]
fn the_element_around_is_the_zone_of_a_node_and_the_parent_of_a_zone() {
    let (items, _) = items(DETAIL);
    let zone = |id| {
        items
            .iter()
            .find_map(|i| match i {
                Item::Zone(z) if z.common.id == id => Some(z.clone()),
                _ => None,
            })
            .unwrap()
    };
    assert_eq!(zone(900).parent, Some(3671));
    assert_eq!(zone(902).parent, Some(900));
    assert_eq!(
        zone(900).dns_servers,
        ["10.90.1.10".parse::<Ipv4Addr>().unwrap()]
    );
    assert_eq!(zone(900).common.graph_server, GraphServer::Service(9501));
    let node = items
        .iter()
        .find_map(|i| match i {
            Item::Node(n) if n.common.id == 9104 => Some(n.clone()),
            _ => None,
        })
        .unwrap();
    assert_eq!(node.zone, Some(902));
    assert_eq!(node.elevation, Some(15));
}

#[test]
fn of_times_with_twelve_hours_only_the_day_counts() {
    let (items, faults) = device(
        "<service id='4' title='s' type='DNS' created='20240131 1259' updated='20240231 0100'/>",
    );
    let Item::Service(service) = &items[0] else {
        panic!("{items:?}")
    };
    assert_eq!(service.common.created, Some(jiff::civil::date(2024, 1, 31)));
    assert_eq!(service.common.updated, None);
    assert_eq!(faults, ["<service> updated '20240231 0100' is not a date"]);
}

#[test]
fn placeholders_dhcp_and_free_words_are_no_fault() {
    let (items, faults) = device(
        "<interface id='4' mac='FF:FF:FF:FF:FF:FF' ipv4='dhcp' type='wdsFriends of x'/>\
         <interface id='5' mac='00:00:00:00:00:00' type='ether1'/>\
         <interface id='6' mac='02:AB:00:00:00:01' ipv4='10.1.2.3' mask='255.255.255.0'/><rack id='x'><unit/></rack>",
    );
    assert!(faults.is_empty(), "{faults:?}");
    let found: Vec<_> = items
        .iter()
        .map(|item| match item {
            Item::Interface(i) => (i.id, i.mac.as_deref(), i.address.map(|a| a.to_string())),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        found,
        [
            (4, None, None),
            (5, None, None),
            (6, Some("02:ab:00:00:00:01"), Some("10.1.2.3".into()))
        ]
    );
}

#[test]
fn graph_servers_are_inherited_nobody_or_a_service() {
    let of = |text: &str| {
        let (items, _) = device(&format!("<service id='4' {text}/>"));
        let Item::Service(service) = &items[0] else {
            panic!()
        };
        service.common.graph_server
    };
    assert_eq!(of(""), GraphServer::Inherited);
    assert_eq!(of("graph_server='0'"), GraphServer::Inherited);
    assert_eq!(of("graph_server='-1'"), GraphServer::Nobody);
    assert_eq!(of("graph_server='9501'"), GraphServer::Service(9501));
}

#[test]
fn a_link_names_both_ends_and_one_that_dangles_is_kept() {
    let (items, faults) = device(
        "<interface id='4'><link id='7' linked_node_id='77' linked_device_id='88' linked_interface_id='99' link_type='wds' link_status='Working'/>\
         <link id='8'/></interface>",
    );
    assert!(faults.is_empty());
    let Item::Link(link) = &items[1] else {
        panic!()
    };
    assert_eq!(
        link.here,
        End {
            node: 2,
            device: 3,
            interface: 4
        }
    );
    assert_eq!(
        link.there,
        End {
            node: 77,
            device: 88,
            interface: 99
        }
    );
    assert!(matches!(&items[2], Item::Link(l) if l.there == End::default()));
}

#[test]
fn what_makes_no_sense_is_left_out_and_said() {
    let (items, faults) = device(
        "<interface id='x'><link id='7'/></interface><radio id='1' antenna_gain='1e9'/><service title='s'/><node id='9'/>\
         <service id='5' title='a&#10;b' type='Proxy'/>",
    );
    assert_eq!(items.len(), 2, "{items:?}");
    assert!(matches!(&items[1], Item::Service(s) if s.common.title == "a b"));
    assert_eq!(
        faults,
        [
            "<interface> id 'x' is not a number; it is left out",
            "<radio> antenna_gain '1e9' is out of range",
            "<service> has no id; it is left out",
            "<node> stands in a wrong place; it is left out",
        ]
    );
}

#[test]
fn nodes_of_a_query_have_no_zone_and_a_capital_m_is_no_fault() {
    let (items, report) = items(
        "<cnml version='0.1'><class node_description='1,2' Mapping='yes'/><node id='1' title='a'/><node id='2' title='b'/></cnml>",
    );
    assert_eq!(report.head.class, Class::Node);
    assert_eq!(report.faults.count, 0);
    assert!(
        items
            .iter()
            .all(|i| matches!(i, Item::Node(n) if n.zone.is_none()))
    );
}

#[test]
fn other_documents_are_refused() {
    assert_eq!(
        fault("<html><body/></html>"),
        "line 1, column 1: this is a web page"
    );
    assert_eq!(
        fault("<rss/>"),
        "line 1, column 1: the root is 'rss' in place of 'cnml'"
    );
    assert!(fault(&DETAIL[..DETAIL.len() / 2]).contains("cut short"));
    assert!(fault(&DETAIL[..DETAIL.len() - 3]).contains("cut short"));
}

#[test]
fn descriptions_escaped_twice_are_read_past() {
    let (items, report) = items(
        "<cnml version='0.1'><network><zone id='1'>&amp;lt;p&amp;gt;Vall &amp;amp; riu</zone></network></cnml>",
    );
    assert_eq!((items.len(), report.faults.count), (1, 0));
}

#[test]
fn mutants_are_read_or_refused() {
    guifi_testing::fuzz::bytes("cnml", &[DETAIL], |bytes| {
        let _ = read::<Infallible>(bytes, |_| Ok(()));
    });
}
