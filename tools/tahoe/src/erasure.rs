//! The erasure code of zfec: of `n` blocks, of which the first `k` are the data itself, any `k`
//! bring back the data.
//!
//! The k bytes of the data at one position are the values of a polynomial of degree below k at
//! the points of the first k blocks; the other blocks are its values at theirs. The points are
//! 0, 1, α, α², … in GF(2^8) with polynomial 0x11d and α = 2. That is what zfec's matrix does.

mod combine;
mod field;
#[cfg(target_arch = "x86_64")]
mod simd;
#[cfg(test)]
mod tests;

use combine::combine;
use field::{divide, multiply};

use crate::{Encoding, Error, ShareNumber};

const LENGTHS: Error = Error::Misuse("blocks are not of one length, or there is no such block");

/// The code of an encoding.
#[derive(Clone, Debug)]
pub struct Code {
    encoding: Encoding,
    /// For each secondary block, by what the primary ones are multiplied.
    rows: Vec<Vec<u8>>,
}

impl Code {
    /// The code of `k` and `n`.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        let shares: Vec<u8> = (0..=u8::MAX).take(encoding.total()).collect();
        let (primary, secondary) = shares.split_at(encoding.needed());
        let basis = Basis::new(primary);
        let rows = secondary.iter().map(|&share| basis.row(share)).collect();
        Self { encoding, rows }
    }

    /// Fills the secondary blocks. `data` are the k primary blocks one after the other,
    /// `secondary` is room for the n-k others; all of one length.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn encode(&self, data: &[u8], secondary: &mut [u8]) -> Result<(), Error> {
        let (needed, others) = (self.encoding.needed(), self.rows.len());
        let block = data.len() / needed;
        if block * needed != data.len() || block * others != secondary.len() {
            return Err(LENGTHS);
        }
        if block == 0 {
            return Ok(());
        }
        let inputs: Vec<&[u8]> = data.chunks_exact(block).collect();
        let mut outputs: Vec<&mut [u8]> = secondary.chunks_exact_mut(block).collect();
        combine(&self.rows, &inputs, &mut outputs);
        Ok(())
    }

    /// Brings back the data from k or more different blocks of one length. `data` gets the k
    /// primary blocks one after the other.
    ///
    /// # Errors
    /// If there are too few, or the lengths do not fit.
    pub fn decode(&self, blocks: &[(ShareNumber, &[u8])], data: &mut [u8]) -> Result<(), Error> {
        let needed = self.encoding.needed();
        let block = data.len() / needed;
        let fits = |(share, bytes): &(ShareNumber, &[u8])| {
            bytes.len() == block && usize::from(*share) < self.encoding.total()
        };
        if block * needed != data.len() || !blocks.iter().all(fits) {
            return Err(LENGTHS);
        }
        // In order, so that primary blocks are preferred: they are only copied.
        let mut chosen = blocks.to_vec();
        chosen.sort_unstable_by_key(|(share, _)| *share);
        chosen.dedup_by_key(|(share, _)| *share);
        if chosen.len() < needed {
            let have = chosen.len();
            return Err(Error::TooFew { have, need: needed });
        }
        chosen.truncate(needed);
        if block == 0 {
            return Ok(());
        }
        let (shares, inputs): (Vec<u8>, Vec<&[u8]>) = chosen.into_iter().unzip();
        let basis = Basis::new(&shares);
        let (mut rows, mut outputs) = (Vec::new(), Vec::new());
        for (share, room) in (0..=u8::MAX).zip(data.chunks_exact_mut(block)) {
            match shares.iter().position(|&given| given == share) {
                Some(at) => room.copy_from_slice(inputs.get(at).ok_or(LENGTHS)?),
                None => {
                    rows.push(basis.row(share));
                    outputs.push(room);
                }
            }
        }
        combine(&rows, &inputs, &mut outputs);
        Ok(())
    }
}

/// What the value at any point is made of, when those of some shares are known (Lagrange).
struct Basis {
    /// Of each known share, its point and the weight of its value.
    terms: Vec<(u8, u8)>,
}

impl Basis {
    fn new(shares: &[ShareNumber]) -> Self {
        let points: Vec<u8> = shares.iter().map(|&share| field::point(share)).collect();
        let weight = |&at: &u8| {
            let others = points.iter().filter(|&&other| other != at);
            let product = others.fold(1, |product, other| multiply(product, at ^ other));
            (at, divide(1, product))
        };
        Self {
            terms: points.iter().map(weight).collect(),
        }
    }

    /// By what each known value is multiplied to give that of a share which is not known.
    fn row(&self, share: ShareNumber) -> Vec<u8> {
        let point = field::point(share);
        let factors = self.terms.iter().map(|(at, _)| point ^ at);
        let all = factors.fold(1, multiply);
        let term = |(at, weight): &(u8, u8)| multiply(*weight, divide(all, point ^ at));
        self.terms.iter().map(term).collect()
    }
}
