//! Service instances of a zone: from records to labels, types and targets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::encode::{Data, Extra};
use crate::name::{MAX_LABEL, Name, is_host_label, service_type};
use crate::record::{Body, Host, Owner, Service};

/// The most octets of all character strings of one instance (RFC 6763 section 6.2).
const MAX_TXT: usize = 1300;

/// An instance as DNS shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Instance {
    /// Its label.
    pub(super) label: Box<[u8]>,
    /// Full name, in its zone.
    pub(super) name: Name,
    /// Name of its type in its zone.
    pub(super) service: Name,
    /// `_http._tcp`, lower case.
    pub(super) kind: Box<str>,
    /// Subtypes, lower case.
    pub(super) subtypes: Box<[Box<str>]>,
    /// Its box is absent: counted, not answered.
    pub(super) stale: bool,
    /// Port.
    pub(super) port: u16,
    /// Host.
    pub(super) target: Name,
    /// Addresses of the host.
    pub(super) addresses: Box<[IpAddr]>,
    /// Character strings with lengths; never empty.
    pub(super) txt: Box<[u8]>,
    /// Hash of the label that decides on the part.
    pub(super) hash: u64,
}

impl Instance {
    /// SRV data.
    pub(super) fn srv(&self) -> Data {
        Data::Srv(self.port, self.target.clone())
    }

    /// Address records of the host.
    pub(super) fn hosts(&self) -> Vec<Extra> {
        let extra = |address: &IpAddr| (self.target.clone(), address_data(*address));
        self.addresses.iter().map(extra).collect()
    }
}

/// The address record of `address`.
pub(super) fn address_data(address: IpAddr) -> Data {
    match address {
        IpAddr::V4(a) => Data::A(a),
        IpAddr::V6(a) => Data::Aaaa(a),
    }
}

/// The instances of one zone of the types (lower case) that are `wanted`, by type and label.
/// An instance that several owners publish is shown as `NAME (HOST)` for each of them.
pub(super) fn instances(
    apex: &Name,
    owners: &[(&str, &Owner)],
    wanted: impl Fn(&str) -> bool,
) -> Vec<Instance> {
    let mut owned: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    let services = || {
        owners
            .iter()
            .flat_map(|(key, owner)| {
                owner
                    .records()
                    .iter()
                    .filter_map(|record| match &record.body {
                        Body::Service(packed) => Some(packed.open()),
                        _ => None,
                    })
                    .filter(|service| good_name(&service.instance))
                    .map(move |service| {
                        let id = id(&service);
                        (*key, *owner, service, id)
                    })
            })
            .filter(|(_, _, _, (kind, _))| wanted(kind))
    };
    for (key, _, _, id) in services() {
        owned.entry(id).or_default().insert(key);
    }
    let mut shown = BTreeMap::new();
    for (_, owner, service, id) in services() {
        let shared = owned.get(&id).is_some_and(|keys| keys.len() > 1);
        let label = guifi_bus::instance::label(&service.instance, &owner.name, shared);
        if let Some(instance) = instance(apex, owner, &service, &label) {
            // Two of one owner that differ in case only: the first stands.
            let id = (instance.kind.clone(), label.to_ascii_lowercase());
            shown.entry(id).or_insert(instance);
        }
    }
    shown.into_values().collect()
}

fn id(service: &Service) -> (String, String) {
    let lower = |text: &str| text.to_ascii_lowercase();
    (lower(&service.r#type), lower(&service.instance))
}

/// Net-Unicode without control characters (RFC 6763 section 4.1.1).
fn good_name(name: &str) -> bool {
    !name.is_empty() && !name.bytes().any(|b| b < 0x20 || b == 0x7f)
}

fn instance(apex: &Name, owner: &Owner, service: &Service, label: &str) -> Option<Instance> {
    let kind = service.r#type.to_ascii_lowercase();
    let (first, second) = service_type(&kind)?;
    let type_name = apex.child(second.as_bytes())?.child(first.as_bytes())?;
    let host = apex.child(owner.name.as_bytes())?;
    let (target, addresses) = match &service.host {
        None => (host, owner.addresses().into()),
        Some(further) => {
            let name = host.child(host_label(further)?.as_bytes())?;
            (name, further.addresses.clone().into_boxed_slice())
        }
    };
    let subtypes = service.subtypes.iter().map(|s| s.to_ascii_lowercase());
    Some(Instance {
        name: type_name.child(label.as_bytes())?,
        label: label.as_bytes().into(),
        service: type_name,
        subtypes: subtypes
            .filter(|s| (1..=MAX_LABEL).contains(&s.len()))
            .map(Into::into)
            .collect(),
        stale: owner.stale,
        port: service.port,
        target,
        addresses,
        txt: txt(service),
        hash: stable_hash(label.to_ascii_lowercase().as_bytes()),
        kind: kind.into(),
    })
}

/// The label of a further host: its name, or its first address in letters.
pub(super) fn host_label(host: &Host) -> Option<String> {
    if is_host_label(&host.name) {
        return Some(host.name.to_ascii_lowercase());
    }
    let text = host.addresses.first()?.to_string();
    Some(
        format!("a-{}", text.replace(['.', ':'], "-"))
            .trim_end_matches('-')
            .to_owned(),
    )
}

/// Character strings; one empty string if there is nothing to say (RFC 6763 section 6.1).
fn txt(service: &Service) -> Box<[u8]> {
    let mut bytes = Vec::new();
    for string in &service.txt {
        match u8::try_from(string.len()) {
            Ok(length) if bytes.len() + 1 + string.len() <= MAX_TXT => {
                bytes.push(length);
                bytes.extend_from_slice(string.as_bytes());
            }
            _ => {} // the registry refuses such records: another's fault, not worth the rest
        }
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
    bytes.into_boxed_slice()
}

/// A hash that is the same on every box and in every version: FNV-1a, its bits mixed.
pub(super) fn stable_hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}
