//! The domains of a DNS service, `cnml` › `domains` › `internal` or `external`. All attributes
//! may be empty, lists have commas, names come in any case: what is wrong is left out and said,
//! and never costs the rest.

use std::io::Read;

use self::values::Values;
use crate::dns_name::dns_name;
use crate::fault::{Fault, Faults, quote};
use crate::xml::{Step, Xml};

mod document;
mod values;

pub use document::{Delegation, Domains, Forward, Host, Master, Slave, View};

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The domains.
    pub domains: Domains,
    /// The stamp of the portal: `YYYYMMDDss`, not sortable.
    pub generated: String,
    /// The service that the masters belong to, if there are any.
    pub service: Option<u64>,
    /// What was left out.
    pub faults: Faults,
}

#[derive(Clone, Copy, PartialEq)]
enum Open {
    Cnml,
    Domains,
    View { external: bool },
    Master { external: bool },
    Other,
}

/// Reads a file.
///
/// # Errors
/// If it is not such a file as a whole.
pub fn read(reader: impl Read) -> Result<Reading, Fault> {
    let (mut xml, mut stack, mut read) = (Xml::new(reader), Vec::new(), Reading::default());
    loop {
        match xml.step()? {
            Step::Close => drop(stack.pop()),
            Step::End => return Ok(read),
            Step::Open => {
                let open = match stack.last().copied() {
                    None if xml.name() == "cnml" => {
                        read.generated = Values::text(&xml, "generated");
                        Open::Cnml
                    }
                    None => {
                        let text = format!("the root is {} in place of 'cnml'", quote(xml.name()));
                        return Err(Fault::fatal(xml.place(), text));
                    }
                    Some(Open::Cnml) if xml.name() != "domains" => {
                        let text = format!("<{}> in place of <domains>", xml.name());
                        return Err(Fault::fatal(xml.place(), text));
                    }
                    Some(parent) => element(&xml, parent, &mut read),
                };
                stack.push(open);
            }
        }
    }
}

fn element<R: Read>(xml: &Xml<R>, parent: Open, read: &mut Reading) -> Open {
    let mut values = Values {
        xml,
        faults: &mut read.faults,
    };
    let view = match parent {
        Open::View { external: true } | Open::Master { external: true } => {
            &mut read.domains.external
        }
        _ => &mut read.domains.internal,
    };
    match (xml.name(), parent) {
        ("domains", Open::Cnml) => Open::Domains,
        ("internal", Open::Domains) => Open::View { external: false },
        ("external", Open::Domains) => Open::View { external: true },
        ("master", Open::View { external }) => {
            let service = xml.get("service_id").and_then(|id| id.parse().ok());
            let taken = |zone: &str| view.masters.iter().any(|m| m.zone == zone);
            match values.zone(view.masters.len(), taken) {
                Some(zone) => view.masters.push(master(&mut values, zone)),
                None => return Open::Other,
            }
            read.service = read.service.or(service);
            Open::Master { external }
        }
        ("slave", Open::View { .. }) => {
            let taken = |zone: &str| view.slaves.iter().any(|m| m.zone == zone);
            if let Some(zone) = values.zone(view.slaves.len(), taken) {
                let masters = values.addresses(&["master"]);
                if values.any(&masters, "master") {
                    view.slaves.push(Slave { zone, masters });
                }
            }
            Open::Other
        }
        ("forward", Open::View { .. }) => {
            let taken = |zone: &str| view.forwards.iter().any(|m| m.zone == zone);
            if let Some(zone) = values.zone(view.forwards.len(), taken) {
                let forwarders = values.addresses(&["forwarder"]);
                if values.any(&forwarders, "forwarder") {
                    view.forwards.push(Forward { zone, forwarders });
                }
            }
            Open::Other
        }
        ("host" | "delegation", Open::Master { .. }) => {
            if let Some(master) = view.masters.last_mut() {
                inside(&mut values, master);
            }
            Open::Other
        }
        _ => Open::Other,
    }
}

fn master<R: Read>(values: &mut Values<'_, R>, zone: String) -> Master {
    Master {
        zone,
        id: values.xml.get("domain_id").and_then(|id| id.parse().ok()),
        nameserver: values.name("nameserver"),
        addresses: values.addresses(&["IPv4"]),
        default_addresses: values.addresses(&["domain_ip", "domain_ip_v6"]),
        external_mx: values.names("externalMX"),
        external_ns: values.names("externalNS"),
        transfer: values.xml.get("allow-transfer") == Some("any"),
        contact: values.contact(),
        hosts: Vec::new(),
        delegations: Vec::new(),
    }
}

fn inside<R: Read>(values: &mut Values<'_, R>, master: &mut Master) {
    let Some(name) = values.required("name") else {
        return;
    };
    if values.xml.name() == "delegation" {
        let taken = master.delegations.iter().any(|d| d.name == name);
        if !values.may(taken, master.delegations.len(), &name) {
            return;
        }
        if let Some(ns) = values.required("NS") {
            let addresses = values.addresses(&["IPv4", "IPv6"]);
            master.delegations.push(Delegation {
                name,
                ns,
                addresses,
            });
        }
        return;
    }
    let taken = master.hosts.iter().any(|h| h.name == name);
    if values.may(taken, master.hosts.len(), &name) {
        let host = host(values, name);
        master.hosts.push(host);
    }
}

/// An alias with a dot at its end says that the host itself only stands for that name.
fn host<R: Read>(values: &mut Values<'_, R>, name: String) -> Host {
    let addresses = values.addresses(&["IPv4", "IPv6"]);
    let flag = |name: &str| {
        values
            .xml
            .get(name)
            .is_some_and(|v| v.eq_ignore_ascii_case("y"))
    };
    let (ns, mx) = (flag("NS"), flag("MX"));
    let (mut aliases, mut canonical) = (Vec::new(), None);
    for word in values.words("CNAME") {
        match (dns_name(&word), word.ends_with('.')) {
            (None, _) => values.wrong("CNAME", &word, "a name"),
            (Some(_), true) if canonical.is_some() || !addresses.is_empty() => {
                values.wrong("CNAME", &word, "possible beside addresses or another");
            }
            (Some(target), true) => canonical = Some(target),
            (Some(alias), false) if alias != name && !aliases.contains(&alias) => {
                aliases.push(alias)
            }
            (Some(_), false) => {}
        }
    }
    Host {
        mx: mx.then(|| values.priority()),
        name,
        addresses,
        ns,
        aliases,
        canonical,
    }
}

#[cfg(test)]
mod tests;
