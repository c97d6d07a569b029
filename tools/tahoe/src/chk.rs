//! Immutable files, "CHK": encrypted by a key that may be derived from the contents, cut into
//! segments, each of which is erasure coded into a block for every share.
//! Sources: `docs/specifications/file-encoding.rst`, `URI-extension.rst`;
//! `src/allmydata/immutable/encode.py`, `layout.py`, `upload.py`.
//!
//! To write: [`Parameters`], a key ([`Convergence`] or random), [`Encoder`]. To read: [`Decoder`]
//! for the file, [`Share`] for each share; they say which bytes they need.

mod decoder;
mod encoder;
mod layout;
mod parameters;
mod segment;
mod share;
#[cfg(test)]
mod tests;
mod ueb;

pub use decoder::Decoder;
pub use encoder::{Encoded, Encoder};
pub use layout::Layout;
pub use parameters::{Convergence, DEFAULT_SEGMENT, MAX_SEGMENT, Parameters};
pub use segment::Segment;
pub use share::{HEAD, Need, Part, Share};
pub use ueb::{MAX_UEB, Ueb};
