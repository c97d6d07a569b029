//! New versions, and shares of old ones made again.

use openssl::rand::rand_bytes;

use super::header::{Header, LENGTH};
use super::{MAX_LENGTH, Share, block_tree, ciphertext, common_key};
use crate::cap::{Format, Verifier};
use crate::erasure::Code;
use crate::hash::Hash;
use crate::merkle::{self, Tree, chain};
use crate::mutable::{KeyPair, Version, data_key};
use crate::{Encoding, Error, aes};

/// The shares, by number, of a new version.
///
/// # Errors
/// If the contents are longer than [`MAX_LENGTH`], there are more than 255 shares, or the
/// library for RSA refuses.
pub fn encode(
    key: &KeyPair,
    encoding: Encoding,
    sequence: u64,
    contents: &[u8],
) -> Result<Vec<Vec<u8>>, Error> {
    if contents.len() > MAX_LENGTH {
        return Err(Error::Parameters("a mutable file has at most 32 MiB"));
    }
    if encoding.total() > 255 {
        return Err(Error::Parameters("a mutable file has at most 255 shares"));
    }
    let mut salt = [0; 16];
    rand_bytes(&mut salt)?;
    let readkey = key.cap(Format::Sdmf).to_readonly().readkey;
    let mut data = contents.to_vec();
    aes::apply(&data_key(&readkey, &salt), &mut data);
    data.resize(data.len().next_multiple_of(encoding.needed()), 0);
    let blocks = Blocks::new(encoding, &data)?;
    let version = Version {
        sequence,
        root: blocks.tree.root(),
    };
    let header = Header {
        version,
        salt,
        encoding,
        length: contents.len(),
        public_key: 0..0,
        signature: 0..0,
        chain: 0..0,
        block_tree: 0..0,
        block: 0..0,
        encrypted_key: 0..0,
    };
    let signature = key.sign(&header.signed())?;
    let (public, encrypted) = (key.public().der(), key.encrypted());
    Ok(blocks.shares(&header, public, &signature, &encrypted))
}

/// All shares of a version again, from k or more of them, without any right to write.
///
/// # Errors
/// If there are too few, or they are of different versions.
pub fn repair(cap: &Verifier, shares: &[Share]) -> Result<Vec<Vec<u8>>, Error> {
    let (first, data) = ciphertext(shares)?;
    let header = &first.header;
    let blocks = Blocks::new(header.encoding, &data)?;
    if blocks.tree.root() != header.version.root {
        return Err(Error::Corrupt("shares made in repair"));
    }
    let public = first.part(&first.header.public_key);
    let made = blocks.shares(header, public, first.signature(), common_key(shares));
    // What is written anew is read before: all of it, signature included.
    if let Some(share) = made.first() {
        Share::verify(cap, 0, share)?;
    }
    Ok(made)
}

/// The blocks of a version and the tree over them.
struct Blocks {
    bytes: Vec<u8>,
    block: usize,
    leaves: Vec<Hash>,
    tree: Tree,
}

impl Blocks {
    /// Of padded ciphertext.
    fn new(encoding: Encoding, data: &[u8]) -> Result<Self, Error> {
        let block = data.len() / encoding.needed();
        let mut bytes = vec![0; block * encoding.total()];
        let (primary, secondary) = bytes.split_at_mut(data.len());
        primary.copy_from_slice(data);
        Code::new(encoding).encode(primary, secondary)?;
        let part = |share: usize| bytes.get(share * block..(share + 1) * block);
        let leaves: Vec<Hash> = (0..encoding.total())
            .map(|share| block_tree(part(share).unwrap_or_default()).root())
            .collect();
        let tree = Tree::new(&leaves);
        Ok(Self {
            bytes,
            block,
            leaves,
            tree,
        })
    }

    /// Whole shares. Of the header only what is signed counts.
    fn shares(
        &self,
        header: &Header,
        public: &[u8],
        signature: &[u8],
        encrypted: &[u8],
    ) -> Vec<Vec<u8>> {
        let signed = header.signed();
        let share = |(number, leaf): (usize, &Hash)| {
            let chain = self.chain(number);
            let begin = number * self.block;
            let block = self.bytes.get(begin..begin + self.block);
            let parts = [
                public,
                signature,
                &chain,
                leaf,
                block.unwrap_or_default(),
                encrypted,
            ];
            let mut share = signed.clone();
            share.extend(offsets(&parts));
            for part in parts {
                share.extend_from_slice(part);
            }
            share
        };
        self.leaves.iter().enumerate().map(share).collect()
    }

    /// What leads from a share to the root, its own leaf left out, in order.
    fn chain(&self, share: usize) -> Vec<u8> {
        chain::write(&self.tree, merkle::needed(self.leaves.len(), share))
    }
}

/// Where each part ends: four numbers of 32 bits, two of 64.
fn offsets(parts: &[&[u8]; 6]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut end = LENGTH as u64;
    for (i, part) in parts.iter().enumerate() {
        end += part.len() as u64;
        let number = end.to_be_bytes();
        let narrow = if i < 4 { 4 } else { 0 };
        bytes.extend_from_slice(number.get(narrow..).unwrap_or(&number));
    }
    bytes
}
