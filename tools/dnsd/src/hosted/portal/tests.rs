//! The document of the formats page, made into zones.
#![allow(clippy::unwrap_used)]
use serde_json::json;

use super::*;
use crate::hosted::check::check;
use crate::hosted::content::Content;
use crate::hosted::file;

fn document() -> Document {
    serde_json::from_value(json!({"service": 9503, "fetched": "2026-11-24T17:00:00Z", "faults": [],
        "internal": {
            "masters": [{"zone": "vall.example", "id": 31, "nameserver": "ns1", "addresses": ["10.90.1.10"],
                "default_addresses": ["10.90.1.10"], "external_mx": ["mx.elsewhere.example"], "external_ns": [],
                "transfer": true, "contact": "the.dns@vall.example",
                "hosts": [
                    {"name": "ns1", "addresses": ["10.90.1.10"], "ns": true, "mx": null, "aliases": [], "canonical": null},
                    {"name": "mail", "addresses": ["10.90.1.11", "fd00:90::11"], "ns": false, "mx": 10, "aliases": ["smtp", "imap", "ns1"], "canonical": null},
                    {"name": "web", "addresses": ["10.90.1.12"], "ns": false, "mx": null, "aliases": ["www"], "canonical": null},
                    {"name": "ext", "addresses": [], "ns": false, "mx": null, "aliases": [], "canonical": "www.elsewhere.example"}],
                "delegations": [{"name": "escola.vall.example", "ns": "ns1.escola.vall.example", "addresses": ["10.90.2.10"]}]}],
            "slaves": [{"zone": "altra.example", "masters": ["10.91.4.4"]}],
            "forwards": [{"zone": "tercera.example", "forwarders": ["10.92.4.4"]}, {"zone": "", "forwarders": ["10.92.4.4"]}]},
        "external": {"masters": [{"zone": "a..b"}, {"zone": "bare.example"}], "slaves": [], "forwards": []}}))
    .unwrap()
}

#[test]
fn the_example_of_the_formats_page_becomes_the_zone_it_says() {
    let zones = document().zones();
    assert_eq!(
        (zones.len(), zones[0].view, zones[0].transfer),
        (2, View::Internal, true)
    );
    let expected = r"$TTL 7200
@ SOA ns1 the\.dns.vall.example. 0 43200 7200 1209600 7200
@ NS ns1
@ MX 10 mail
@ MX 20 mx.elsewhere.example.
* A 10.90.1.10
@ A 10.90.1.10
ns1 A 10.90.1.10
mail A 10.90.1.11
mail AAAA fd00:90::11
smtp CNAME mail
imap CNAME mail
web A 10.90.1.12
www CNAME web
ext CNAME www.elsewhere.example.
escola NS ns1.escola
ns1.escola A 10.90.2.10
";
    let origin = Name::parse("vall.example").unwrap();
    let sorted = |mut records: Vec<Record>| {
        records.sort_by_key(|r| (r.owner.clone(), r.rtype, r.data.clone()));
        records
    };
    let expected = file::read(expected, None, &origin).unwrap();
    assert_eq!(sorted(zones[0].records.clone()), sorted(expected));
    for zone in zones {
        let findings = check(&Content::of(&zone.name, zone.records));
        assert_eq!(findings.faults, [""; 0]);
    }
}

#[test]
fn zones_of_others_are_asked_for_at_their_servers() {
    let zones = document().elsewhere();
    let servers = |name: &str| zones[&Name::parse(name).unwrap()][0].to_string();
    assert_eq!(zones.len(), 2);
    assert_eq!(servers("altra.example"), "10.91.4.4:53");
    assert_eq!(servers("tercera.example"), "10.92.4.4:53");
    let copies = document().copies();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].name.to_string(), "altra.example.");
    assert_eq!(copies[0].primaries[0].to_string(), "10.91.4.4");
}
