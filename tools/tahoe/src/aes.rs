//! AES-128 in counter mode: the counter is the number of the 16-byte block, big-endian, from 0.

use ::aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

use crate::Key;

/// A key stream. A key is used for one message, so there is no nonce.
pub struct Stream(Ctr128BE<Aes128>);

impl Stream {
    /// The stream of a key, at its beginning.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self(Ctr128BE::new(key.into(), &[0; 16].into()))
    }

    /// Goes on at this byte of the message.
    pub fn seek(&mut self, offset: u64) {
        self.0.seek(offset);
    }

    /// Encrypts or decrypts, in place, what comes next.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

/// Encrypts or decrypts a whole message in place.
pub fn apply(key: &Key, message: &mut [u8]) {
    Stream::new(key).apply(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_at_any_byte() {
        let key = [7; 16];
        let mut whole = [0; 300];
        apply(&key, &mut whole);
        for start in 0..whole.len() {
            let mut rest = vec![0; whole.len() - start];
            let mut stream = Stream::new(&key);
            stream.seek(start as u64);
            let (first, second) = rest.split_at_mut((whole.len() - start) / 3);
            stream.apply(first);
            stream.apply(second);
            assert_eq!(rest, whole[start..]);
        }
    }

    #[test]
    fn the_first_block_is_the_cipher_of_zero() {
        // FIPS 197's key with a block of zeros, as OpenSSL has it.
        let key: Key = std::array::from_fn(|i| u8::try_from(i).unwrap_or_default());
        let mut block = [0; 16];
        apply(&key, &mut block);
        let expected = 0xc6a1_3b37_878f_5b82_6f4f_8162_a1c8_d879_u128;
        assert_eq!(u128::from_be_bytes(block), expected);
    }
}
