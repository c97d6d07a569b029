//! Zones beside the community's domain: those that an administrator writes or fetches from a
//! primary, and those that the portal defines. Each holds whatever records it likes; answers are
//! put together from stored records, never from text.

pub mod answer;
pub mod blob;
pub mod check;
pub mod content;
pub mod draft;
pub mod file;
pub mod holder;
pub mod lex;
pub mod portal;
pub mod rdata;
pub mod reverse;
pub mod rrset;
pub mod spec;
pub mod store;
#[cfg(test)]
mod tests;
pub mod zone;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use zone::Zone;

use crate::encode::rtype;
use crate::name::Name;
use crate::query::Question;
use crate::table::NameHash;

/// Who sees a zone (as `view` of dnsd.toml).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum View {
    /// Clients with private addresses, and those that are resolved for.
    Internal,
    /// All others.
    External,
}

/// The hosted zones of one view.
#[derive(Clone, Debug, Default)]
pub struct Hosted {
    zones: HashMap<Box<[u8]>, Arc<Zone>, NameHash>,
    /// Numbers of labels that names of zones have, the largest first.
    depths: Box<[usize]>,
}

impl Hosted {
    /// A view of these zones.
    pub fn new(zones: impl IntoIterator<Item = Arc<Zone>>) -> Self {
        let zones = zones
            .into_iter()
            .map(|zone| (zone.name.wire().into(), zone));
        let zones: HashMap<Box<[u8]>, Arc<Zone>, NameHash> = zones.collect();
        let depths: BTreeSet<usize> = zones.values().map(|zone| zone.labels).collect();
        Self {
            zones,
            depths: depths.into_iter().rev().collect(),
        }
    }

    /// The zone that answers the question: the one with the longest name. Of a zone's own DS
    /// records its parent knows (RFC 4035 section 3.1.4.1), if it is here as well.
    pub fn find(&self, question: &Question) -> Option<&Arc<Zone>> {
        let depths = self.depths.iter().filter(|&&d| d <= question.labels());
        let mut zones = depths.filter_map(|&depth| self.zones.get(question.suffix(depth)));
        let zone = zones.next()?;
        if question.rtype == rtype::DS && zone.labels == question.labels() {
            return zones.next().or(Some(zone));
        }
        Some(zone)
    }

    /// The zone of this name (lower case).
    pub fn get(&self, name: &Name) -> Option<&Arc<Zone>> {
        self.zones.get(name.wire())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }
}
