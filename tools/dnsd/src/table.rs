//! The names of one zone with their answers, packed in one piece of memory: a question costs
//! one hash and one comparison, whether the name exists or not.
//!
//! Layout of a node: length of the name, the name (labels in front of the apex), number of
//! sets, the sets. A set: type, number of records, length of the answer, number of groups,
//! length of all groups, the answer, the groups. A group: number of records, length, octets.
//! Numbers are little endian.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use crate::encode::{Encoded, rtype};

/// The hash of names, seeded once a process so that nobody outside can make collisions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameHash;

/// State of a [`NameHash`].
#[derive(Clone, Copy, Debug)]
pub struct NameHasher(u64);

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64) // the two halves
}

fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| std::hash::RandomState::new().hash_one(MULTIPLIER) | 1)
}

impl BuildHasher for NameHash {
    type Hasher = NameHasher;

    fn build_hasher(&self) -> NameHasher {
        NameHasher(seed())
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = chunk.iter().rev().fold(0, |w, &b| (w << 8) | u64::from(b));
            self.0 = fold(self.0 ^ word, MULTIPLIER ^ seed());
        }
        let rest = chunks.remainder().iter();
        let word = rest.fold(bytes.len() as u64, |w, &b| (w << 8) | u64::from(b));
        self.0 = fold(self.0 ^ word, MULTIPLIER.rotate_left(32) ^ seed());
    }

    fn finish(&self) -> u64 {
        fold(self.0, MULTIPLIER)
    }
}

/// The hash of a name in lower case, the same as long as the process lives.
pub fn hash(name: &[u8]) -> u64 {
    let mut hasher = NameHash.build_hasher();
    hasher.write(name);
    hasher.finish()
}

/// One hash of two, the same as long as the process lives.
pub(crate) fn join(a: u64, b: u64) -> u64 {
    fold(a ^ b.rotate_left(32), MULTIPLIER ^ seed())
}

/// A set as it is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Set<'a> {
    /// Number of records in the answer.
    pub count: u16,
    /// The answer section.
    pub answer: &'a [u8],
    groups: &'a [u8],
}

impl<'a> Set<'a> {
    /// The groups of additional records: how many, and their octets.
    pub fn groups(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.groups;
        std::iter::from_fn(move || {
            let (&count, tail) = rest.split_first()?;
            let (length, tail) = tail.split_at_checked(2)?;
            let (bytes, tail) = tail.split_at_checked(usize::from(u16_at(length, 0)))?;
            rest = tail;
            Some((count, bytes))
        })
    }
}

/// What a question finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found<'a> {
    /// The set asked for.
    Set(Set<'a>),
    /// The name exists, or something below it, but no such set.
    NoData,
    /// There is no such name.
    Missing,
}

/// The names of one zone.
#[derive(Debug, Default)]
pub struct Table {
    arena: Box<[u8]>,
    /// Offset of a node plus one; open addressing, a power of two long.
    index: Box<[u32]>,
    /// Number of names.
    pub names: usize,
    /// Number of records.
    pub records: usize,
    /// Number of parts that the zone is split into (1 if it is not).
    pub parts: u16,
}

const SET_HEAD: usize = 11;

impl Table {
    /// Packs `nodes`: name in front of the apex in lower case → (name as written, its sets by
    /// type). Names in between are added, so that they answer "no such type".
    pub fn pack(mut nodes: Nodes, parts: u16) -> Self {
        complete(&mut nodes);
        Self::pack_exact(&nodes, parts)
    }

    /// Packs `nodes` and nothing else.
    pub fn pack_exact(nodes: &Nodes, parts: u16) -> Self {
        let mut table = Self {
            parts,
            names: nodes.len(),
            ..Self::default()
        };
        let slots = (nodes.len() * 3 / 2 + 1).next_power_of_two();
        let mut index = vec![0u32; slots];
        let mut arena = Vec::new();
        for (lower, (name, sets)) in nodes {
            let Ok(offset) = u32::try_from(arena.len() + 1) else {
                break; // 4 GiB of one zone: the registry's limits lie far below
            };
            let mut slot = hash(lower) as usize & (slots - 1);
            while index[slot] != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            index[slot] = offset;
            arena.push(name.len() as u8); // a name has at most 255 octets
            arena.extend_from_slice(name);
            arena.push(sets.len() as u8); // one for each of the few types there are
            for (rtype, set) in sets {
                table.records += usize::from(set.count);
                push_set(&mut arena, *rtype, set);
            }
        }
        table.arena = arena.into_boxed_slice();
        table.index = index.into_boxed_slice();
        table
    }

    /// Octets of memory.
    pub fn size(&self) -> usize {
        self.arena.len() + 4 * self.index.len()
    }

    /// Looks up `name` (in front of the apex, lower case) and a type.
    pub fn find(&self, name: &[u8], rtype: u16) -> Found<'_> {
        if let Some(node) = self.node(name) {
            return node.find(rtype);
        }
        self.find_in_part(name, rtype)
    }

    /// An instance below a part (`X._http._tcp.3.vic.D`) answers as the one of the zone.
    fn find_in_part(&self, name: &[u8], rtype: u16) -> Found<'_> {
        if self.parts < 2 {
            return Found::Missing;
        }
        let Some((front, part)) = split_last_label(name) else {
            return Found::Missing;
        };
        let number = std::str::from_utf8(part)
            .ok()
            .and_then(|p| p.parse::<u16>().ok());
        if !number.is_some_and(|n| (1..=self.parts).contains(&n)) || part[0] == b'0' {
            return Found::Missing;
        }
        let Some(node) = self.node(front) else {
            return Found::Missing;
        };
        let Found::Set(service) = node.find(rtype::SRV) else {
            return Found::Missing;
        };
        match (rtype, node.find(rtype)) {
            // The offsets within the additional records hold for the other owner.
            (rtype::SRV | rtype::TXT, Found::Set(set)) => Found::Set(Set { groups: &[], ..set }),
            (rtype::ANY, _) => Found::Set(Set {
                groups: &[],
                ..service
            }),
            _ => Found::NoData,
        }
    }

    /// The node of `name` (in front of the apex).
    pub fn node(&self, name: &[u8]) -> Option<Node<'_>> {
        let mask = self.index.len().checked_sub(1)?;
        let mut slot = hash(name) as usize & mask;
        loop {
            let offset = (*self.index.get(slot)?).checked_sub(1)? as usize;
            let node = Node::read(&self.arena, offset)?;
            if node.name.eq_ignore_ascii_case(name) {
                return Some(node);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// All names with their sets, in the order of the names in front of the apex.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let node = Node::read(&self.arena, at)?;
            at += node.size();
            Some(node)
        })
    }
}

/// Names in front of the apex in lower case → (as written, sets by type).
pub type Nodes = BTreeMap<Box<[u8]>, (Box<[u8]>, Vec<(u16, Encoded)>)>;

/// One name of a table.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The labels in front of the apex, as written.
    pub name: &'a [u8],
    count: u8,
    sets: &'a [u8],
}

impl<'a> Node<'a> {
    fn read(arena: &'a [u8], at: usize) -> Option<Self> {
        let length = usize::from(*arena.get(at)?);
        let (name, rest) = arena.get(at + 1..)?.split_at_checked(length)?;
        let (&count, sets) = rest.split_first()?;
        Some(Self { name, count, sets })
    }

    /// Octets of the node in the arena.
    fn size(&self) -> usize {
        let sets = self.sets();
        let sets = sets.map(|(_, set)| SET_HEAD + set.answer.len() + set.groups.len());
        2 + self.name.len() + sets.sum::<usize>()
    }

    /// The sets with their types.
    pub fn sets(&self) -> impl Iterator<Item = (u16, Set<'a>)> {
        let (mut rest, count) = (self.sets, self.count);
        (0..count).map_while(move |_| {
            let (head, tail) = rest.split_at_checked(SET_HEAD)?;
            let answer = usize::from(u16_at(head, 4));
            let groups = u32::from_le_bytes([head[7], head[8], head[9], head[10]]) as usize;
            let (answer, tail) = tail.split_at_checked(answer)?;
            let (groups, tail) = tail.split_at_checked(groups)?;
            rest = tail;
            let count = u16_at(head, 2);
            Some((
                u16_at(head, 0),
                Set {
                    count,
                    answer,
                    groups,
                },
            ))
        })
    }

    /// Whether there is nothing at the name itself.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The set of a type.
    pub fn find(&self, rtype: u16) -> Found<'a> {
        // Any type: one set will do (RFC 8482 section 4.1).
        let found = self
            .sets()
            .find(|&(t, _)| t == rtype || rtype == rtype::ANY);
        found.map_or(Found::NoData, |(_, set)| Found::Set(set))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn push_set(arena: &mut Vec<u8>, rtype: u16, set: &Encoded) {
    // Larger sets never leave the builder: 80 records of at most 270 octets.
    let answer = &set.answer[..set.answer.len().min(usize::from(u16::MAX))];
    let groups: usize = set.groups.iter().map(|(_, bytes)| 3 + bytes.len()).sum();
    arena.extend_from_slice(&rtype.to_le_bytes());
    arena.extend_from_slice(&set.count.to_le_bytes());
    arena.extend_from_slice(&(answer.len() as u16).to_le_bytes());
    arena.push(set.groups.len().min(255) as u8);
    arena.extend_from_slice(&(groups as u32).to_le_bytes());
    arena.extend_from_slice(answer);
    for (count, bytes) in &set.groups {
        arena.push(*count);
        arena.extend_from_slice(&(bytes.len() as u16).to_le_bytes()); // at most 1232
        arena.extend_from_slice(bytes);
    }
}

/// Adds the empty names between each name and the apex.
fn complete(nodes: &mut Nodes) {
    let names: Vec<Box<[u8]>> = nodes.keys().cloned().collect();
    for name in &names {
        let mut at = 0;
        while at < name.len() {
            at += 1 + usize::from(name[at]);
            let Some(parent) = name.get(at..) else { break };
            if nodes.contains_key(parent) {
                break;
            }
            nodes.insert(parent.into(), (parent.into(), Vec::new()));
        }
    }
}

/// Splits the last label off `name` (labels without a root).
fn split_last_label(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    while at < name.len() {
        let end = at + 1 + usize::from(name[at]);
        if end >= name.len() {
            return Some((&name[..at], name.get(at + 1..)?)).filter(|(_, l)| !l.is_empty());
        }
        at = end;
    }
    None
}
