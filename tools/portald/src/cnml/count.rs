//! How many of each kind a file has.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::Item;

/// Numbers of interfaces and links are remembered up to so many: those that come twice count
/// once.
const MOST: usize = 4 << 20;
/// Different words of status that are told apart.
const STATUSES: usize = 32;

/// The numbers.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Zones.
    pub zones: u64,
    /// Nodes.
    pub nodes: u64,
    /// Nodes by their status.
    pub statuses: BTreeMap<String, u64>,
    /// Devices.
    pub devices: u64,
    /// Radios.
    pub radios: u64,
    /// Services.
    pub services: u64,
    /// Ends of links that are different.
    pub link_ends: u64,
    interfaces: HashSet<u64>,
    links: HashSet<u64>,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, item: &Item) {
        match item {
            Item::Zone(_) => self.zones += 1,
            Item::Node(node) => {
                self.nodes += 1;
                let known = self.statuses.len() < STATUSES;
                if known || self.statuses.contains_key(&node.common.status) {
                    *self.statuses.entry(node.common.status.clone()).or_default() += 1;
                }
            }
            Item::Device(_) => self.devices += 1,
            Item::Radio(_) => self.radios += 1,
            Item::Service(_) => self.services += 1,
            Item::Interface(interface) => {
                if self.interfaces.len() < MOST {
                    self.interfaces.insert(interface.id);
                }
            }
            Item::Link(link) => {
                self.link_ends += 1;
                if self.links.len() < MOST {
                    self.links.insert(link.id);
                }
            }
        }
    }

    /// Interfaces, each once.
    #[must_use]
    pub fn interfaces(&self) -> u64 {
        self.interfaces.len() as u64
    }

    /// Links, each once.
    #[must_use]
    pub fn links(&self) -> u64 {
        self.links.len() as u64
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "zones": self.zones,
            "nodes": self.nodes,
            "nodes_by_status": self.statuses,
            "devices": self.devices,
            "radios": self.radios,
            "interfaces": self.interfaces(),
            "links": self.links(),
            "services": self.services,
        })
    }
}
