//! Nodes of a tree in a share: for each its number, 16 bits, and its hash.

use super::Tree;
use crate::hash::Hash;

/// Length of each, in bytes.
pub(crate) const LINK: usize = 34;

/// The nodes; `None` if the last is cut.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<(usize, Hash)>> {
    let (links, rest) = bytes.as_chunks::<LINK>();
    if !rest.is_empty() {
        return None;
    }
    let link = |link: &[u8; LINK]| {
        let (node, hash) = link.split_first_chunk()?;
        Some((
            usize::from(u16::from_be_bytes(*node)),
            hash.try_into().ok()?,
        ))
    };
    links.iter().map(link).collect()
}

/// These nodes of a tree, in their order.
pub(crate) fn write(tree: &Tree, mut nodes: Vec<usize>) -> Vec<u8> {
    nodes.sort_unstable();
    let mut bytes = Vec::with_capacity(nodes.len() * LINK);
    for node in nodes {
        let hash = tree.nodes().get(node).copied().unwrap_or_default();
        bytes.extend_from_slice(&u16::try_from(node).unwrap_or_default().to_be_bytes());
        bytes.extend_from_slice(&hash);
    }
    bytes
}
