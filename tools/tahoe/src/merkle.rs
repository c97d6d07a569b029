//! Hash trees. Leaves are filled up to a power of two; node 0 is the root, the children of node
//! i are 2i+1 and 2i+2. Source: `src/allmydata/hashtree.py`.

use std::collections::BTreeMap;

use crate::Error;
use crate::hash::Hash;

/// A whole tree.
pub struct Tree(Vec<Hash>);

impl Tree {
    /// The tree over leaves; no leaves count as one that is empty.
    #[must_use]
    pub fn new(leaves: &[Hash]) -> Self {
        todo!()
    }

    /// The hash of all.
    #[must_use]
    pub fn root(&self) -> Hash {
        todo!()
    }

    /// All nodes from the root on.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.0
    }
}

/// A tree of which the root is known, and nodes that were checked against it.
#[derive(Clone, Debug)]
pub struct Partial {
    width: usize,
    known: BTreeMap<usize, Hash>,
}

impl Partial {
    /// The tree over so many leaves that has this root.
    #[must_use]
    pub fn new(leaves: usize, root: Hash) -> Self {
        todo!()
    }

    /// Takes nodes, all or none of them.
    ///
    /// # Errors
    /// If one does not lead to the root, by those given and those known.
    pub fn add(&mut self, nodes: &[(usize, Hash)]) -> Result<(), Error> {
        todo!()
    }

    /// A leaf, if it was checked.
    #[must_use]
    pub fn leaf(&self, leaf: usize) -> Option<&Hash> {
        todo!()
    }
}

/// The nodes that, with a leaf, give the root: siblings on the way up.
#[must_use]
pub fn needed(leaves: usize, leaf: usize) -> Vec<usize> {
    todo!()
}
