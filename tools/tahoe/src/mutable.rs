//! Mutable files: signed by an RSA key whose hash is in the cap. "SDMF", one segment, is written
//! and read; "MDMF" is not yet.
//! Sources: `docs/specifications/mutable.rst`; `src/allmydata/mutable/layout.py`, `publish.py`,
//! `servermap.py`, `retrieve.py`.

mod keys;
pub mod sdmf;
#[cfg(test)]
mod tests;

pub use keys::{KeyPair, PublicKey};
