//! Which servers are asked for the shares of a file, in which order, and whether enough of them
//! hold some. Sources: `docs/specifications/servers-of-happiness.rst`,
//! `src/allmydata/storage_client.py`.

use sha1::{Digest, Sha1};

use crate::gbs::Shares;
use crate::{ShareNumber, StorageIndex};

/// What gives a server its place in every order: the decoded `permutation-seed-base32` of its
/// announcement, or what stands for it.
#[must_use]
pub fn seed(server_id: &str, announced: Option<&str>) -> Vec<u8> {
    todo!()
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

/// A greatest possible matching: by server, the share for which it counts, no share twice.
/// Happiness is the number of `Some`.
#[must_use]
pub fn matching(held: &[Shares]) -> Vec<Option<ShareNumber>> {
    todo!()
}

/// On how many servers distinct shares lie.
#[must_use]
pub fn happiness(held: &[Shares]) -> usize {
    matching(held).iter().flatten().count()
}
