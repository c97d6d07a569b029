//! Bodies of the storage protocol, "Great Black Swamp" version 1, as CBOR.
//!
//! Source: `docs/specifications/http-storage-node-protocol.rst`; types of keys and the tag of sets
//! are as the official server's and client's CDDL have them. Readers take definite and indefinite
//! lengths, pass unknown keys over, and hold every count against a limit; how long a body may be
//! is for who reads it ([`MAX_BODY`], [`MAX_ALLOCATE`]).

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use read::{decode_corrupt, decode_required, decode_shares};
pub use write::{encode_corrupt, encode_required, encode_shares};

/// Media type of all bodies but shares.
pub const CBOR: &str = "application/cbor";
/// Longest body of a request to allocate, in bytes.
pub const MAX_ALLOCATE: usize = 8 * 1024;
/// Longest other CBOR body that the official programs read, in bytes.
pub const MAX_BODY: usize = 30 * 1024 * 1024;
/// How many tests and reads one request may have for a share.
pub const MAX_VECTORS: usize = 30;
/// Longest reason in a message that a share is corrupt, in bytes.
pub const MAX_REASON: usize = 32765;
/// The protocol's name, a key of [`Version`].
pub const PROTOCOL: &[u8] = b"http://allmydata.org/tahoe/protocols/storage/v1";

/// Number of a share; an encoding has at most 256.
pub type ShareNumber = u8;

/// A set of share numbers, CBOR tag 258.
pub type Shares = BTreeSet<ShareNumber>;

/// A body that is not what it should be.
#[derive(Debug)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed message: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Answer to `GET /storage/v1/version`: what a server is and has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Longest immutable share, in bytes.
    pub maximum_immutable: u64,
    /// Longest mutable share, in bytes.
    pub maximum_mutable: u64,
    /// Room for new shares, in bytes.
    pub available: u64,
    /// Name and version of the program.
    pub application: Vec<u8>,
}

/// Body of `POST /storage/v1/immutable/SI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocate {
    /// The shares to make.
    pub shares: Shares,
    /// Length of each, in bytes.
    pub size: u64,
}

/// Its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// Shares that are there, whole.
    pub already_have: Shares,
    /// Shares that may be written now.
    pub allocated: Shares,
}

/// Part of a share, in bytes: from `begin` up to but not with `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub begin: u64,
    /// Byte after the last.
    pub end: u64,
}

/// A test of a mutable share: what is at `offset`, cut at its end, is `specimen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// First byte.
    pub offset: u64,
    /// How many bytes are compared.
    pub size: u64,
    /// What they must be.
    pub specimen: Vec<u8>,
}

/// A write to a mutable share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// First byte.
    pub offset: u64,
    /// What is put there.
    pub data: Vec<u8>,
}

/// A read of every mutable share of a storage index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// First byte.
    pub offset: u64,
    /// How many bytes at most.
    pub size: u64,
}

/// What is tested of and written to one mutable share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestWrite {
    /// All must hold, for this share and the others.
    pub tests: Vec<Test>,
    /// In order.
    pub writes: Vec<Write>,
    /// Length to cut to afterwards; 0 deletes the share.
    pub new_length: Option<u64>,
}

/// Body of `POST /storage/v1/mutable/SI/read-test-write`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadTestWrite {
    /// By share.
    pub vectors: BTreeMap<ShareNumber, TestWrite>,
    /// Read from all shares before anything is written.
    pub reads: Vec<Read>,
}

/// Its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadTestWritten {
    /// Whether every test held, so that everything was written.
    pub success: bool,
    /// What the reads found, by share and in their order.
    pub data: BTreeMap<ShareNumber, Vec<Vec<u8>>>,
}
