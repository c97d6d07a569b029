//! Attributes of these files, with a fault for those that make no sense.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::dns_name::dns_name;
use crate::fault::{Faults, quote};
use crate::xml::Xml;

/// The priority of a mail server that names none.
const PRIORITY: u16 = 10;
/// Zones, and hosts and delegations of a zone.
const MOST: usize = 20_000;

/// The attributes of the element at which the reader stands.
pub(super) struct Values<'a, R: Read> {
    pub(super) xml: &'a Xml<R>,
    pub(super) faults: &'a mut Faults,
}

impl<R: Read> Values<'_, R> {
    pub(super) fn text(xml: &Xml<R>, name: &str) -> String {
        guifi_core::terminal::tame(xml.get(name).unwrap_or_default())
    }

    pub(super) fn wrong(&mut self, name: &str, value: &str, what: &str) {
        let text = format!(
            "<{}> {name} {} is not {what}",
            self.xml.name(),
            quote(value)
        );
        self.faults.add(self.xml.place(), text);
    }

    /// A name that the element cannot do without.
    pub(super) fn required(&mut self, name: &str) -> Option<String> {
        let value = self.xml.get(name).unwrap_or_default().to_owned();
        let found = dns_name(&value);
        if found.is_none() {
            self.wrong(name, &value, "a name; it is left out");
        }
        found
    }

    /// Whether there may be one more of that name.
    pub(super) fn may(&mut self, taken: bool, count: usize, name: &str) -> bool {
        if taken {
            let text = format!("<{}> {} is there twice", self.xml.name(), quote(name));
            self.faults.add(self.xml.place(), text);
        } else if count >= MOST {
            let text = format!("more than {MOST} of <{}>", self.xml.name());
            self.faults.add(self.xml.place(), text);
        }
        !taken && count < MOST
    }

    pub(super) fn zone(&mut self, count: usize, taken: impl Fn(&str) -> bool) -> Option<String> {
        let zone = self.required("zone")?;
        let taken = taken(&zone);
        self.may(taken, count, &zone).then_some(zone)
    }

    pub(super) fn any(&mut self, addresses: &[IpAddr], name: &str) -> bool {
        if addresses.is_empty() {
            let text = format!("<{}> has no {name}; it is left out", self.xml.name());
            self.faults.add(self.xml.place(), text);
        }
        !addresses.is_empty()
    }

    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let words = self.xml.get(name).unwrap_or_default().split(',');
        words
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub(super) fn name(&mut self, name: &str) -> Option<String> {
        self.xml.get(name)?;
        self.names(name).into_iter().next()
    }

    pub(super) fn names(&mut self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        for word in self.words(name) {
            match dns_name(&word) {
                Some(name) if !found.contains(&name) => found.push(name),
                Some(_) => {}
                None => self.wrong(name, &word, "a name"),
            }
        }
        found
    }

    /// The addresses of several attributes; none that means another machine everywhere.
    pub(super) fn addresses(&mut self, names: &[&str]) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for name in names {
            for word in self.words(name) {
                let address = if name.ends_with('6') {
                    word.parse::<Ipv6Addr>().map(IpAddr::V6).ok()
                } else {
                    let four = word.parse::<Ipv4Addr>().map(IpAddr::V4).ok();
                    four.or_else(|| word.parse().ok())
                };
                match address.filter(guifi_core::is_routed) {
                    Some(address) if !found.contains(&address) => found.push(address),
                    Some(_) => {}
                    None => self.wrong(name, &word, "an address"),
                }
            }
        }
        found
    }

    pub(super) fn priority(&mut self) -> u16 {
        let Some(value) = self.xml.get("Priority").map(str::to_owned) else {
            return PRIORITY;
        };
        value.trim().parse().unwrap_or_else(|_| {
            self.wrong("Priority", &value, "a priority");
            PRIORITY
        })
    }

    pub(super) fn contact(&mut self) -> Option<String> {
        let value = self.xml.get("contact")?.trim().to_owned();
        let sound = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
        match value.split_once('@') {
            Some((user, host)) if sound(user) && dns_name(host).is_some() => Some(value),
            _ => {
                self.wrong("contact", &value, "a mail address");
                None
            }
        }
    }
}
