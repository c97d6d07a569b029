#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::json;

const DOMAINS: &str = include_str!("../../../../tests/fixtures/portal/domains.xml");

fn internal(inside: &str) -> (View, Vec<String>) {
    let text = format!("<cnml><domains><internal>{inside}</internal></domains></cnml>");
    let read = read(text.as_bytes()).unwrap();
    let faults = read.faults.list.iter().map(|f| f.text.clone()).collect();
    (read.domains.internal, faults)
}

#[test]
fn the_example_is_the_document_of_the_interface() {
    let read = read(DOMAINS.as_bytes()).unwrap();
    assert_eq!(read.faults.count, 0, "{:?}", read.faults.list);
    assert_eq!(
        (read.service, read.generated.as_str()),
        (Some(9503), "2024013105")
    );
    let document = serde_json::to_value(&read.domains.internal).unwrap();
    assert_eq!(
        document,
        json!({
      "masters":[{"zone":"vall.example","id":31,"nameserver":"ns1","addresses":["10.90.1.10"],
        "default_addresses":["10.90.1.10"],
        "external_mx":[],"external_ns":[],"transfer":true,"contact":"dns@vall.example",
        "hosts":[{"name":"ns1","addresses":["10.90.1.10"],"ns":true,"mx":null,"aliases":[],"canonical":null},
                 {"name":"mail","addresses":["10.90.1.11","fd00:90::11"],"ns":false,"mx":10,"aliases":["smtp","imap"],"canonical":null},
                 {"name":"web","addresses":["10.90.1.12"],"ns":false,"mx":null,"aliases":["www"],"canonical":null},
                 {"name":"ext","addresses":[],"ns":false,"mx":null,"aliases":[],"canonical":"www.elsewhere.example"}],
        "delegations":[{"name":"escola.vall.example","ns":"ns1.escola.vall.example","addresses":["10.90.2.10"]}]}],
      "slaves":[{"zone":"altra.example","masters":["10.91.4.4"]}],
      "forwards":[{"zone":"tercera.example","forwarders":["10.92.4.4"]}]})
    );
    let external = &read.domains.external.masters[0];
    assert_eq!((external.external_mx.len(), external.transfer), (1, false));
}

#[test]
fn lists_have_commas_and_names_are_lowered() {
    let (view, faults) = internal(
        "<master zone='Vall.Example.' IPv4='10.1.1.1, 10.1.1.2' nameserver='NS1' externalMX='MX1.x.org,mx2.x.org.'>\
         <host name='WWW' IPv4='10.1.1.3,10.1.1.4' CNAME='Web, Home,web'/></master><slave zone='a.org' master='10.1.1.5,10.1.1.6'/>",
    );
    assert!(faults.is_empty(), "{faults:?}");
    let master = &view.masters[0];
    assert_eq!(
        (master.zone.as_str(), master.addresses.len()),
        ("vall.example", 2)
    );
    assert_eq!(master.external_mx, ["mx1.x.org", "mx2.x.org"]);
    assert_eq!(master.hosts[0].aliases, ["web", "home"]);
    assert_eq!(view.slaves[0].masters.len(), 2);
}

#[test]
fn all_attributes_may_be_empty() {
    let (view, faults) = internal(
        "<master zone='a.org' IPv4='' nameserver='' domain_ip='' domain_ip_v6='' externalMX='' externalNS='' allow-transfer='' contact='' domain_id=''>\
         <host name='x' IPv4='' IPv6='' CNAME='' MX='' NS='' Priority=''/></master>",
    );
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(view.masters[0].hosts.len(), 1);
    assert!(!view.masters[0].transfer);
}

#[test]
fn what_is_wrong_is_left_out_and_said() {
    let (view, faults) = internal(
        "<master zone='a b'><host name='x'/></master>\
         <master zone='a.org' IPv4='10.1' contact='x'><host name=''/><host name='h' IPv6='10.1.1.1' MX='y' Priority='z'/><host name='H'/>\
         <host name='c' IPv4='10.1.1.1' CNAME='www.b.org.,b c'/><delegation name='d.a.org' NS=''/></master>\
         <master zone='A.org'/><slave zone='b.org' master=''/><forward zone='c.org' forwarder='127.0.0.1'/>",
    );
    assert_eq!(view.masters.len(), 1);
    let master = &view.masters[0];
    assert_eq!(master.hosts.len(), 2);
    assert_eq!(
        (master.hosts[0].mx, master.hosts[0].addresses.len()),
        (Some(10), 0)
    );
    assert_eq!(master.hosts[1].canonical, None);
    assert!(view.slaves.is_empty() && view.forwards.is_empty());
    assert_eq!(faults.len(), 14, "{faults:#?}");
}

#[test]
fn other_documents_are_refused() {
    for text in ["<html/>", "<cnml><network/></cnml>", "<cnml><domains>", ""] {
        assert!(read(text.as_bytes()).is_err(), "{text}");
    }
    assert!(read(&DOMAINS.as_bytes()[..900]).is_err());
    assert!(read(&b"<cnml/>"[..]).unwrap().domains.is_empty());
}

#[test]
fn mutants_are_read_or_refused() {
    guifi_testing::fuzz::bytes("domains", &[DOMAINS], |bytes| {
        let Ok(read) = read(bytes) else { return };
        for view in [&read.domains.internal, &read.domains.external] {
            let zones = view.masters.iter().map(|m| &m.zone);
            let hosts = view
                .masters
                .iter()
                .flat_map(|m| m.hosts.iter().map(|h| &h.name));
            assert!(
                zones
                    .chain(hosts)
                    .all(|name| dns_name(name).as_ref() == Some(name))
            );
        }
    });
}
