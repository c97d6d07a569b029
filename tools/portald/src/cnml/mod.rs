//! CNML 0.1, the description of a community network: what its elements hold. Attributes that
//! are empty are absent; times of the day are left out, as the portal writes them without a.m.
//! and p.m.; totals are not read, they are often wrong and counted anew.

pub mod count;
pub mod read;
mod value;

pub use count::Counts;
pub use read::{Class, Head, Report, read};

use std::net::Ipv4Addr;

use jiff::civil::Date;

/// Who draws the graphs of a thing: inherited if it has none of its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum GraphServer {
    /// As of what is above.
    #[default]
    Inherited,
    /// Explicitly nobody.
    Nobody,
    /// The service with this number.
    Service(u64),
}

/// What every element but interfaces and links has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Common {
    /// Number, unique among nodes, zones and services, or among devices.
    pub id: u64,
    /// Name.
    pub title: String,
    /// `Working` and the like; an open list.
    pub status: String,
    /// The graph server.
    pub graph_server: GraphServer,
    /// Day of creation.
    pub created: Option<Date>,
    /// Day of the last change.
    pub updated: Option<Date>,
}

/// A zone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zone {
    /// Number and title.
    pub common: Common,
    /// The zone around it.
    pub parent: Option<u64>,
    /// The portal's own code.
    pub time_zone: String,
    /// Addresses.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Addresses.
    pub dns_servers: Vec<Ipv4Addr>,
}

/// A node: a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Number, nick and the like.
    pub common: Common,
    /// The zone around it; absent in the description of a single node.
    pub zone: Option<u64>,
    /// Decimal degrees.
    pub latitude: Option<f64>,
    /// Decimal degrees.
    pub longitude: Option<f64>,
    /// Metres over ground.
    pub elevation: Option<i64>,
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// Number, nick and the like.
    pub common: Common,
    /// Its node.
    pub node: u64,
    /// `radio`, `server` …; an open list.
    pub kind: String,
    /// Its main address.
    pub address: Option<Ipv4Addr>,
    /// Firmware of a radio.
    pub firmware: String,
    /// Model.
    pub model: String,
    /// The interface to be watched.
    pub snmp_index: Option<u64>,
}

/// A radio.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Radio {
    /// Number within the device, from 0.
    pub id: u64,
    /// Its device.
    pub device: u64,
    /// Name of the network.
    pub ssid: String,
    /// `ap`, `client` or `mesh`.
    pub mode: String,
    /// `802.11n` …
    pub protocol: String,
    /// Number or MHz.
    pub channel: Option<u64>,
    /// Degrees.
    pub antenna_angle: Option<u64>,
    /// dBi.
    pub antenna_gain: Option<f64>,
    /// Degrees.
    pub antenna_azimuth: Option<u64>,
    /// Whether an access point takes clients.
    pub clients_accepted: Option<bool>,
    /// Interface to be watched, by name.
    pub snmp_name: String,
    /// Interface to be watched, by number.
    pub snmp_index: Option<u64>,
}

/// An interface. Most are there twice, under their radio and under the device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// Number.
    pub id: u64,
    /// Its device.
    pub device: u64,
    /// The radio it stands under, if it does here.
    pub radio: Option<u64>,
    /// `wLan/Lan` …, or any name.
    pub kind: String,
    /// In lower case; never one of the placeholders.
    pub mac: Option<String>,
    /// Address.
    pub address: Option<Ipv4Addr>,
    /// Netmask.
    pub mask: Option<Ipv4Addr>,
}

/// One end of a link; the other may be missing, or lie in a zone that was not asked for.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct LinkEnd {
    /// Number, the same at both ends.
    pub id: u64,
    /// Where this end is.
    pub here: End,
    /// Where the other is said to be.
    pub there: End,
    /// `cable`, `wds`, `ap/client` …
    pub kind: String,
    /// `Working` …
    pub status: String,
}

/// The end of a link.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct End {
    /// Node.
    pub node: u64,
    /// Device.
    pub device: u64,
    /// Interface.
    pub interface: u64,
}

/// A service. It has no address of its own: that is its device's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Number, nick and the like.
    pub common: Common,
    /// Its device.
    pub device: u64,
    /// `Proxy`, `DNS` …; an open list.
    pub kind: String,
}

/// Anything that is read, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each is what it is called
pub enum Item {
    Zone(Zone),
    Node(Node),
    Device(Device),
    Radio(Radio),
    Interface(Interface),
    Link(LinkEnd),
    Service(Service),
}

#[cfg(test)]
mod tests;
