//! `guifi-portal check`: what a file is and what is wrong with it, without the daemon.

use std::collections::HashSet;
use std::convert::Infallible;

use serde_json::{Value, json};

use crate::cnml::read::Stop;
use crate::cnml::{self, Item};
use crate::fault::{Fault, Faults};
use crate::input::Input;
use crate::kind::{Kind, recognise};
use crate::{addresses, domains, lines};

/// Numbers that are remembered to tell those that come twice.
const MOST: usize = 4 << 20;

/// What was found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What it is, if that could be told.
    pub kind: Option<Kind>,
    /// The zone or service it is of, if it says so.
    pub id: Option<u64>,
    /// Which description of a network.
    pub class: Option<&'static str>,
    /// How much there is of what.
    pub held: Value,
    /// What would be left out.
    pub faults: Faults,
    /// Why it would be refused.
    pub fatal: Option<Fault>,
}

impl Checked {
    /// The document of `guifi-portal check --json`.
    #[must_use]
    pub fn document(&self) -> Value {
        let faults = self.faults.list.iter().chain(&self.fatal);
        json!({
            "what": self.kind.map(Kind::word),
            "id": self.id,
            "class": self.class,
            "held": self.held,
            "sound": self.fatal.is_none(),
            "fault_count": self.faults.count + u64::from(self.fatal.is_some()),
            "faults": faults.map(Fault::document).collect::<Vec<_>>(),
        })
    }
}

/// Checks a file.
///
/// # Errors
/// Those of the disk.
pub fn check(input: &Input) -> std::io::Result<Checked> {
    let mut checked = Checked::default();
    let kind = match recognise(input.reader()?) {
        Ok(kind) => kind,
        Err(fault) => {
            checked.fatal = Some(fault);
            return Ok(checked);
        }
    };
    checked.kind = Some(kind);
    let reader = input.reader()?;
    let read = match kind {
        Kind::Cnml => network(reader, &mut checked),
        Kind::Domains => domains::read(reader).map(|read| {
            let side = |view: &domains::View| {
                json!({"masters": view.masters.len(), "slaves": view.slaves.len(), "forwards": view.forwards.len()})
            };
            checked.held = json!({"internal": side(&read.domains.internal), "external": side(&read.domains.external)});
            checked.id = read.service;
            checked.faults = read.faults;
        }),
        Kind::Proxies => lines::proxies(reader).map(|(found, faults)| {
            checked.held = json!({"proxies": found.len()});
            checked.id = Some(0);
            checked.faults = faults;
        }),
        Kind::Federation => lines::federation(reader).map(|(found, faults)| {
            checked.held = json!({"proxies": found.len()});
            checked.id = found.first().map(|member| member.proxy);
            checked.faults = faults;
        }),
        Kind::Addresses => {
            let mut count = 0;
            let read = addresses::read::<Infallible>(reader, |_| {
                count += 1;
                Ok(())
            });
            checked.held = json!({"addresses": count});
            checked.id = Some(0);
            read.map(|faults| checked.faults = faults).map_err(fault_of)
        }
    };
    checked.fatal = read.err();
    Ok(checked)
}

fn fault_of(stop: Stop<Infallible>) -> Fault {
    match stop {
        Stop::Fault(_, fault) => fault,
        Stop::Taker(never) => match never {},
    }
}

fn network(reader: impl std::io::Read, checked: &mut Checked) -> Result<(), Fault> {
    let (mut seen, mut twice) = (HashSet::new(), Faults::default());
    let read = cnml::read::<Infallible>(reader, |item| {
        let (kind, id) = match item {
            Item::Zone(zone) => ("zone", zone.common.id),
            Item::Node(node) => ("node", node.common.id),
            Item::Device(device) => ("device", device.common.id),
            Item::Service(service) => ("service", service.common.id),
            // These come twice as a rule, or count within their device.
            Item::Radio(_) | Item::Interface(_) | Item::Link(_) => return Ok(()),
        };
        if seen.len() < MOST && !seen.insert((kind, id)) {
            twice.add(None, format!("{kind} {id} is there twice"));
        }
        Ok(())
    });
    let (report, fatal) = match read {
        Ok(report) => (report, None),
        Err(Stop::Fault(report, fault)) => (*report, Some(fault)),
        Err(Stop::Taker(never)) => match never {},
    };
    checked.held = report.counts.document();
    checked.class = Some(report.head.class.word());
    if let [id] = report.roots[..] {
        checked.id = Some(id);
    }
    checked.faults = report.faults;
    checked.faults.count += twice.count;
    checked.faults.list.extend(twice.list);
    fatal.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;

    fn checked(text: &str) -> Checked {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        check(&Input::new(file, 1 << 20).unwrap()).unwrap()
    }

    const DETAIL: &str = include_str!("../../../tests/fixtures/portal/detail.xml");

    #[test]
    fn a_sound_file_is_summed_up() {
        let found = checked(DETAIL);
        assert!(found.fatal.is_none() && found.faults.count == 0);
        assert_eq!(
            (found.kind, found.id, found.class),
            (Some(Kind::Cnml), Some(900), Some("detail"))
        );
        assert_eq!(found.held["links"], 5);
    }

    #[test]
    fn each_fault_has_its_place() {
        let text = DETAIL
            .replace("lat=\"42.010000\"", "lat=\"north\"")
            .replace("node id=\"9103\"", "node id=\"9102\"")
            .replace("</network>", "</net>");
        let document = checked(&text).document();
        let said: Vec<String> = document["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| {
                format!(
                    "{}:{} {} {}",
                    fault["line"],
                    fault["column"],
                    fault["fatal"],
                    fault["text"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                "7:5 false <node> lat 'north' is not a number",
                "null:null false node 9102 is there twice",
                "90:2 true </net> where </network> should be",
            ]
        );
        assert_eq!(
            (&document["sound"], &document["fault_count"]),
            (&json!(false), &json!(3))
        );
    }

    #[test]
    fn other_kinds_are_checked_too() {
        for (text, held) in [
            (
                include_str!("../../../tests/fixtures/portal/ips.xml"),
                json!({"addresses": 3}),
            ),
            (
                include_str!("../../../tests/fixtures/portal/csvproxy.csv"),
                json!({"proxies": 1}),
            ),
            (
                include_str!("../../../tests/fixtures/portal/federation.txt"),
                json!({"proxies": 2}),
            ),
        ] {
            let found = checked(text);
            assert!(found.fatal.is_none());
            assert_eq!(found.held, held);
        }
        assert_eq!(
            checked(include_str!("../../../tests/fixtures/portal/domains.xml")).id,
            Some(9503)
        );
        assert!(
            checked("<!DOCTYPE html>")
                .fatal
                .unwrap()
                .to_string()
                .contains("web page")
        );
    }
}
