//! Domains as the bus hands them out.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What is seen from inside, and what from outside.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Domains {
    /// For addresses of the network.
    pub internal: View,
    /// For all others.
    pub external: View,
}

/// One side.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct View {
    /// Domains of this service.
    pub masters: Vec<Master>,
    /// Domains of others, to be copied.
    pub slaves: Vec<Slave>,
    /// Domains of others, to be asked for there.
    pub forwards: Vec<Forward>,
}

/// A domain of this service.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Master {
    /// Its name.
    pub zone: String,
    /// Its number.
    pub id: Option<u64>,
    /// Its first name server, within the zone.
    pub nameserver: Option<String>,
    /// Addresses of that.
    pub addresses: Vec<IpAddr>,
    /// Addresses of the zone itself, and of names it does not know.
    pub default_addresses: Vec<IpAddr>,
    /// Mail servers elsewhere.
    pub external_mx: Vec<String>,
    /// Name servers elsewhere.
    pub external_ns: Vec<String>,
    /// Whether others may copy it.
    pub transfer: bool,
    /// Mail address.
    pub contact: Option<String>,
    /// Hosts.
    pub hosts: Vec<Host>,
    /// Parts that others have.
    pub delegations: Vec<Delegation>,
}

/// A host.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Host {
    /// Its name within the zone.
    pub name: String,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is a name server.
    pub ns: bool,
    /// Its priority as a mail server.
    pub mx: Option<u16>,
    /// Further names within the zone.
    pub aliases: Vec<String>,
    /// The name elsewhere that it only stands for.
    pub canonical: Option<String>,
}

/// A part of a zone that others have.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Delegation {
    /// Its name.
    pub name: String,
    /// Its name server.
    pub ns: String,
    /// Addresses of that.
    pub addresses: Vec<IpAddr>,
}

/// A domain to be copied.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Slave {
    /// Its name.
    pub zone: String,
    /// Where it is copied from.
    pub masters: Vec<IpAddr>,
}

/// A domain to be asked for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Forward {
    /// Its name.
    pub zone: String,
    /// Where it is asked for.
    pub forwarders: Vec<IpAddr>,
}

impl Domains {
    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
