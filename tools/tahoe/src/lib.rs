//! The formats and messages of Tahoe-LAFS, without I/O.
//!
//! What a grid's programs agree on, as of tahoe-lafs 1.20: capability strings, tagged hashes, the
//! erasure code, shares of immutable and mutable files, directories, the secrets that servers
//! are given, and the bodies of the storage protocol ("Great Black Swamp", [`gbs`]). Sources are
//! `docs/specifications/` of the repository `tahoe-lafs/tahoe-lafs`; `guifi-tahoe(7)` is our own page.

pub mod announcement;
pub mod base32;
pub mod gbs;
pub mod hash;
