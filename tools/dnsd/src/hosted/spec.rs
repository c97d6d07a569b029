//! What an administrator, or the portal, says about a hosted zone, checked.

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
    /// The portal, which defines it for the DNS service of this number.
    Portal(u64),
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
    pub notify: Vec<SocketAddr>,
}

/// Who may do something: networks, each an address and the length of the prefix.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access(pub Vec<(IpAddr, u8)>);

impl Access {
    /// Whether one at `client` may.
    pub fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.0.iter().any(|&network| within(client, network))
    }
}

impl Spec {
    /// Under which view it is kept: one zone is kept once, whoever sees it.
    pub fn kept_as(&self) -> View {
        self.views.first().copied().unwrap_or(View::Internal)
    }
}
