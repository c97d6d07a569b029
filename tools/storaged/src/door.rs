//! How many are served at once: in all, and of one client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use guifi_streams::Key;

/// Who counts as one client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Client {
    /// An IPv4 address, or a network of 2^64 IPv6 addresses: whoever has one has all of them.
    Address(IpAddr),
    /// A box.
    Key(Key),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
            four => four,
        })
    }
}

/// Counts who is inside.
#[derive(Clone, Debug, Default)]
pub struct Door(Arc<Mutex<HashMap<Client, usize>>>);

/// The right to be served, given back when dropped.
#[derive(Debug)]
pub struct Pass {
    door: Door,
    client: Client,
}

impl Door {
    /// Lets one more in, unless there are `most`, or `per_client` of this one.
    #[must_use]
    pub fn enter(&self, client: Client, [most, per_client]: [usize; 2]) -> Option<Pass> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.values().sum::<usize>() >= most {
            return None;
        }
        let own = inside.entry(client).or_default();
        if *own >= per_client {
            return None;
        }
        *own += 1;
        Some(Pass {
            door: self.clone(),
            client,
        })
    }

    /// How many are inside.
    #[must_use]
    pub fn count(&self) -> usize {
        let inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.values().sum()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.door.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = inside.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                inside.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_bounds_hold_and_a_network_is_one_client() {
        let door = Door::default();
        let enter = |text: &str| {
            let address: IpAddr = text.parse().unwrap();
            door.enter(address.into(), [4, 2])
        };
        let first = enter("10.0.0.1").unwrap();
        let _second = enter("::ffff:10.0.0.1").unwrap();
        assert!(enter("10.0.0.1").is_none());
        let _third = enter("fd00::1").unwrap();
        let _fourth = enter("fd00::2").unwrap();
        assert!(enter("fd00::3").is_none() && enter("10.0.0.2").is_none());
        drop(first);
        assert_eq!(door.count(), 3);
        assert!(enter("fd00::3").is_none() && enter("10.0.0.1").is_some());
    }
}
