//! What can be wrong with what others wrote, or asked of us.

use std::fmt;

/// A refusal. Texts say what is wrong, not what was attempted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A text is not a capability; why.
    Cap(&'static str),
    /// Bytes are not of their format; which, and why.
    Malformed(&'static str, &'static str),
    /// Bytes are not those that were written, by a hash or signature; which.
    Corrupt(&'static str),
    /// Numbers that no file can have.
    Parameters(&'static str),
    /// Too few shares to bring back a segment or file.
    TooFew {
        /// How many there are.
        have: usize,
        /// How many it takes.
        need: usize,
    },
    /// Calls in an order that makes no sense, or more or fewer bytes than were asked for.
    Misuse(&'static str),
    /// The library for RSA keys refuses.
    Rsa(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cap(why) => write!(f, "not a capability: {why}"),
            Self::Malformed(what, why) => write!(f, "malformed {what}: {why}"),
            Self::Corrupt(what) => write!(f, "corrupt {what}"),
            Self::Parameters(why) | Self::Misuse(why) => f.write_str(why),
            Self::TooFew { have, need } => write!(f, "{have} shares, but it takes {need}"),
            Self::Rsa(why) => write!(f, "RSA: {why}"),
        }
    }
}

impl std::error::Error for Error {}
