//! Tagged hashes: SHA-256d over netstrings, so that no hash of one purpose is one of another.
//! Tags are those of `src/allmydata/util/hashutil.py`.
//!
//! Hashing is most of what storing costs, and OpenSSL has code for processors without SHA
//! extensions that is a third faster than that of the `sha2` crate.

use openssl::sha::Sha256;

/// A whole hash.
pub type Hash = [u8; 32];

/// A hash that bytes are added to.
#[derive(Clone)]
pub struct Tagged(Sha256);

impl Tagged {
    /// Begins with the netstring of the tag.
    #[must_use]
    pub fn new(tag: &[u8]) -> Self {
        let mut hash = Sha256::new();
        add_netstring(&mut hash, tag);
        Self(hash)
    }

    /// Adds bytes as they are.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// SHA-256 of the SHA-256 of all.
    #[must_use]
    pub fn finish(self) -> Hash {
        let mut outer = Sha256::new();
        outer.update(&self.0.finish());
        outer.finish()
    }
}

/// The hash of `bytes` under `tag`.
#[must_use]
pub fn tagged(tag: &[u8], bytes: &[u8]) -> Hash {
    let mut hash = Tagged::new(tag);
    hash.update(bytes);
    hash.finish()
}

/// The hash of two values under `tag`.
#[must_use]
pub fn pair(tag: &[u8], a: &[u8], b: &[u8]) -> Hash {
    let mut hash = Tagged::new(tag);
    add_netstring(&mut hash.0, a);
    add_netstring(&mut hash.0, b);
    hash.finish()
}

/// The first 16 bytes of a hash: keys, salts, storage indexes.
#[must_use]
pub fn first16(hash: &Hash) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&hash[..16]);
    first
}

fn add_netstring(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(format!("{}:", bytes.len()).as_bytes());
    hash.update(bytes);
    hash.update(b",");
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    #[test]
    fn the_official_vectors() {
        assert_eq!(
            HEXLOWER.encode(&tagged(b"tag", b"val")),
            "3d144894c774733d31aa0545f2ce69c6cd347c22e621f1ebc6099d4275730c88"
        );
        assert_eq!(
            HEXLOWER.encode(&pair(b"tag", b"a", b"b")),
            "e003cf467d5cbcdf2eedb7369cd332e96f4405959a932f35200b862b2dc0a593"
        );
    }
}
