//! CNML from a stream: each element is handed on and forgotten, so that a whole network needs
//! no more memory than a node.

use std::io::Read;

use super::value::Values;
use super::{Counts, Device, End, Interface, Item, LinkEnd, Node, Radio, Service, Zone};
use crate::fault::{Fault, Faults, quote};
use crate::xml::{Step, Xml};

/// What a file describes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Class {
    /// The tree of zones.
    Zones,
    /// Zones and nodes.
    Nodes,
    /// Everything.
    Detail,
    /// Single nodes, without their zones.
    Node,
    /// It does not say.
    #[default]
    Unknown,
}

impl Class {
    /// The word of the format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Zones => "zones",
            Self::Nodes => "nodes",
            Self::Detail => "detail",
            Self::Node => "node",
            Self::Unknown => "unknown",
        }
    }
}

/// What the top of a file says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// What it describes.
    pub class: Class,
    /// The stamp of the portal, which is not sortable.
    pub generated: String,
    /// The portal.
    pub server: String,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The top.
    pub head: Head,
    /// The zones that are in no other of the file.
    pub roots: Vec<u64>,
    /// How many of each there are.
    pub counts: Counts,
    /// What was left out.
    pub faults: Faults,
}

/// Why reading ended early.
#[derive(Debug)]
pub enum Stop<E> {
    /// The file is refused.
    Fault(Box<Report>, Fault),
    /// The one who takes the items has had enough.
    Taker(E),
}

/// Reads a file, and hands each item to `take`.
///
/// # Errors
/// See [`Stop`]. What was taken until then is worth nothing.
pub fn read<E>(
    reader: impl Read,
    mut take: impl FnMut(&Item) -> Result<(), E>,
) -> Result<Report, Stop<E>> {
    let mut reading = Reading {
        xml: Xml::new(reader),
        stack: Vec::new(),
        report: Report::default(),
    };
    loop {
        match reading.next() {
            Ok(Next::Item(item)) => {
                reading.report.counts.add(&item);
                take(&item).map_err(Stop::Taker)?;
            }
            Ok(Next::Nothing) => {}
            Ok(Next::End) => return Ok(reading.report),
            Err(fault) => return Err(Stop::Fault(Box::new(reading.report), fault)),
        }
    }
}

/// An element that is open, with the number of those that have one.
#[derive(Clone, Copy, Debug)]
enum Open {
    Cnml,
    Network,
    Zone(u64),
    Node(u64),
    Device {
        node: u64,
        id: u64,
    },
    Radio {
        node: u64,
        device: u64,
        id: u64,
    },
    Interface(End),
    /// One that is not for us, with all that it holds.
    Other,
}

enum Next {
    Item(Item),
    Nothing,
    End,
}

struct Reading<R: Read> {
    xml: Xml<R>,
    stack: Vec<Open>,
    report: Report,
}

impl<R: Read> Reading<R> {
    fn next(&mut self) -> Result<Next, Fault> {
        match self.xml.step()? {
            Step::Close => {
                self.stack.pop();
                Ok(Next::Nothing)
            }
            Step::End => Ok(Next::End),
            Step::Open => {
                let (open, item) = match self.stack.last().copied() {
                    None => (self.root()?, None),
                    Some(Open::Other) => (Open::Other, None),
                    Some(parent) => self.element(parent).unwrap_or((Open::Other, None)),
                };
                self.stack.push(open);
                Ok(item.map_or(Next::Nothing, Next::Item))
            }
        }
    }

    fn root(&mut self) -> Result<Open, Fault> {
        let name = self.xml.name();
        if name != "cnml" {
            let text = if name.eq_ignore_ascii_case("html") {
                "this is a web page".to_owned()
            } else {
                format!("the root is {} in place of 'cnml'", quote(name))
            };
            return Err(Fault::fatal(self.xml.place(), text));
        }
        let place = self.xml.place();
        match self.xml.get("version") {
            Some("0.1") => {}
            Some(other) => {
                let text = format!("version {} in place of '0.1'", quote(other));
                self.report.faults.add(place, text);
            }
            None => self.report.faults.add(place, "<cnml> has no version"),
        }
        let text = |name: &str| guifi_core::terminal::tame(self.xml.get(name).unwrap_or_default());
        self.report.head.generated = text("generated");
        self.report.head.server = text("server_url");
        Ok(Open::Cnml)
    }

    fn element(&mut self, parent: Open) -> Option<(Open, Option<Item>)> {
        let mut values = Values {
            xml: &self.xml,
            faults: &mut self.report.faults,
        };
        let plain = |open| Some((open, None));
        match (self.xml.name(), parent) {
            ("class", Open::Cnml) => {
                self.report.head.class = class(&self.xml);
                None
            }
            ("network", Open::Cnml) => plain(Open::Network),
            ("domains" | "subnet", Open::Cnml) => {
                let text = format!("<{}> is not a description of a network", self.xml.name());
                self.report.faults.add(self.xml.place(), text);
                None
            }
            ("zone", Open::Network | Open::Zone(_)) => {
                let zone = zone(&mut values, parent)?;
                let id = zone.common.id;
                if matches!(parent, Open::Network) {
                    self.report.roots.push(id);
                }
                Some((Open::Zone(id), Some(Item::Zone(zone))))
            }
            ("node", Open::Zone(_) | Open::Cnml) => {
                let node = node(&mut values, parent)?;
                Some((Open::Node(node.common.id), Some(Item::Node(node))))
            }
            ("device", Open::Node(at)) => {
                let device = device(&mut values, at)?;
                let open = Open::Device {
                    node: at,
                    id: device.common.id,
                };
                Some((open, Some(Item::Device(device))))
            }
            ("radio", Open::Device { node, id: device }) => {
                let radio = radio(&mut values, device)?;
                let id = radio.id;
                Some((Open::Radio { node, device, id }, Some(Item::Radio(radio))))
            }
            ("interface", Open::Device { node, id: device }) => {
                let interface = interface(&mut values, device, None)?;
                let open = Open::Interface(End {
                    node,
                    device,
                    interface: interface.id,
                });
                Some((open, Some(Item::Interface(interface))))
            }
            ("interface", Open::Radio { node, device, id }) => {
                let interface = interface(&mut values, device, Some(id))?;
                let open = Open::Interface(End {
                    node,
                    device,
                    interface: interface.id,
                });
                Some((open, Some(Item::Interface(interface))))
            }
            ("link", Open::Interface(here)) => {
                Some((Open::Other, Some(Item::Link(link(&mut values, here)?))))
            }
            ("service", Open::Device { id, .. }) => {
                let service = service(&mut values, id)?;
                Some((Open::Other, Some(Item::Service(service))))
            }
            (
                "network" | "zone" | "node" | "device" | "radio" | "interface" | "link" | "service",
                _,
            ) => {
                let text = format!(
                    "<{}> stands in a wrong place; it is left out",
                    self.xml.name()
                );
                self.report.faults.add(self.xml.place(), text);
                None
            }
            _ => None,
        }
    }
}

fn class<R: Read>(xml: &Xml<R>) -> Class {
    match (xml.get("network_description"), xml.get("node_description")) {
        (Some("zones"), _) => Class::Zones,
        (Some("nodes"), _) => Class::Nodes,
        (Some("detail"), _) => Class::Detail,
        (_, Some(_)) => Class::Node,
        _ => Class::Unknown,
    }
}

/// The element around it is its parent, whatever the attribute says.
fn zone<R: Read>(values: &mut Values<'_, R>, parent: Open) -> Option<Zone> {
    let common = values.common()?;
    let around = match parent {
        Open::Zone(id) => Some(id),
        _ => values.number("parent_id"),
    };
    Some(Zone {
        parent: around.filter(|id| *id != 0 && *id != common.id),
        time_zone: values.text("time_zone"),
        ntp_servers: values.addresses("ntp_servers"),
        dns_servers: values.addresses("dns_servers"),
        common,
    })
}

fn node<R: Read>(values: &mut Values<'_, R>, parent: Open) -> Option<Node> {
    Some(Node {
        common: values.common()?,
        zone: match parent {
            Open::Zone(id) => Some(id),
            _ => None,
        },
        latitude: values.decimal("lat", 90.0),
        longitude: values.decimal("lon", 180.0),
        elevation: values.signed("antenna_elevation"),
    })
}

fn device<R: Read>(values: &mut Values<'_, R>, node: u64) -> Option<Device> {
    Some(Device {
        common: values.common()?,
        node,
        kind: values.text("type"),
        address: values.address("mainipv4"),
        firmware: values.text("firmware"),
        model: values.text("name"),
        snmp_index: values.number("snmp_index"),
    })
}

fn radio<R: Read>(values: &mut Values<'_, R>, device: u64) -> Option<Radio> {
    // The number begins with 0, which the portal may leave out as it does with every zero.
    let id = values
        .number("id")
        .or_else(|| values.xml.get("id").is_none().then_some(0))?;
    Some(Radio {
        id,
        device,
        ssid: values.text("ssid"),
        mode: values.text("mode"),
        protocol: values.text("protocol"),
        channel: values.number("channel"),
        antenna_angle: values.number("antenna_angle"),
        antenna_gain: values.decimal("antenna_gain", 1000.0),
        antenna_azimuth: values.number("antenna_azimuth"),
        clients_accepted: values.xml.get("clients_accepted").map(|word| word == "Yes"),
        snmp_name: values.text("snmp_name"),
        snmp_index: values.number("snmp_index"),
    })
}

fn interface<R: Read>(
    values: &mut Values<'_, R>,
    device: u64,
    radio: Option<u64>,
) -> Option<Interface> {
    Some(Interface {
        id: values.id("id")?,
        device,
        radio,
        kind: values.text("type"),
        mac: values.mac("mac"),
        address: values.address("ipv4"),
        mask: values.address("mask"),
    })
}

fn link<R: Read>(values: &mut Values<'_, R>, here: End) -> Option<LinkEnd> {
    Some(LinkEnd {
        id: values.id("id")?,
        here,
        there: End {
            node: values.number("linked_node_id").unwrap_or_default(),
            device: values.number("linked_device_id").unwrap_or_default(),
            interface: values.number("linked_interface_id").unwrap_or_default(),
        },
        kind: values.text("link_type"),
        status: values.text("link_status"),
    })
}

fn service<R: Read>(values: &mut Values<'_, R>, device: u64) -> Option<Service> {
    Some(Service {
        common: values.common()?,
        device,
        kind: values.text("type"),
    })
}
