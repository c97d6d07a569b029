//! Why a request to a server came to nothing.

use std::fmt;

use guifi_tahoe::gbs::Malformed;
use hyper::StatusCode;

/// The reason.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It does not answer: not reached, or not in time.
    Absent(String),
    /// It was left alone, since it did not answer just before.
    Resting,
    /// It said no.
    Refused(StatusCode, String),
    /// Its answer makes no sense.
    Nonsense(String),
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Self {
        Self::Nonsense(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(reason) => write!(f, "no answer: {reason}"),
            Self::Resting => f.write_str("no answer a moment ago"),
            Self::Refused(status, text) if text.is_empty() => write!(f, "refused: {status}"),
            Self::Refused(status, text) => write!(f, "refused: {status}: {text}"),
            Self::Nonsense(what) => write!(f, "an answer that makes no sense: {what}"),
        }
    }
}

impl std::error::Error for Failure {}
