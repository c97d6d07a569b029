//! The RSA key of a mutable file.

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, PKey, Private, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer, Verifier};

use crate::cap::{Format, Write};
use crate::hash::{Hash, first16, tagged};
use crate::{Error, Key, aes};

const BITS: u32 = 2048;
/// Length of a signature, in bytes.
pub(super) const SIGNATURE: usize = 256;
/// Length of the random part of a signature, in bytes.
const SALT: i32 = 32;

impl From<ErrorStack> for Error {
    fn from(stack: ErrorStack) -> Self {
        Self::Rsa(stack.to_string())
    }
}

/// What signs versions of a file.
#[derive(Clone)]
pub struct KeyPair {
    private: PKey<Private>,
    der: Vec<u8>,
    writekey: Key,
    public: PublicKey,
}

impl KeyPair {
    /// A new key of 2048 bits: takes a good part of a second on a slow machine.
    ///
    /// # Errors
    /// If the library cannot.
    pub fn generate() -> Result<Self, Error> {
        let private = PKey::from_rsa(Rsa::generate(BITS)?)?;
        Self::new(private.private_key_to_pkcs8()?, private)
    }

    /// The key in this PKCS#8 DER.
    ///
    /// # Errors
    /// If it is none, or not of 2048 bits.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        Self::new(der.to_vec(), PKey::private_key_from_pkcs8(der)?)
    }

    fn new(der: Vec<u8>, private: PKey<Private>) -> Result<Self, Error> {
        check(&private)?;
        let public = private.public_key_to_der()?;
        Ok(Self {
            writekey: first16(&tagged(b"allmydata_mutable_privkey_to_writekey_v1", &der)),
            public: PublicKey::new(public)?,
            private,
            der,
        })
    }

    /// The key in the encrypted form that shares have, by the write cap.
    ///
    /// # Errors
    /// If it is not the key of the cap.
    pub fn decrypt(cap: &Write, encrypted: &[u8]) -> Result<Self, Error> {
        let mut der = encrypted.to_vec();
        aes::apply(&cap.writekey, &mut der);
        let wrong = Error::Corrupt("private key");
        let key = Self::from_der(&der).map_err(|_| wrong.clone())?;
        if key.cap(cap.format) == *cap {
            Ok(key)
        } else {
            Err(wrong)
        }
    }

    /// The form that shares have.
    #[must_use]
    pub fn encrypted(&self) -> Vec<u8> {
        let mut encrypted = self.der.clone();
        aes::apply(&self.writekey, &mut encrypted);
        encrypted
    }

    /// PKCS#8 DER, unencrypted.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The cap of the file that it makes.
    #[must_use]
    pub fn cap(&self, format: Format) -> Write {
        Write {
            format,
            writekey: self.writekey,
            fingerprint: self.public.fingerprint(),
        }
    }

    /// Signs (PSS, SHA-256, salt of 32 bytes).
    ///
    /// # Errors
    /// If the library cannot.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.private)?;
        signer.set_rsa_padding(Padding::PKCS1_PSS)?;
        signer.set_rsa_mgf1_md(MessageDigest::sha256())?;
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::custom(SALT))?;
        Ok(signer.sign_oneshot_to_vec(message)?)
    }
}

/// What checks versions of a file.
#[derive(Clone)]
pub struct PublicKey {
    key: PKey<Public>,
    der: Vec<u8>,
}

impl PublicKey {
    /// The key in this SubjectPublicKeyInfo DER, if it has this fingerprint.
    ///
    /// # Errors
    /// If it is none, not of 2048 bits, or another.
    pub fn from_der(der: &[u8], fingerprint: &Hash) -> Result<Self, Error> {
        if fingerprint_of(der) != *fingerprint {
            return Err(Error::Corrupt("public key"));
        }
        Self::new(der.to_vec())
    }

    fn new(der: Vec<u8>) -> Result<Self, Error> {
        let key = PKey::public_key_from_der(&der)?;
        check(&key)?;
        Ok(Self { key, der })
    }

    /// SubjectPublicKeyInfo DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its hash, as caps have it.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        fingerprint_of(&self.der)
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// If it is not of this key and message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let mut verifier = Verifier::new(MessageDigest::sha256(), &self.key)?;
        verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
        verifier.set_rsa_mgf1_md(MessageDigest::sha256())?;
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::custom(SALT))?;
        // A signature of a wrong form is an error to the library, and is wrong to us.
        match verifier.verify_oneshot(signature, message) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Error::Corrupt("signature")),
        }
    }
}

fn fingerprint_of(der: &[u8]) -> Hash {
    tagged(b"allmydata_mutable_pubkey_to_fingerprint_v1", der)
}

fn check<T: HasPublic>(key: &PKey<T>) -> Result<(), Error> {
    if key.rsa()?.size() as usize == SIGNATURE {
        Ok(())
    } else {
        Err(Error::Malformed("key", "it has not 2048 bits"))
    }
}
