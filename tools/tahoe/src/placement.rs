//! Which servers are asked for the shares of a file, in which order, and whether enough of them
//! hold some. Sources: `docs/specifications/servers-of-happiness.rst`,
//! `src/allmydata/storage_client.py`.

#[cfg(test)]
mod tests;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::gbs::Shares;
use crate::{ShareNumber, StorageIndex, base32};

/// What gives a server its place in every order: the decoded `permutation-seed-base32` of its
/// announcement; without one, its public key from an identity `v0-KEY`, or else a hash of that.
#[must_use]
pub fn seed(server_id: &str, announced: Option<&str>) -> Vec<u8> {
    let key = || {
        let key = server_id.strip_prefix("v0-")?;
        base32::decode_array::<32>(key).map(Vec::from)
    };
    announced
        .and_then(base32::decode)
        .or_else(key)
        .unwrap_or_else(|| Sha256::digest(server_id).to_vec())
}

/// The place of a server in the order for a file; servers are asked from the least upwards.
#[must_use]
pub fn rank(index: &StorageIndex, seed: &[u8]) -> [u8; 20] {
    Sha1::new()
        .chain_update(index)
        .chain_update(seed)
        .finalize()
        .into()
}

/// Sorts servers into the order in which they are asked for a file.
pub fn permute<T>(index: &StorageIndex, servers: &mut [T], seed: impl Fn(&T) -> &[u8]) {
    servers.sort_by_cached_key(|server| rank(index, seed(server)));
}

/// A greatest possible matching: by server, the share for which it counts, no share twice.
/// Happiness is the number of `Some`.
#[must_use]
pub fn matching(held: &[Shares]) -> Vec<Option<ShareNumber>> {
    let mut matching = Matching {
        held,
        servers: vec![None; held.len()],
        shares: [None; 256],
    };
    for server in 0..held.len() {
        matching.place(server, &mut Shares::new());
    }
    matching.servers
}

/// On how many servers distinct shares lie.
#[must_use]
pub fn happiness(held: &[Shares]) -> usize {
    matching(held).iter().flatten().count()
}

/// Which server counts for which share, so far.
struct Matching<'a> {
    held: &'a [Shares],
    servers: Vec<Option<ShareNumber>>,
    shares: [Option<usize>; 256],
}

impl Matching<'_> {
    /// Finds a share for a server; one that another has is taken if that finds a new one.
    /// `tried` grows with every step, so it goes at most 256 deep.
    fn place(&mut self, server: usize, tried: &mut Shares) -> bool {
        let held = self.held;
        for &share in held.get(server).into_iter().flatten() {
            if !tried.insert(share) {
                continue;
            }
            let other = self.shares[usize::from(share)];
            if other.is_none_or(|other| self.place(other, tried)) {
                self.shares[usize::from(share)] = Some(server);
                if let Some(place) = self.servers.get_mut(server) {
                    *place = Some(share);
                }
                return true;
            }
        }
        false
    }
}
