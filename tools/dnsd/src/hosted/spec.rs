//! What an administrator says about a hosted zone, checked.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::View;
use crate::board::within;
use crate::name::Name;

/// Where a zone comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A master file on this box.
    File(PathBuf),
    /// Other servers, in the order in which they are asked.
    Primaries(Vec<SocketAddr>),
    /// The portal, which defines it for the DNS service of this number.
    Portal(u64),
}

/// One zone as configured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spec {
    /// Its name, lower case.
    pub name: Name,
    /// Who sees it; there is at least one.
    pub views: Vec<View>,
    /// Where it comes from.
    pub source: Source,
    /// The key that primaries are asked with.
    pub key: Option<Name>,
    /// Who may have all of it (RFC 5936).
    pub transfer: Access,
    /// Who is told of changes (RFC 1996).
    pub notify: Vec<SocketAddr>,
    /// Who may change it (RFC 2136).
    pub update: Access,
}

/// Who may do something: by address, or by key (RFC 8945).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// Networks: address and length of the prefix.
    pub networks: Vec<(IpAddr, u8)>,
    /// Names of keys, lower case.
    pub keys: Vec<Name>,
}

impl Access {
    /// Whether one at `client`, who proved to have `key`, may.
    pub fn allows(&self, client: IpAddr, key: Option<&Name>) -> bool {
        let client = client.to_canonical();
        key.is_some_and(|key| self.keys.contains(key))
            || self.networks.iter().any(|&network| within(client, network))
    }

    /// Whether nobody may.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.keys.is_empty()
    }
}
