//! The keys that others sign with (TSIG), and what each of them may do.

mod grant;
mod keyring;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use grant::Grant;
pub use keyring::{Keyring, New};

use crate::name::Name;
use crate::tsig::Key;

/// A key with its rights.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Arc<Key>,
    /// What it may change.
    pub update: Vec<Grant>,
    /// Names of the zones, lower case, that it may have as a whole.
    pub transfer: Vec<Name>,
}

impl Entry {
    /// Whether it may change anything in a zone.
    pub fn updates(&self, zone: &Name) -> bool {
        self.update.iter().any(|grant| grant.zone() == zone)
    }

    /// Whether it may change records of `rtype` at `name` of `zone`, both in lower case.
    pub fn allows(&self, zone: &Name, name: &Name, rtype: u16) -> bool {
        let mut grants = self.update.iter().filter(|grant| grant.zone() == zone);
        grants.any(|grant| grant.allows(name, rtype))
    }
}

/// All keys by name, lower case.
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<Name, Arc<Entry>>);

impl Keys {
    /// The key of this name (lower case), with its rights.
    pub fn get(&self, name: &Name) -> Option<&Arc<Entry>> {
        self.0.get(name)
    }

    /// The key of this name (lower case).
    pub fn key(&self, name: &Name) -> Option<Arc<Key>> {
        self.get(name).map(|entry| entry.key.clone())
    }

    /// Whether the key of this name may have a zone as a whole.
    pub fn transfers(&self, name: &Name, zone: &Name) -> bool {
        self.get(name)
            .is_some_and(|entry| entry.transfer.contains(zone))
    }
}
