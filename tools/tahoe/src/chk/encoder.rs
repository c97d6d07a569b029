//! A file into shares, segment by segment.

use super::{Layout, Parameters, Segment, Ueb};
use crate::aes::Stream;
use crate::cap::{Chk, ChkVerifier};
use crate::erasure::Code;
use crate::hash::{Hash, Tagged, tagged};
use crate::merkle::{self, Tree, chain};
use crate::{Error, Key, ShareNumber};

/// Makes the blocks, and keeps the hashes of what it made: 32 bytes for each block.
///
/// ```text
/// for number in 0..parameters.segments() {
///     fill(segment.prepare(&parameters, number));
///     encoder.encode(&mut segment)?;
///     for share in shares { send(share, segment.block(share)) }   // after the layout's header
/// }
/// let encoded = encoder.finish()?;
/// for share in shares { send(share, encoded.tail(share)) }
/// ```
pub struct Encoder {
    parameters: Parameters,
    layout: Layout,
    code: Code,
    purpose: Purpose,
    /// The segment that comes next.
    next: u64,
    ciphertext: Tagged,
    segments: Vec<Hash>,
    /// By share, the hashes of its blocks.
    blocks: Vec<Vec<Hash>>,
}

/// What the shares are made for.
enum Purpose {
    Upload(Key),
    Repair(ChkVerifier, Vec<u8>),
}

impl Encoder {
    /// For a file of this key.
    #[must_use]
    pub fn new(parameters: Parameters, key: &Key) -> Self {
        let layout = Layout::new(&parameters);
        Self::with(parameters, layout, Purpose::Upload(*key))
    }

    /// For repair: takes the ciphertext (of [`super::Decoder::decode_ciphertext`]) instead of
    /// the plaintext. `ueb` are the bytes that the file has ([`super::Decoder::ueb_bytes`]);
    /// [`Self::finish`] fails if the shares are not its.
    ///
    /// # Errors
    /// If the UEB is malformed or not of this cap.
    pub fn repair(cap: &ChkVerifier, ueb: &[u8]) -> Result<Self, Error> {
        let parameters = Ueb::of_cap(cap, ueb)?.parameters;
        let layout = Layout::new(&parameters);
        let purpose = Purpose::Repair(cap.clone(), ueb.to_vec());
        Ok(Self::with(parameters, layout, purpose))
    }

    fn with(parameters: Parameters, layout: Layout, purpose: Purpose) -> Self {
        Self {
            parameters,
            layout,
            code: Code::new(parameters.encoding()),
            purpose,
            next: 0,
            ciphertext: Tagged::new(b"allmydata_crypttext_v1"),
            segments: Vec::new(),
            blocks: vec![Vec::new(); parameters.encoding().total()],
        }
    }

    /// How the file is cut.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Where the parts of the shares are, and their header.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Length of each share, in bytes: what is allocated at a server.
    #[must_use]
    pub fn share_size(&self) -> u64 {
        let length = match &self.purpose {
            Purpose::Upload(_) => self.ueb([0; 32], [0; 32], [0; 32]).encode().len(),
            Purpose::Repair(_, ueb) => ueb.len(),
        };
        self.layout.share_size(length)
    }

    /// Encrypts the next segment in place, and fills its other blocks.
    ///
    /// # Errors
    /// If it was not prepared as the next segment.
    pub fn encode(&mut self, segment: &mut Segment) -> Result<(), Error> {
        let contents = segment.contents().len();
        if segment.number() != Some(self.next) || contents != self.parameters.length(self.next) {
            return Err(Error::Misuse("segments are encoded one after the other"));
        }
        if let Purpose::Upload(key) = &self.purpose {
            let mut stream = Stream::new(key);
            stream.seek(self.next * self.parameters.segment_size());
            stream.apply(segment.contents_mut());
        }
        self.ciphertext.update(segment.contents());
        self.segments.push(segment_hash(segment.contents()));
        segment.encode(&self.code, &self.parameters)?;
        for (share, hashes) in (0..=ShareNumber::MAX).zip(&mut self.blocks) {
            hashes.push(block_hash(segment.block(share)));
        }
        self.next += 1;
        Ok(())
    }

    /// What follows the blocks, once all segments were encoded.
    ///
    /// # Errors
    /// If some were not; in repair, if the shares are not those of the file.
    pub fn finish(self) -> Result<Encoded, Error> {
        if self.next != self.parameters.segments() {
            return Err(Error::Misuse("segments are missing"));
        }
        let ciphertext = Tree::new(&self.segments);
        let roots: Vec<Hash> = self.blocks.iter().map(|b| Tree::new(b).root()).collect();
        let shares = Tree::new(&roots);
        let hash = self.ciphertext.clone().finish();
        let found = self.ueb(hash, ciphertext.root(), shares.root());
        let (ueb, key, cap) = match self.purpose {
            Purpose::Upload(key) => {
                let ueb = found.encode();
                let cap = Chk {
                    key,
                    ueb_hash: Ueb::hash(&ueb),
                    encoding: self.parameters.encoding(),
                    size: self.parameters.size(),
                };
                (ueb, Some(key), cap.to_verifier())
            }
            Purpose::Repair(cap, ueb) => {
                let mut expected = Ueb::parse(&ueb)?;
                expected.ciphertext_hash = expected.ciphertext_hash.or(Some(hash));
                if found != expected {
                    return Err(Error::Corrupt("shares made in repair"));
                }
                (ueb, None, cap)
            }
        };
        Ok(Encoded {
            layout: self.layout,
            ciphertext,
            blocks: self.blocks,
            shares,
            ueb,
            key,
            cap,
        })
    }

    fn ueb(&self, ciphertext_hash: Hash, ciphertext_root: Hash, share_root: Hash) -> Ueb {
        Ueb {
            parameters: self.parameters,
            ciphertext_hash: Some(ciphertext_hash),
            ciphertext_root,
            share_root,
        }
    }
}

pub(super) fn segment_hash(ciphertext: &[u8]) -> Hash {
    tagged(b"allmydata_crypttext_segment_v1", ciphertext)
}

pub(super) fn block_hash(block: &[u8]) -> Hash {
    tagged(b"allmydata_encoded_subshare_v1", block)
}

/// What is known of a file when all of it was encoded.
pub struct Encoded {
    layout: Layout,
    ciphertext: Tree,
    blocks: Vec<Vec<Hash>>,
    shares: Tree,
    ueb: Vec<u8>,
    key: Option<Key>,
    cap: ChkVerifier,
}

impl Encoded {
    /// What follows the blocks of a share, to its end; empty if there is no such share.
    #[must_use]
    pub fn tail(&self, share: ShareNumber) -> Vec<u8> {
        let number = usize::from(share);
        let Some(blocks) = self.blocks.get(number) else {
            return Vec::new();
        };
        let unused = usize::try_from(self.layout.plaintext_tree()).unwrap_or_default();
        let mut tail = vec![0; unused];
        tail.extend_from_slice(self.ciphertext.nodes().as_flattened());
        tail.extend_from_slice(Tree::new(blocks).nodes().as_flattened());
        let total = self.blocks.len();
        let mut nodes = merkle::needed(total, number);
        nodes.push(merkle::leaf_node(total, number));
        tail.extend(chain::write(&self.shares, nodes));
        let length = (self.ueb.len() as u64).to_be_bytes();
        let field = length.len() - self.layout.length_field();
        tail.extend_from_slice(length.get(field..).unwrap_or(&length));
        tail.extend_from_slice(&self.ueb);
        tail
    }

    /// The bytes of the UEB.
    #[must_use]
    pub fn ueb(&self) -> &[u8] {
        &self.ueb
    }

    /// The verify cap.
    #[must_use]
    pub fn verifier(&self) -> &ChkVerifier {
        &self.cap
    }

    /// The read cap; `None` after a repair.
    #[must_use]
    pub fn cap(&self) -> Option<Chk> {
        Some(Chk {
            key: self.key?,
            ueb_hash: self.cap.ueb_hash,
            encoding: self.cap.encoding,
            size: self.cap.size,
        })
    }
}
