//! Machines on the link that have nothing of ours, and what they announce: a printer, a
//! telephone. An administrator publishes one of their services by naming the machine.

use std::net::IpAddr;

use guifi_bus::Failure;

use crate::link::{Local, Place};
use crate::service::{Host, MAX_STRING, MAX_TXT};

/// Which of the services that are heard is the one of the machine `host`: the only one, or of
/// several the one of that name.
///
/// # Errors
/// [`Failure::NotFound`] and [`Failure::Invalid`] with a sentence that names what is heard.
pub(crate) fn choose<'a>(
    heard: &'a [Local],
    kind: &str,
    host: &str,
    name: &str,
) -> Result<(&'a Local, &'a Place), Failure> {
    let placed = || heard.iter().filter_map(|s| Some((s, s.place.as_ref()?)));
    let of_host: Vec<_> = placed().filter(|(_, p)| is_at(p, host)).collect();
    let found = match of_host[..] {
        [] => {
            let hosts: Vec<&str> = placed().map(|(_, p)| p.host.as_str()).collect();
            let known = match hosts.is_empty() {
                true => "nobody announces one".to_owned(),
                false => format!("heard from {}", few(hosts)),
            };
            return Err(Failure::NotFound(format!(
                "no {kind} of '{host}' is heard on this link ({known}); with a port it is published unheard"
            )));
        }
        [only] => only,
        _ => {
            let mut named = of_host
                .iter()
                .filter(|(s, _)| s.name.eq_ignore_ascii_case(name));
            let names = of_host.iter().map(|(s, _)| s.name.as_str()).collect();
            *named.next().ok_or_else(|| {
                Failure::Invalid(format!(
                    "'{host}' announces several {kind}: give it one of their names, {}",
                    few(names)
                ))
            })?
        }
    };
    if found.0.own {
        return Err(Failure::Invalid(format!(
            "'{}' is of this box: it is published without a host",
            found.0.name
        )));
    }
    Ok(found)
}

/// Names for a sentence, and not more than it can bear.
fn few(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    names.dedup();
    let shown = names.iter().take(8).map(|n| format!("'{n}'"));
    let mut shown: Vec<String> = shown.collect();
    if names.len() > shown.len() {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

/// Whether a service is at a machine, given by its name with or without `.local`, or address.
fn is_at(place: &Place, host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return place.address == Some(address);
    }
    label(&place.host) == label(host)
}

/// The label of a name of the link.
fn label(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.strip_suffix(".local").unwrap_or(&host).to_owned()
}

/// The machine as it is published.
pub(crate) fn machine(place: &Place) -> Host {
    Host {
        name: label(&place.host),
        addresses: place.address.into_iter().collect(),
    }
}

/// The TXT strings as they are published: what is not a pair, or too much, is left out.
pub(crate) fn txt(place: &Place) -> Vec<String> {
    let mut room = MAX_TXT;
    let is_pair = |t: &&String| {
        let key = t.split('=').next().unwrap_or_default();
        !key.is_empty() && key.bytes().all(|b| (0x20..0x7f).contains(&b)) && t.len() <= MAX_STRING
    };
    let fits = |t: &&String| {
        let left = room.checked_sub(t.len() + 1);
        room = left.unwrap_or(room);
        left.is_some()
    };
    place
        .txt
        .iter()
        .filter(is_pair)
        .filter(fits)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn heard(name: &str, host: &str, address: &str, own: bool) -> Local {
        Local {
            name: name.into(),
            kind: "_ipp._tcp".into(),
            own,
            place: Some(Place {
                host: host.into(),
                address: address.parse().ok(),
                port: 631,
                txt: vec![String::new(), "=x".into(), "rp=a".into(), "y".repeat(256)],
            }),
        }
    }

    #[test]
    fn a_service_is_found_by_its_machine() {
        let all = [
            heard("Printer", "Printer.local", "10.1.0.9", false),
            heard("Front", "mfp.local", "10.1.0.8", false),
            heard("Back", "mfp.local", "10.1.0.8", false),
            heard("Mine", "vic-01.local", "10.1.0.1", true),
        ];
        let found = |host: &str, name: &str| {
            choose(&all, "_ipp._tcp", host, name)
                .map(|(s, _)| s.name.clone())
                .map_err(|e| e.to_string())
        };
        for host in ["printer.local", "PRINTER", "printer.local.", "10.1.0.9"] {
            assert_eq!(found(host, "Any").unwrap(), "Printer");
        }
        assert_eq!(found("mfp", "back").unwrap(), "Back");
        for (host, why) in [
            ("mfp", "'Back', 'Front'"),
            ("scanner.local", "'Printer.local'"),
            ("vic-01", "without a host"),
        ] {
            let said = found(host, "Any").unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let said = choose(&[], "_ipp._tcp", "x", "y").unwrap_err().to_string();
        assert!(said.contains("nobody"), "{said}");
    }

    #[test]
    fn only_sound_details_are_taken() {
        let mut local = heard("Printer", "Printer.local", "10.1.0.9", false);
        let place = local.place.as_mut().unwrap();
        assert_eq!(txt(place), ["rp=a"]);
        place.txt = (0..30)
            .map(|n| format!("k{n:02}={}", "x".repeat(60)))
            .collect();
        assert_eq!(txt(place).len(), 20);
        assert_eq!(machine(place).name, "printer");
    }
}
