//! The reverse of guifi.net's addresses, from the portal's list of them: what `dnsservices` made
//! of its address dump, for the ranges that are guifi.net's and no others.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;

use super::View;
use super::portal::Defined;
use super::rrset::{Record, Soa};
use crate::encode::rtype;
use crate::name::Name;

/// Time to live, refresh, retry, expire, negative time to live: those of `dnsservices`.
const TTL: u32 = 86_400;
const TIMES: [u32; 4] = [21_600, 3600, 604_800, 3600];
/// The domain of the names, and the server that all these zones name.
const HOSTS: &str = "ip.guifi.net";
const SERVER: &str = "ns1.guifi.net";
const MAILBOX: &str = "nobody.guifi.net";

/// A line of `Addresses` in net.guifi.Portal1(5).
#[derive(Clone, Debug, Deserialize)]
pub struct Address {
    address: Ipv4Addr,
    device: u64,
    nick: String,
}

/// The zones of these addresses: the reverse ones that are not empty, and that of the names.
pub fn zones(addresses: impl IntoIterator<Item = Address>) -> Vec<Defined> {
    let mut zones: BTreeMap<Name, Vec<Record>> = BTreeMap::new();
    for address in addresses {
        let octets = address.address.octets();
        let zone = match octets {
            [10, ..] => "10.in-addr.arpa".to_owned(),
            [172, n @ 16..32, ..] => format!("{n}.172.in-addr.arpa"),
            _ => continue,
        };
        let (Some(zone), Some(name), Some(reverse)) =
            (Name::parse(&zone), host(&address), reverse(octets))
        else {
            continue;
        };
        let records = zones.entry(zone).or_default();
        records.push(record(reverse, rtype::PTR, name.wire()));
        if let ([10, ..], Some(hosts)) = (octets, Name::parse(HOSTS)) {
            let records = zones.entry(hosts).or_default();
            records.push(record(name, rtype::A, &octets));
        }
    }
    let start = start().unwrap_or_default();
    let whole = zones.into_iter().map(|(name, mut records)| {
        records.extend(
            start
                .iter()
                .map(|(rtype, data)| record(name.clone(), *rtype, data)),
        );
        Defined {
            name,
            view: View::Internal,
            transfer: true,
            records,
        }
    });
    whole.collect()
}

/// Start and server of each of these zones.
fn start() -> Option<Vec<(u16, Box<[u8]>)>> {
    let server = Name::parse(SERVER)?;
    let soa = Soa {
        server: server.clone(),
        mailbox: Name::parse(MAILBOX)?,
        serial: 0,
        refresh: TIMES[0],
        retry: TIMES[1],
        expire: TIMES[2],
        minimum: TIMES[3],
    };
    Some(vec![
        (rtype::SOA, soa.data()),
        (rtype::NS, server.wire().into()),
    ])
}

fn record(owner: Name, rtype: u16, data: &[u8]) -> Record {
    Record {
        owner,
        rtype,
        ttl: TTL,
        data: data.into(),
    }
}

/// `NICK--DEVICE.ip.guifi.net`, of the nick only what a host name may have.
fn host(address: &Address) -> Option<Name> {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let nick: String = address.nick.chars().filter(plain).collect();
    let label = format!("{nick}--{}", address.device);
    Name::parse(HOSTS)?.child(label.as_bytes())
}

fn reverse([a, b, c, d]: [u8; 4]) -> Option<Name> {
    Name::parse(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hosted::check::check;
    use crate::hosted::content::Content;

    fn address(text: &str, nick: &str) -> Address {
        Address {
            address: text.parse().unwrap(),
            device: 92_011,
            nick: nick.into(),
        }
    }

    #[test]
    fn the_addresses_of_the_formats_page_become_its_zones() {
        let given = [
            address("10.90.1.1", "AltaTorreRd1"),
            address("172.25.90.1", "Alta Torre.Rd1ü"),
            address("172.32.0.1", "Foreign"),
            address("100.64.0.1", "Foreign"),
            address("10.1.1.1", &"x".repeat(64)),
        ];
        let zones = zones(given);
        let names: Vec<_> = zones.iter().map(|zone| zone.name.to_string()).collect();
        assert_eq!(
            names,
            ["10.in-addr.arpa.", "25.172.in-addr.arpa.", "ip.guifi.net."]
        );
        let found = |zone: usize, owner: &str| {
            let owner = Name::parse(owner).unwrap();
            let mut records = zones[zone].records.iter();
            records
                .find(|record| record.owner == owner)
                .map(|record| record.data.to_vec())
        };
        let host = Name::parse("AltaTorreRd1--92011.ip.guifi.net").unwrap();
        assert_eq!(found(0, "1.1.90.10.in-addr.arpa").unwrap(), host.wire());
        assert_eq!(found(1, "1.90.25.172.in-addr.arpa").unwrap(), host.wire());
        assert_eq!(
            found(2, "AltaTorreRd1--92011.ip.guifi.net").unwrap(),
            [10, 90, 1, 1]
        );
        assert_eq!(zones[0].records.len(), 3, "a label too long is left out");
        for zone in zones {
            let findings = check(&Content::of(&zone.name, zone.records));
            assert_eq!(findings.faults, [""; 0]);
        }
    }
}
