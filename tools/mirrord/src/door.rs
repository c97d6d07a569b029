//! How many clients are served at once: in all, and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts who is inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The right to be served, given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    door: Door,
    address: IpAddr,
}

impl Door {
    /// Lets one more in, unless there are `most` or `per_client` of its address already.
    pub(crate) fn enter(&self, address: IpAddr, [most, per_client]: [usize; 2]) -> Option<Pass> {
        let address = address.to_canonical();
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.values().sum::<usize>() >= most {
            return None;
        }
        let own = inside.entry(address).or_default();
        if *own >= per_client {
            return None;
        }
        *own += 1;
        Some(Pass {
            door: self.clone(),
            address,
        })
    }

    /// How many are inside.
    pub(crate) fn count(&self) -> usize {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .sum()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.door.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = inside.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                inside.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_bounds_hold_and_places_are_given_back() {
        let door = Door::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let enter = |text: &str| door.enter(address(text), [3, 2]);
        let first = enter("10.0.0.1").unwrap();
        let _second = enter("::ffff:10.0.0.1").unwrap();
        assert!(enter("10.0.0.1").is_none());
        let _third = enter("fd00::1").unwrap();
        assert!(enter("fd00::2").is_none());
        drop(first);
        assert_eq!(door.count(), 2);
        assert!(enter("10.0.0.1").is_some());
    }
}
