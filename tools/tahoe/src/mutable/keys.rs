//! The RSA key of a mutable file.

use openssl::pkey::{PKey, Private, Public};

use crate::cap::{Format, Write};
use crate::hash::Hash;
use crate::{Error, Key};

/// What signs versions of a file.
pub struct KeyPair {
    private: PKey<Private>,
}

impl KeyPair {
    /// A new key of 2048 bits: takes a good part of a second.
    ///
    /// # Errors
    /// If the library cannot.
    pub fn generate() -> Result<Self, Error> {
        todo!()
    }

    /// The key in this PKCS#8 DER.
    ///
    /// # Errors
    /// If it is none, or not of 2048 bits.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        todo!()
    }

    /// The key in the encrypted form that shares have, by the write cap.
    ///
    /// # Errors
    /// If it is not the key of the cap.
    pub fn decrypt(cap: &Write, encrypted: &[u8]) -> Result<Self, Error> {
        todo!()
    }

    /// The form that shares have.
    #[must_use]
    pub fn encrypted(&self) -> Vec<u8> {
        todo!()
    }

    /// PKCS#8 DER, unencrypted.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        todo!()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        todo!()
    }

    /// The cap of the file that it makes.
    #[must_use]
    pub fn cap(&self, format: Format) -> Write {
        todo!()
    }

    /// Signs (PSS, SHA-256, salt of 32 bytes).
    ///
    /// # Errors
    /// If the library cannot.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        todo!()
    }
}

/// What checks versions of a file.
pub struct PublicKey {
    key: PKey<Public>,
}

impl PublicKey {
    /// The key in this SubjectPublicKeyInfo DER, if it has this fingerprint.
    ///
    /// # Errors
    /// If it is none, not of 2048 bits, or another.
    pub fn from_der(der: &[u8], fingerprint: &Hash) -> Result<Self, Error> {
        todo!()
    }

    /// SubjectPublicKeyInfo DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        todo!()
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// If it is not of this key and message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        todo!()
    }
}
