//! One share: which of its bytes are needed, and whether they are right.

use std::ops::Range;

use super::decoder::Known;
use super::encoder::block_hash;
use super::layout::HASH;
use super::{Decoder, Layout, Parameters};
use crate::hash::Hash;
use crate::merkle::{self, Partial, chain};
use crate::{Error, ShareNumber};

/// How many bytes of a share tell where the rest is.
pub const HEAD: u64 = 0x44;
/// Leaves of a hash tree that are read at once: a power of two.
const GROUP: usize = 256;

/// A part of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The UEB with its length.
    Ueb,
    /// Hashes that lead from the share to the file.
    Chain,
    /// Nodes of the ciphertext's hash tree from this one on.
    CiphertextHashes(u64),
    /// Nodes of the share's block hash tree from this one on.
    BlockHashes(u64),
    /// The block of a segment.
    Block(u64),
}

/// Bytes of a share that are needed. A server gives fewer where the share ends; that is right
/// for [`Part::Ueb`] alone, whose length is not known before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What they are.
    pub part: Part,
    /// Where they are, in bytes from the beginning of the share.
    pub range: Range<u64>,
}

/// What is known of a share.
///
/// ```text
/// let mut share = Share::new(number, &read(0..HEAD))?;
/// for need in share.needs(&decoder, segment)? {     // all ranges may be read at once
///     let bytes = read(need.range.clone());
///     share.take(&mut decoder, &need, &bytes)?;     // in this order
/// }
/// ```
/// The bytes of `Part::Block(segment)` that were taken are a block for [`Decoder::decode`].
pub struct Share {
    number: ShareNumber,
    layout: Layout,
    /// Hash tree of its blocks, once the chain was taken.
    blocks: Option<Partial>,
}

impl Share {
    /// A share by its first [`HEAD`] bytes (or what there is).
    ///
    /// # Errors
    /// If they are no header.
    pub fn new(number: ShareNumber, head: &[u8]) -> Result<Self, Error> {
        Ok(Self {
            number,
            layout: Layout::parse(head)?,
            blocks: None,
        })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> ShareNumber {
        self.number
    }

    /// What is needed for a segment and not known, in the order in which it is taken; the block
    /// comes last, always.
    ///
    /// # Errors
    /// If the share's header contradicts the file, or there is no such segment.
    pub fn needs(&self, decoder: &Decoder, segment: u64) -> Result<Vec<Need>, Error> {
        let parameters = self.parameters(decoder)?;
        if segment >= parameters.segments() {
            return Err(Error::Misuse("the file has no such segment"));
        }
        let mut needs = self.first_needs(decoder);
        let ciphertext = decoder.known().map(|known| &known.ciphertext);
        for nodes in missing(&parameters, ciphertext, segment) {
            let range = self.layout.ciphertext_hashes(nodes.clone());
            needs.push(need(Part::CiphertextHashes(nodes.start), range));
        }
        for nodes in missing(&parameters, self.blocks.as_ref(), segment) {
            let range = self.layout.block_hashes(nodes.clone());
            needs.push(need(Part::BlockHashes(nodes.start), range));
        }
        let range = self.layout.block(&parameters, segment);
        needs.push(need(Part::Block(segment), range));
        Ok(needs)
    }

    /// All but the blocks, to check the whole share: its copy of the UEB and every hash, even if
    /// known. Then the blocks follow, by [`Self::needs`].
    ///
    /// # Errors
    /// If the share's header contradicts the file.
    pub fn audit(&self, decoder: &Decoder) -> Result<Vec<Need>, Error> {
        let parameters = self.parameters(decoder)?;
        let nodes = 0..merkle::nodes_over(parameters.leaves()) as u64;
        Ok(vec![
            need(Part::Ueb, self.layout.ueb()),
            need(Part::Chain, self.layout.chain()),
            need(
                Part::CiphertextHashes(0),
                self.layout.ciphertext_hashes(nodes.clone()),
            ),
            need(Part::BlockHashes(0), self.layout.block_hashes(nodes)),
        ])
    }

    /// Takes bytes that were needed. Nothing of them is kept unless they are right.
    ///
    /// # Errors
    /// If they are too few, or not what was written.
    pub fn take(&mut self, decoder: &mut Decoder, need: &Need, bytes: &[u8]) -> Result<(), Error> {
        let length = need.range.end.saturating_sub(need.range.start);
        if need.part == Part::Ueb {
            return self.take_ueb(decoder, bytes);
        }
        if bytes.len() as u64 != length {
            return Err(Error::Corrupt("share: it is too short"));
        }
        match need.part {
            Part::Ueb => Ok(()),
            Part::Chain => self.take_chain(decoder.known_mut()?, bytes),
            Part::CiphertextHashes(first) => {
                let known = decoder.known_mut()?;
                known.ciphertext.add(&nodes(first, bytes))
            }
            Part::BlockHashes(first) => self.tree_mut()?.add(&nodes(first, bytes)),
            Part::Block(segment) => {
                let leaf = usize::try_from(segment).unwrap_or(usize::MAX);
                let hash = self.tree_mut()?.leaf(leaf).copied();
                if hash.is_some_and(|hash| hash == block_hash(bytes)) {
                    return Ok(());
                }
                Err(Error::Corrupt("block"))
            }
        }
    }

    /// How the file is cut; before a UEB is known, as the share's header has it.
    fn parameters(&self, decoder: &Decoder) -> Result<Parameters, Error> {
        let cap = decoder.cap();
        if usize::from(self.number) >= cap.encoding.total() {
            return Err(Error::Corrupt("share number"));
        }
        let parameters = match decoder.parameters() {
            Some(parameters) => *parameters,
            None => {
                let needed = cap.encoding.needed() as u64;
                let segment = self.layout.block_size().saturating_mul(needed);
                Parameters::of_segments(cap.encoding, cap.size, segment)?
            }
        };
        self.layout.check(&parameters)?;
        Ok(parameters)
    }

    fn first_needs(&self, decoder: &Decoder) -> Vec<Need> {
        let mut needs = Vec::new();
        if decoder.known().is_none() {
            needs.push(need(Part::Ueb, self.layout.ueb()));
        }
        if self.blocks.is_none() {
            needs.push(need(Part::Chain, self.layout.chain()));
        }
        needs
    }

    fn take_ueb(&self, decoder: &mut Decoder, bytes: &[u8]) -> Result<(), Error> {
        let cut = Error::Corrupt("UEB");
        let (field, rest) = bytes
            .split_at_checked(self.layout.length_field())
            .ok_or(cut.clone())?;
        let length = field.iter().fold(0, |sum, &b| sum << 8 | u64::from(b));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        decoder.take_ueb(rest.get(..length).ok_or(cut)?)?;
        // Before, the header alone said how the file is cut.
        self.parameters(decoder).map(drop)
    }

    fn take_chain(&mut self, known: &mut Known, bytes: &[u8]) -> Result<(), Error> {
        let wrong = Error::Corrupt("share chain");
        let nodes = chain::read(bytes).ok_or(wrong.clone())?;
        known.shares.add(&nodes)?;
        let root = known.shares.leaf(usize::from(self.number));
        let root = *root.ok_or(wrong)?;
        if self.blocks.is_none() {
            let leaves = known.ueb.parameters.leaves();
            self.blocks = Some(Partial::new(leaves, root));
        }
        Ok(())
    }

    fn tree_mut(&mut self) -> Result<&mut Partial, Error> {
        let missing = Error::Misuse("the share chain is taken first");
        self.blocks.as_mut().ok_or(missing)
    }
}

fn need(part: Part, range: Range<u64>) -> Need {
    Need { part, range }
}

fn nodes(first: u64, bytes: &[u8]) -> Vec<(usize, Hash)> {
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let (hashes, _) = bytes.as_chunks::<{ HASH as usize }>();
    let number = |i: usize| first.saturating_add(i);
    let numbered = hashes.iter().enumerate();
    numbered.map(|(i, &hash)| (number(i), hash)).collect()
}

/// Nodes of a tree that are to be read for a segment: the top of a large tree, once, and the
/// group of leaves. So a file that is read from its beginning asks for hashes seldom, and one
/// that is read somewhere does not ask for all.
fn missing(parameters: &Parameters, tree: Option<&Partial>, segment: u64) -> Vec<Range<u64>> {
    let leaves = parameters.leaves();
    let segment = usize::try_from(segment).unwrap_or(usize::MAX);
    let knows = |node| tree.is_some_and(|tree| tree.knows(node));
    let first = merkle::leaf_node(leaves, 0);
    if leaves == 1 || knows(merkle::leaf_node(leaves, segment)) {
        return Vec::new();
    }
    let width = first + 1;
    let group = GROUP.min(width);
    let groups = width / group;
    let mut missing = Vec::new();
    // The roots of the groups are the nodes from `groups - 1` on.
    if groups > 1 && !knows(groups - 1 + segment / group) {
        missing.push(1..2 * groups as u64 - 1);
    }
    let begin = (first + segment / group * group) as u64;
    missing.push(begin..begin + group as u64);
    missing
}
