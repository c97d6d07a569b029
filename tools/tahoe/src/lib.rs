//! The formats and messages of Tahoe-LAFS, without I/O.
//!
//! What a grid's programs agree on, as of tahoe-lafs 1.20: capability strings, tagged hashes, the
//! erasure code, shares of immutable and mutable files, directories, the secrets that servers
//! are given, and the bodies of the storage protocol ("Great Black Swamp", [`gbs`]). Sources are
//! `docs/specifications/` of the repository `tahoe-lafs/tahoe-lafs`; `guifi-tahoe(7)` is our own page.

pub mod aes;
pub mod announcement;
pub mod base32;
pub mod cap;
pub mod chk;
pub mod directory;
pub mod erasure;
mod error;
pub mod gbs;
pub mod hash;
pub mod merkle;
pub mod mutable;
pub mod placement;
pub mod secrets;

pub use error::Error;
pub use gbs::ShareNumber;

/// An AES-128 key: of a file, or a write, read or data key of a mutable file.
pub type Key = [u8; 16];

/// The name under which servers hold the shares of a file.
pub type StorageIndex = [u8; 16];

/// How many shares a file is cut into, and how many of them bring it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    needed: u16,
    total: u16,
}

impl Encoding {
    /// `needed` of `total` shares; 1 ≤ needed ≤ total ≤ 256.
    ///
    /// # Errors
    /// If they are not so.
    pub fn new(needed: u16, total: u16) -> Result<Self, Error> {
        if needed == 0 || needed > total || total > 256 {
            return Err(Error::Parameters(
                "shares must be 1 to 256, and no more needed than made",
            ));
        }
        Ok(Self { needed, total })
    }

    /// How many shares bring the file back, 1 to 256 ("k").
    #[must_use]
    pub fn needed(self) -> usize {
        self.needed.into()
    }

    /// How many shares there are, 1 to 256 ("n").
    #[must_use]
    pub fn total(self) -> usize {
        self.total.into()
    }
}
