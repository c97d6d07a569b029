//! The dump of addresses, `cnml` › `subnet` › `IP`. The portal matches texts (`10%`, `172%`), so
//! that addresses outside 10.0.0.0/8 and 172.16.0.0/12 come with it: they are not ours.

use std::io::Read;
use std::net::Ipv4Addr;

use guifi_core::terminal::tame;

use crate::cnml::read::Stop;
use crate::fault::{Fault, Faults, quote};
use crate::xml::{Step, Xml};

/// An address and whose it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The address.
    pub address: Ipv4Addr,
    /// Number of the device.
    pub device: u64,
    /// Name of the device.
    pub nick: String,
}

/// Whether the address is one of the networks that guifi.net gives out.
#[must_use]
pub fn is_ours(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 10 || (first == 172 && (16..32).contains(&second))
}

/// Hands each entry to `take`.
///
/// # Errors
/// As [`crate::cnml::read()`].
pub fn read<E>(
    reader: impl Read,
    mut take: impl FnMut(&Entry) -> Result<(), E>,
) -> Result<Faults, Stop<E>> {
    let (mut xml, mut faults) = (Xml::new(reader), Faults::default());
    let mut depth = 0;
    let refuse = |fault| Stop::Fault(Box::default(), fault);
    loop {
        match xml.step().map_err(refuse)? {
            Step::End => return Ok(faults),
            Step::Close => depth -= 1,
            Step::Open => {
                if depth == 0 && xml.name() != "cnml" {
                    let text = format!("the root is {} in place of 'cnml'", quote(xml.name()));
                    return Err(refuse(Fault::fatal(xml.place(), text)));
                }
                if depth == 1 && xml.name() != "subnet" {
                    let text = format!("<{}> in place of <subnet>", xml.name());
                    return Err(refuse(Fault::fatal(xml.place(), text)));
                }
                depth += 1;
                if depth == 3 && xml.name() == "IP" {
                    match entry(&xml) {
                        Ok(Some(entry)) => take(&entry).map_err(Stop::Taker)?,
                        Ok(None) => {}
                        Err(text) => faults.add(xml.place(), text),
                    }
                }
            }
        }
    }
}

fn entry<R: Read>(xml: &Xml<R>) -> Result<Option<Entry>, String> {
    let address = xml.get("address").unwrap_or_default();
    let parsed: Ipv4Addr = address
        .parse()
        .map_err(|_| format!("{} is not an IPv4 address", quote(address)))?;
    let device = xml.get("device_id").unwrap_or_default();
    let number = device
        .parse()
        .map_err(|_| format!("device_id {} is not a number", quote(device)))?;
    Ok(is_ours(parsed).then(|| Entry {
        address: parsed,
        device: number,
        nick: tame(xml.get("nick").unwrap_or_default()).replace('\n', " "),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::convert::Infallible;

    const DUMP: &str = include_str!("../../../tests/fixtures/portal/ips.xml");

    fn entries(text: &[u8]) -> Result<(Vec<Entry>, Faults), Stop<Infallible>> {
        let mut found = Vec::new();
        let faults = read(text, |entry| {
            found.push(entry.clone());
            Ok(())
        })?;
        Ok((found, faults))
    }

    #[test]
    fn what_only_looks_like_ours_is_left_out() {
        let (found, faults) = entries(DUMP.as_bytes()).unwrap();
        let found: Vec<_> = found.iter().map(|e| e.address.to_string()).collect();
        assert_eq!(found, ["172.25.90.1", "10.90.1.10", "10.90.1.1"]);
        assert_eq!(faults.count, 0);
        for (address, ours) in [
            ("172.15.0.1", false),
            ("172.16.0.1", true),
            ("172.31.255.1", true),
            ("172.32.0.1", false),
            ("11.0.0.1", false),
        ] {
            assert_eq!(is_ours(address.parse().unwrap()), ours, "{address}");
        }
    }

    #[test]
    fn other_documents_are_refused_and_wrong_entries_left_out() {
        assert!(entries(b"<html/>").is_err());
        assert!(entries(b"<cnml><network/></cnml>").is_err());
        assert!(entries(&DUMP.as_bytes()[..200]).is_err());
        let (found, faults) = entries(b"<cnml><subnet><IP address='10.1.1'/><IP address='10.1.1.1' device_id='x'/></subnet></cnml>").unwrap();
        assert_eq!((found.len(), faults.count), (0, 2));
    }

    #[test]
    fn mutants_are_read_or_refused() {
        guifi_testing::fuzz::bytes("addresses", &[DUMP], |bytes| {
            if let Ok((found, _)) = entries(bytes) {
                assert!(found.iter().all(|entry| is_ours(entry.address)));
            }
        });
    }
}
