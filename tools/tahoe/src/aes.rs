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
