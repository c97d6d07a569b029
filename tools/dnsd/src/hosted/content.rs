//! What a hosted zone holds, as its one writer keeps it: names spread over small tables by
//! their hash, so that a change costs one small table and readers keep the others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::rrset::{Record, Rrset, Sets};
use crate::encode::{Encoded, rtype};
use crate::name::Name;
use crate::table::{NameHash, Node, Nodes, Table, hash};

/// Names of a table, about: packing this many takes some 10 µs.
const SHARD: usize = 64;

/// Names in front of the apex, lower case.
pub type Cuts = HashSet<Box<[u8]>, NameHash>;

/// New sets of a name: how it is written, and what it holds from now on.
pub type Change = (Box<[u8]>, Sets);

/// Nodes to be written, or to be taken away.
type Pending = BTreeMap<Box<[u8]>, Option<Change>>;

/// The names and records of one zone.
#[derive(Clone, Debug)]
pub struct Content {
    origin: Name,
    shards: Vec<Arc<Table>>,
    /// How many names stand right below a name that has any below it.
    children: HashMap<Box<[u8]>, u32, NameHash>,
    /// Names below the apex with name servers of their own.
    cuts: Arc<Cuts>,
    /// Number of names whose first label is `*`.
    wild: usize,
    /// Number of names.
    names: usize,
    /// Number of records.
    records: usize,
}

/// Which table of `count` (a power of two) holds the name.
pub fn shard(name: &[u8], count: usize) -> usize {
    // Not the bits by which a table spreads its names.
    (hash(name) >> 40) as usize & (count - 1)
}

/// The name above, both in front of the apex; `None` for the apex.
pub fn above(name: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*name.first()?);
    name.get(1 + length..)
}

fn is_wild(name: &[u8]) -> bool {
    name.starts_with(b"\x01*")
}

/// The sets of a node.
pub fn sets(node: &Node<'_>) -> Sets {
    node.sets()
        .map(|(rtype, set)| (rtype, Rrset::decode(set)))
        .collect()
}

impl Content {
    /// An empty zone at `origin` (lower case) with room for `names` names.
    pub fn new(origin: Name, names: usize) -> Self {
        let shards = (names / SHARD).next_power_of_two();
        Self {
            origin,
            shards: vec![Arc::default(); shards],
            children: HashMap::with_hasher(NameHash),
            cuts: Arc::default(),
            wild: 0,
            names: 0,
            records: 0,
        }
    }

    /// A zone of these records; those outside of it are left out.
    pub fn of(origin: &Name, records: impl IntoIterator<Item = Record>) -> Self {
        let mut changes: BTreeMap<Box<[u8]>, Change> = BTreeMap::new();
        for record in records {
            let lower = record.owner.lower();
            let Some(front) = lower.below(origin) else {
                continue;
            };
            let written = record.owner.wire().get(..front.len()).unwrap_or_default();
            let change = changes.entry(front.into());
            let change = change.or_insert_with(|| (written.into(), Sets::new()));
            let rrset = change.1.entry(record.rtype).or_default();
            // RFC 2181 section 5.2: one time to live for a set.
            if rrset.data.is_empty() || record.ttl < rrset.ttl {
                rrset.ttl = record.ttl;
            }
            rrset.add(record.rtype, &record.data);
        }
        let mut content = Self::new(origin.clone(), changes.len());
        content.apply(changes);
        content
    }

    /// The name of the zone, lower case.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// The tables.
    pub fn shards(&self) -> &[Arc<Table>] {
        &self.shards
    }

    /// The names with name servers of their own.
    pub fn cuts(&self) -> &Arc<Cuts> {
        &self.cuts
    }

    /// Whether there is a wildcard.
    pub fn wild(&self) -> bool {
        self.wild > 0
    }

    /// Number of names, those without records included.
    pub fn names(&self) -> usize {
        self.names
    }

    /// Number of records.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The node of a name (in front of the apex, lower case).
    pub fn node(&self, name: &[u8]) -> Option<Node<'_>> {
        self.shards[shard(name, self.shards.len())].node(name)
    }

    /// The sets of a name.
    pub fn get(&self, name: &[u8]) -> Sets {
        self.node(name).map(|node| sets(&node)).unwrap_or_default()
    }

    /// Replaces what stands at the names of `changes`; a name left without sets goes, unless
    /// there are names below it.
    pub fn apply(&mut self, changes: BTreeMap<Box<[u8]>, Change>) {
        let mut edit = Edit {
            content: self,
            pending: BTreeMap::new(),
        };
        for (name, (written, sets)) in changes {
            edit.put(&name, &written, sets);
        }
        let pending = edit.pending;
        self.grow(pending.len());
        self.write(pending);
    }

    fn grow(&mut self, more: usize) {
        let names = self.names + more;
        if names <= 2 * SHARD * self.shards.len() {
            return;
        }
        let count = (names / SHARD).next_power_of_two();
        let mut nodes: Vec<Nodes> = std::iter::repeat_with(Nodes::new).take(count).collect();
        for node in self.shards.iter().flat_map(|table| table.nodes()) {
            let lower = node.name.to_ascii_lowercase();
            let place = &mut nodes[shard(&lower, count)];
            place.insert(lower.into(), copy(&node));
        }
        let tables = nodes.iter().map(|nodes| Table::pack_exact(nodes, 1));
        self.shards = tables.map(Arc::new).collect();
    }

    fn write(&mut self, pending: Pending) {
        let count = self.shards.len();
        let mut by_shard: BTreeMap<usize, Pending> = BTreeMap::new();
        for (name, change) in pending {
            let place = by_shard.entry(shard(&name, count)).or_default();
            place.insert(name, change);
        }
        for (index, changes) in by_shard {
            let table = &self.shards[index];
            let mut nodes = Nodes::new();
            for node in table.nodes() {
                nodes.insert(node.name.to_ascii_lowercase().into(), copy(&node));
            }
            for (name, change) in changes {
                match change {
                    None => drop(nodes.remove(&name)),
                    Some((written, sets)) => {
                        let sets = sets.iter().map(|(&t, set)| (t, set.encode(t))).collect();
                        nodes.insert(name, (written, sets));
                    }
                }
            }
            let table = Table::pack_exact(&nodes, 1);
            self.records = self.records + table.records - self.shards[index].records;
            self.shards[index] = Arc::new(table);
        }
    }
}

/// A node as it stands, without reading its records.
fn copy(node: &Node<'_>) -> (Box<[u8]>, Vec<(u16, Encoded)>) {
    let sets = node.sets().map(|(rtype, set)| {
        let encoded = Encoded {
            count: set.count,
            answer: set.answer.to_vec(),
            groups: Vec::new(),
        };
        (rtype, encoded)
    });
    (node.name.into(), sets.collect())
}

/// A change under way: which nodes come, go or are written anew.
struct Edit<'a> {
    content: &'a mut Content,
    pending: Pending,
}

impl Edit<'_> {
    /// Whether the name has a node, and whether that has sets.
    fn state(&self, name: &[u8]) -> (bool, bool) {
        match self.pending.get(name) {
            Some(change) => (
                change.is_some(),
                change.as_ref().is_some_and(|c| !c.1.is_empty()),
            ),
            None => {
                let node = self.content.node(name);
                (node.is_some(), node.is_some_and(|node| !node.is_empty()))
            }
        }
    }

    fn put(&mut self, name: &[u8], written: &[u8], sets: Sets) {
        let (exists, _) = self.state(name);
        if !name.is_empty() {
            let cut = sets.contains_key(&rtype::NS);
            if cut != self.content.cuts.contains(name) {
                let cuts = Arc::make_mut(&mut self.content.cuts);
                if cut {
                    cuts.insert(name.into());
                } else {
                    cuts.remove(name);
                }
            }
        }
        if sets.is_empty() && !self.content.children.contains_key(name) {
            if exists {
                self.remove(name);
            }
            return;
        }
        if !exists {
            self.added(name);
        }
        self.pending
            .insert(name.into(), Some((written.into(), sets)));
    }

    /// Counts a new name, and makes the names above it.
    fn added(&mut self, name: &[u8]) {
        self.content.names += 1;
        self.content.wild += usize::from(is_wild(name));
        let Some(parent) = above(name) else { return };
        *self.content.children.entry(parent.into()).or_default() += 1;
        if !self.state(parent).0 {
            self.added(parent);
            self.pending
                .insert(parent.into(), Some((parent.into(), Sets::new())));
        }
    }

    /// Takes a name away, and those above that only stood for it.
    fn remove(&mut self, name: &[u8]) {
        self.pending.insert(name.into(), None);
        self.content.names -= 1;
        self.content.wild -= usize::from(is_wild(name));
        let Some(parent) = above(name) else { return };
        if let Some(count) = self.content.children.get_mut(parent) {
            *count -= 1;
            if *count > 0 {
                return;
            }
            self.content.children.remove(parent);
            if !self.state(parent).1 {
                self.remove(parent);
            }
        }
    }
}
