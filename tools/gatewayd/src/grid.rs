//! The grid: the storage servers that are known, and their order for a file.
//!
//! Servers come from records of the registry and from a `servers.yaml`, as official clients
//! have it. A server that both name is one.

mod book;
mod yaml;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use guifi_streams::Key;
use guifi_tahoe::announcement::{Announcement, Nurl, servers_yaml};
use guifi_tahoe::{StorageIndex, placement};

use crate::server::{Dial, Either, Peer, Server, Tcp};

pub(crate) use book::list;
pub(crate) use yaml::{MAX_BYTES, parse};

/// How long peerd may look for a box.
const OPEN: Duration = Duration::from_secs(10);
/// Servers that are used at most; further ones are left out.
pub(crate) const MAX_SERVERS: usize = 1000;

/// What is known of a server before it is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct About {
    /// Its identity, `v0-…` as a rule.
    pub(crate) id: String,
    /// What secrets for it are derived from.
    pub(crate) tubid: [u8; 20],
    /// Orders the servers of a file.
    pub(crate) seed: Vec<u8>,
    /// For people.
    pub(crate) nickname: String,
    /// Where it lives; empty if that is not known.
    pub(crate) zone: String,
    /// Where it is reached by TCP, the best first.
    pub(crate) nurls: Vec<Nurl>,
    /// Key of its box, if it is one of our community.
    pub(crate) owner: Option<Key>,
}

/// The servers, changed as a whole.
#[derive(Debug)]
pub(crate) struct Grid {
    servers: RwLock<Vec<Arc<Server>>>,
    peerd: PathBuf,
}

impl Grid {
    /// Without servers yet; streams to boxes are opened by the peerd at this socket.
    pub(crate) fn new(peerd: &Path) -> Self {
        Self {
            servers: RwLock::default(),
            peerd: peerd.to_owned(),
        }
    }

    /// The servers, by identity.
    pub(crate) fn servers(&self) -> Vec<Arc<Server>> {
        self.servers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the servers. Those that are the same keep their connections and what is known
    /// of them.
    pub(crate) fn replace(&self, known: Vec<About>) {
        let mut old: HashMap<String, Arc<Server>> = self
            .servers()
            .into_iter()
            .map(|server| (server.about.id.clone(), server))
            .collect();
        let mut new: Vec<Arc<Server>> = Vec::new();
        for about in known.into_iter().take(MAX_SERVERS) {
            let kept = old.remove(&about.id).filter(|server| server.about == about);
            new.extend(kept.or_else(|| self.server(about).map(Arc::new)));
        }
        // Of two with one identity the first stays: the order is kept by equal ones.
        new.sort_by(|a, b| a.about.id.cmp(&b.about.id));
        new.dedup_by(|a, b| a.about.id == b.about.id);
        *self.servers.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// A server that can be reached: by TCP if it says how, or by a stream to its box.
    fn server(&self, about: About) -> Option<Server> {
        // A stream needs no swissnum: the box's key is what gives access.
        let swissnum = about.nurls.first().map(|nurl| nurl.swissnum.clone());
        let tcp = about.nurls.first().and_then(|nurl| tcp(&about.id, nurl));
        let stream = about
            .owner
            .map(|owner| Box::new(Peer::new(self.peerd.clone(), owner, OPEN)) as Box<dyn Dial>);
        let dial = match (tcp, stream) {
            (Some(tcp), Some(stream)) => Box::new(Either::new(tcp, stream)),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return None,
        };
        Some(Server::new(about, dial, &swissnum.unwrap_or_default()))
    }

    /// The servers in the order that all clients have for a file.
    pub(crate) fn permuted(&self, index: &StorageIndex) -> Vec<Arc<Server>> {
        let mut servers = self.servers();
        servers.sort_by_cached_key(|server| placement::rank(index, &server.about.seed));
        servers
    }
}

/// The way by TCP.
fn tcp(id: &str, nurl: &Nurl) -> Option<Box<dyn Dial>> {
    let host = if nurl.host.contains(':') {
        format!("[{}]", nurl.host)
    } else {
        nurl.host.clone()
    };
    match Tcp::new(format!("{host}:{}", nurl.port), nurl.hash) {
        Ok(tcp) => Some(Box::new(tcp)),
        Err(e) => {
            log::warn!("cannot use server {id}: {e}; left out");
            None
        }
    }
}

/// All servers as a `servers.yaml`, as official clients read it.
pub(crate) fn export(grid: &Grid) -> String {
    let servers = grid.servers();
    let announcements: Vec<Announcement> = servers
        .iter()
        .filter_map(|server| server.about.announcement())
        .collect();
    servers_yaml(&announcements)
}

impl About {
    /// As it would announce itself; nothing if its identity or seed has another form.
    fn announcement(&self) -> Option<Announcement> {
        Some(Announcement {
            server: self.id.parse().ok()?,
            tubid: self.tubid,
            seed: self.seed.as_slice().try_into().ok()?,
            nickname: self.nickname.clone(),
            nurls: self.nurls.clone(),
            given_bytes: 0,
            free_bytes: 0,
            other: std::collections::BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn about(id: &str, port: u16) -> About {
        About {
            id: id.into(),
            tubid: [1; 20],
            seed: id.as_bytes().to_vec(),
            nickname: String::new(),
            zone: String::new(),
            nurls: vec![Nurl {
                hash: [4; 32],
                host: "::1".into(),
                port,
                swissnum: "s".into(),
            }],
            owner: None,
        }
    }

    #[tokio::test]
    async fn a_server_that_stays_keeps_what_is_known_of_it() {
        let grid = Grid::new(Path::new("/nonexistent"));
        grid.replace(vec![about("b", 1), about("a", 1), about("a", 1)]);
        let old = grid.servers();
        assert_eq!(old.len(), 2);
        grid.replace(vec![about("a", 1), about("b", 2)]);
        let new = grid.servers();
        assert!(Arc::ptr_eq(&old[0], &new[0]));
        assert!(!Arc::ptr_eq(&old[1], &new[1]));
    }

    #[test]
    fn nobody_without_a_way_is_a_server() {
        let grid = Grid::new(Path::new("/nonexistent"));
        let mut lost = about("a", 1);
        lost.nurls.clear();
        grid.replace(vec![lost]);
        assert!(grid.servers().is_empty());
    }
}
