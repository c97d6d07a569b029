//! What an administrator, or the portal, says about a hosted zone, checked.

use std::fmt;
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
    /// Other servers, of whose zone this is a copy.
    Primaries(Vec<Server>),
    /// The portal, which defines it for the DNS service of this number.
    Portal(u64),
    /// Other servers, which the portal names for the DNS service of this number.
    PortalPrimaries(u64, Vec<Server>),
}

impl Source {
    /// The DNS service for which the portal says what this zone is.
    pub fn portal(&self) -> Option<u64> {
        match self {
            Self::Portal(service) | Self::PortalPrimaries(service, _) => Some(*service),
            Self::File(_) | Self::Primaries(_) => None,
        }
    }

    /// The servers of whose zone it is a copy.
    pub fn primaries(&self) -> Option<&[Server]> {
        match self {
            Self::Primaries(primaries) | Self::PortalPrimaries(_, primaries) => Some(primaries),
            Self::File(_) | Self::Portal(_) => None,
        }
    }
}

/// One zone as it is to be hosted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spec {
    /// Its name, lower case.
    pub name: Name,
    /// Who sees it; there is at least one.
    pub views: Vec<View>,
    /// Where it comes from.
    pub source: Source,
    /// Who may have all of it (RFC 5936).
    pub transfer: Access,
    /// Who is told of changes (RFC 1996).
    pub notify: Vec<Server>,
}

/// Another server.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// Name of the key, lower case, that it is spoken to with.
    pub key: Option<Name>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.port() {
            53 => write!(f, "{}", self.address.ip()),
            _ => write!(f, "{}", self.address),
        }
    }
}

/// Who may do something: whoever is in one of the networks, or has one of the keys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// Addresses, each with the length of the prefix.
    pub networks: Vec<(IpAddr, u8)>,
    /// Names of keys, lower case.
    pub keys: Vec<Name>,
}

impl Access {
    /// Whether one at `client` may, who has signed with `key`.
    pub fn allows(&self, client: IpAddr, key: Option<&Name>) -> bool {
        let client = client.to_canonical();
        let mut networks = self.networks.iter();
        networks.any(|&network| within(client, network))
            || key.is_some_and(|key| self.keys.contains(key))
    }
}

impl Spec {
    /// Under which view it is kept: one zone is kept once, whoever sees it.
    pub fn kept_as(&self) -> View {
        self.views.first().copied().unwrap_or(View::Internal)
    }
}
