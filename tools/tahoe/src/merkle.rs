//! Hash trees. Leaves are filled up to a power of two; node 0 is the root, the children of node
//! i are 2i+1 and 2i+2. Source: `src/allmydata/hashtree.py`.

pub(crate) mod chain;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::Error;
use crate::hash::{Hash, pair, tagged};

/// A whole tree.
#[derive(Clone, Debug)]
pub struct Tree {
    root: Hash,
    nodes: Vec<Hash>,
}

impl Tree {
    /// The tree over leaves; no leaves count as one that is empty.
    #[must_use]
    pub fn new(leaves: &[Hash]) -> Self {
        let width = width(leaves.len());
        let mut level = leaves.to_vec();
        level.extend((leaves.len()..width).map(empty_leaf));
        let mut levels = Vec::new();
        while level.len() > 1 {
            let above = level.as_chunks().0.iter().map(inner).collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        levels.push(level);
        let nodes: Vec<Hash> = levels.into_iter().rev().flatten().collect();
        let root = nodes.first().copied().unwrap_or_default();
        Self { root, nodes }
    }

    /// The hash of all.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// All nodes from the root on.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }
}

/// A tree of which the root is known, and nodes that were checked against it.
#[derive(Clone, Debug)]
pub struct Partial {
    leaves: usize,
    known: BTreeMap<usize, Hash>,
}

impl Partial {
    /// The tree over so many leaves that has this root.
    #[must_use]
    pub fn new(leaves: usize, root: Hash) -> Self {
        Self {
            leaves,
            known: BTreeMap::from([(0, root)]),
        }
    }

    /// Takes nodes, all or none of them.
    ///
    /// # Errors
    /// If one does not lead to the root, by those given and those known.
    pub fn add(&mut self, nodes: &[(usize, Hash)]) -> Result<(), Error> {
        let wrong = Err(Error::Corrupt("hash tree"));
        let mut new = BTreeMap::new();
        for &(node, hash) in nodes {
            let known = self.known.get(&node);
            if node >= nodes_over(self.leaves) || known.is_some_and(|known| *known != hash) {
                return wrong;
            }
            if known.is_none() && new.insert(node, hash).is_some_and(|other| other != hash) {
                return wrong;
            }
        }
        let mut good = Vec::with_capacity(new.len());
        // From the leaves upwards: two siblings make their parent.
        while let Some((node, hash)) = new.pop_last() {
            let sibling = sibling(node);
            let known = self.known.get(&sibling).copied();
            let Some(other) = new.remove(&sibling).or(known) else {
                return wrong;
            };
            let siblings = if node < sibling {
                [hash, other]
            } else {
                [other, hash]
            };
            good.extend([(node, hash), (sibling, other)]);
            let (parent, hash) = ((node - 1) / 2, inner(&siblings));
            let expected = match self.known.get(&parent) {
                Some(known) => known,
                None => new.entry(parent).or_insert(hash),
            };
            if *expected != hash {
                return wrong;
            }
        }
        self.known.extend(good);
        Ok(())
    }

    /// A leaf, if it was checked.
    #[must_use]
    pub fn leaf(&self, leaf: usize) -> Option<&Hash> {
        self.known.get(&leaf_node(self.leaves, leaf))
    }

    /// Whether a node was checked.
    #[must_use]
    pub fn knows(&self, node: usize) -> bool {
        self.known.contains_key(&node)
    }
}

/// The nodes that, with a leaf, give the root: siblings on the way up.
#[must_use]
pub fn needed(leaves: usize, leaf: usize) -> Vec<usize> {
    let mut needed = Vec::new();
    let mut node = leaf_node(leaves, leaf);
    while node > 0 {
        needed.push(sibling(node));
        node = (node - 1) / 2;
    }
    needed
}

/// Number of nodes of the tree over so many leaves.
#[must_use]
pub fn nodes_over(leaves: usize) -> usize {
    2 * width(leaves) - 1
}

/// The node of a leaf.
#[must_use]
pub fn leaf_node(leaves: usize, leaf: usize) -> usize {
    width(leaves) - 1 + leaf
}

/// The hash that fills up the place of a leaf.
#[must_use]
pub fn empty_leaf(leaf: usize) -> Hash {
    tagged(b"Merkle tree empty leaf", leaf.to_string().as_bytes())
}

/// Number of leaves with those that fill up.
fn width(leaves: usize) -> usize {
    leaves.max(1).next_power_of_two()
}

/// The other child of the parent of a node, which is not the root.
fn sibling(node: usize) -> usize {
    ((node + 1) ^ 1) - 1
}

fn inner(children: &[Hash; 2]) -> Hash {
    pair(b"Merkle tree internal node", &children[0], &children[1])
}
