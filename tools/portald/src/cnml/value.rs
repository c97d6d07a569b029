//! Values of attributes, with a fault for those that make no sense.

use std::io::Read;
use std::net::Ipv4Addr;
use std::str::FromStr;

use guifi_core::terminal::tame;
use jiff::civil::Date;

use super::{Common, GraphServer};
use crate::fault::{Faults, quote};
use crate::xml::Xml;

/// Numbers above this are not exact in JSON.
const LARGEST: u64 = 1 << 53;

/// The attributes of the element at which the reader stands.
pub(super) struct Values<'a, R: Read> {
    pub(super) xml: &'a Xml<R>,
    pub(super) faults: &'a mut Faults,
}

impl<R: Read> Values<'_, R> {
    fn wrong(&mut self, name: &str, what: &str) {
        let value = quote(self.xml.get(name).unwrap_or_default());
        let text = format!("<{}> {name} {value} is {what}", self.xml.name());
        self.faults.add(self.xml.place(), text);
    }

    fn parse<T: FromStr>(&mut self, name: &str, what: &str) -> Option<T> {
        let value = self.xml.get(name)?.trim();
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.wrong(name, what);
        }
        parsed
    }

    /// A number that the element cannot do without.
    pub(super) fn id(&mut self, name: &str) -> Option<u64> {
        let Some(value) = self.xml.get(name) else {
            let text = format!("<{}> has no {name}; it is left out", self.xml.name());
            self.faults.add(self.xml.place(), text);
            return None;
        };
        let id = value
            .trim()
            .parse()
            .ok()
            .filter(|id| (1..LARGEST).contains(id));
        if id.is_none() {
            self.wrong(name, "not a number; it is left out");
        }
        id
    }

    /// A number from 0.
    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        let number = self.parse(name, "not a number")?;
        (number < LARGEST).then_some(number)
    }

    pub(super) fn signed(&mut self, name: &str) -> Option<i64> {
        self.parse(name, "not a number")
    }

    pub(super) fn decimal(&mut self, name: &str, most: f64) -> Option<f64> {
        let number: f64 = self.parse(name, "not a number")?;
        if !(-most..=most).contains(&number) {
            self.wrong(name, "out of range");
            return None;
        }
        Some(number)
    }

    pub(super) fn text(&self, name: &str) -> String {
        tame(self.xml.get(name).unwrap_or_default()).replace('\n', " ")
    }

    /// `YYYYMMDD hhmm`, of which only the day counts: the hour has twelve hours and no a.m.
    pub(super) fn day(&mut self, name: &str) -> Option<Date> {
        let value = self.xml.get(name)?;
        let day = day(value);
        if day.is_none() {
            self.wrong(name, "not a date");
        }
        day
    }

    /// A dotted quad; the data base has the word `dhcp`, too.
    pub(super) fn address(&mut self, name: &str) -> Option<Ipv4Addr> {
        if self.xml.get(name)?.eq_ignore_ascii_case("dhcp") {
            return None;
        }
        self.parse(name, "not an IPv4 address")
    }

    pub(super) fn addresses(&mut self, name: &str) -> Vec<Ipv4Addr> {
        let Some(value) = self.xml.get(name) else {
            return Vec::new();
        };
        let words = value
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        let parsed: Vec<Option<Ipv4Addr>> = words.map(|word| word.parse().ok()).collect();
        if parsed.iter().any(Option::is_none) {
            self.wrong(name, "not a list of IPv4 addresses");
        }
        parsed.into_iter().flatten().collect()
    }

    /// In lower case. Placeholders stand for no address: they are at many interfaces.
    pub(super) fn mac(&mut self, name: &str) -> Option<String> {
        let value = self.xml.get(name)?.trim().to_ascii_lowercase();
        let pair = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if value.split(':').count() != 6 || !value.split(':').all(pair) {
            self.wrong(name, "not a MAC address");
            return None;
        }
        let placeholder = ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"].contains(&value.as_str());
        (!placeholder).then_some(value)
    }

    /// Absent or 0 is inherited, -1 is nobody.
    fn graph_server(&mut self) -> GraphServer {
        match self.signed("graph_server") {
            Some(-1) => GraphServer::Nobody,
            Some(id) if id > 0 => GraphServer::Service(id.unsigned_abs()),
            _ => GraphServer::Inherited,
        }
    }

    /// What nearly every element has; `None` without a number.
    pub(super) fn common(&mut self) -> Option<Common> {
        Some(Common {
            id: self.id("id")?,
            title: self.text("title"),
            status: self.text("status"),
            graph_server: self.graph_server(),
            created: self.day("created"),
            updated: self.day("updated"),
        })
    }
}

/// The day of `YYYYMMDD` and whatever follows after a blank.
fn day(text: &str) -> Option<Date> {
    let digits = text.split(' ').next()?;
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (&digits[..4], &digits[4..6], &digits[6..]);
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}
