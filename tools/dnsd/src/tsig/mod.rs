//! Transaction signatures (TSIG, RFC 8945): messages signed with a secret that both sides know.
//! No input, output or clock here. Signatures are made and checked on messages as they stand on
//! the wire, with nothing copied: hickory's TSIG builds the signed octets anew for each message,
//! and has neither chains of messages as a server nor the clock's error.

mod client;
mod record;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use client::{Fault, Verifier, sign};
pub use server::{Checked, Refusal, Signer, check};

use ring::hmac;

use crate::name::Name;
use record::Variables;

/// Seconds by which the clocks of both sides may differ (RFC 8945 section 10).
const FUDGE: u16 = 300;

/// TSIG errors (RFC 8945 section 3): the numbers go on after the response codes.
pub mod error {
    /// The signature is wrong.
    pub const BADSIG: u16 = 16;
    /// The key is not known, or is for another algorithm.
    pub const BADKEY: u16 = 17;
    /// The clocks differ too much.
    pub const BADTIME: u16 = 18;
    /// The signature is shorter than wanted.
    pub const BADTRUNC: u16 = 22;
}

/// How messages are signed. Weaker ones, such as MD5 and SHA-1, are not done at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// HMAC with SHA-256, which everybody has.
    Sha256,
    /// HMAC with SHA-384.
    Sha384,
    /// HMAC with SHA-512.
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }

    /// Its name on the wire.
    fn wire(self) -> &'static [u8] {
        match self {
            Self::Sha256 => b"\x0bhmac-sha256\0",
            Self::Sha384 => b"\x0bhmac-sha384\0",
            Self::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// Octets of a whole signature, and of a good secret.
    pub fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name().eq_ignore_ascii_case(text))
            .ok_or(())
    }
}

/// A secret that two servers, or a server and its client, share.
#[derive(Clone, Debug)]
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    secret: hmac::Key,
}

impl Key {
    /// The key of this name, which both sides must call the same.
    pub fn new(name: &Name, algorithm: Algorithm, secret: &[u8]) -> Self {
        let hash = match algorithm {
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha384 => hmac::HMAC_SHA384,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        };
        Self {
            name: name.lower(),
            algorithm,
            secret: hmac::Key::new(hash, secret),
        }
    }

    /// Its name, lower case.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Octets that a signature adds to a message.
    pub fn size(&self) -> usize {
        self.variables(0).size(self.algorithm.size())
    }

    fn variables(&self, time: u64) -> Variables<'_> {
        Variables {
            owner: self.name.wire(),
            algorithm: self.algorithm.wire(),
            time,
            fudge: FUDGE,
            error: 0,
            other: b"",
        }
    }

    /// A signature in the making that begins with the one before (RFC 8945 section 5.3).
    fn after(&self, mac: &[u8]) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(&(mac.len() as u16).to_be_bytes()); // from a field of this size
        context.update(mac);
        context
    }
}
