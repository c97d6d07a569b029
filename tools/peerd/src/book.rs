//! Addresses at which peers were reached, kept over restarts in `peers.json`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use guifi_core::{Root, write_atomic};
use guifi_streams::Key;
use serde::{Deserialize, Serialize};

use crate::identity::STATE;

/// How many peers are remembered; those seen longest ago go first.
const MAX_PEERS: usize = 1024;
/// How many addresses of one peer are remembered.
const MAX_ADDRESSES: usize = 4;

/// The remembered peers.
#[derive(Debug)]
pub(crate) struct Book {
    path: PathBuf,
    entries: HashMap<Key, Entry>,
    dirty: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Entry {
    /// The latest first.
    addresses: Vec<SocketAddr>,
    /// Seconds since 1970 UTC.
    seen: u64,
}

impl Book {
    /// Reads the book; what cannot be read is begun anew.
    pub(crate) fn load(root: &Root) -> Self {
        let path = root.join(STATE).join("peers.json");
        let entries = match fs::read(&path).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(entries)) => entries,
            Ok(Err(e)) => {
                log::warn!("cannot use {}: {e}; starting without it", path.display());
                HashMap::new()
            }
            Err(_) => HashMap::new(),
        };
        Self {
            path,
            entries,
            dirty: false,
        }
    }

    /// The addresses of a peer, the latest first.
    pub(crate) fn addresses(&self, key: Key) -> &[SocketAddr] {
        self.entries.get(&key).map_or(&[], |e| &e.addresses)
    }

    /// Notes that `key` was reached at `address` at `now`; true if the book was clean before.
    pub(crate) fn worked(&mut self, key: Key, address: SocketAddr, now: u64) -> bool {
        let entry = self.entries.entry(key).or_default();
        entry.seen = now;
        if entry.addresses.first() == Some(&address) {
            return false;
        }
        entry.addresses.retain(|a| *a != address);
        entry.addresses.insert(0, address);
        entry.addresses.truncate(MAX_ADDRESSES);
        if self.entries.len() > MAX_PEERS
            && let Some(oldest) = self
                .entries
                .iter()
                .min_by_key(|(_, e)| e.seen)
                .map(|(key, _)| *key)
        {
            self.entries.remove(&oldest);
        }
        !std::mem::replace(&mut self.dirty, true)
    }

    /// Writes the book if it changed.
    pub(crate) fn save(&mut self) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let sorted: BTreeMap<_, _> = self.entries.iter().collect();
        let written = serde_json::to_vec_pretty(&sorted)
            .map_err(std::io::Error::from)
            .and_then(|text| write_atomic(&self.path, &text, 0o600));
        if let Err(e) = written {
            log::warn!(
                "cannot write {}: {e}; the addresses of peers are forgotten at the next start",
                self.path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_latest_address_comes_first_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        fs::create_dir_all(root.join(STATE)).unwrap();
        let mut book = Book::load(&root);
        let key = Key([1; 32]);
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        assert!(book.worked(key, address(1), 5));
        for port in 2..=6 {
            book.worked(key, address(port), 5);
        }
        book.worked(key, address(4), 6);
        book.save();
        let book = Book::load(&root);
        assert_eq!(
            book.addresses(key),
            [address(4), address(6), address(5), address(3)]
        );
    }

    #[test]
    fn a_damaged_book_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        fs::create_dir_all(root.join(STATE)).unwrap();
        fs::write(root.join(STATE).join("peers.json"), "{").unwrap();
        assert!(Book::load(&root).addresses(Key([1; 32])).is_empty());
    }
}
