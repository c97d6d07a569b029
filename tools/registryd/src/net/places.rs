//! Places for what may be served at a time, so that nobody takes the whole box.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A number of places.
#[derive(Debug)]
pub(crate) struct Places {
    limit: usize,
    /// How many of them one address may have.
    each: usize,
    taken: Mutex<Vec<Option<IpAddr>>>,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Places>,
    by: Option<IpAddr>,
}

impl Places {
    /// `limit` places, of which one address may have `each`.
    #[must_use]
    pub(crate) fn new(limit: usize, each: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            each,
            taken: Mutex::default(),
        })
    }

    /// A place for somebody at `address`, if there is one.
    pub(crate) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.lock();
        let of_address = taken.iter().filter(|a| **a == address).count();
        if taken.len() >= self.limit || (address.is_some() && of_address >= self.each) {
            return None;
        }
        taken.push(address);
        Some(Place {
            of: self.clone(),
            by: address,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<IpAddr>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        if let Some(at) = taken.iter().position(|a| *a == self.by) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_are_few_fewer_for_one_address_and_come_back() {
        let places = Places::new(4, 2);
        let [here, there] = [1, 2].map(|n| Some(IpAddr::from([10, 0, 0, n])));
        let first = places.take(here).unwrap();
        let _second = places.take(here).unwrap();
        assert!(places.take(here).is_none(), "two for one address");
        let _third = places.take(there).unwrap();
        // Who comes through a relay has no address.
        let fourth = places.take(None).unwrap();
        assert!(places.take(there).is_none(), "four in all");
        drop(fourth);
        assert!(places.take(here).is_none());
        drop(first);
        assert!(places.take(here).is_some());
    }
}
