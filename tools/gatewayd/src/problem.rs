//! Why an operation on the grid came to nothing, as clients are told.

use std::fmt;

use hyper::StatusCode;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    /// The request makes no sense.
    Bad,
    /// The cap does not allow it, or the request is from where none is taken.
    Forbidden,
    /// There is nothing of this name.
    NotFound,
    /// Something is in the way, or somebody else changes it all the time.
    Conflict,
    /// Too few good shares can be found.
    Gone,
    /// Longer than what is taken.
    TooLong,
    /// A range that is not there.
    Range,
    /// Not done by this gateway.
    NotSupported,
    /// The grid or this machine cannot do it now.
    Unavailable,
    /// Something here is broken.
    Internal,
}

/// A failure: its kind, and one line.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::new(Reason::Bad, text)
    }

    pub(crate) fn internal(error: impl fmt::Display) -> Self {
        Self::new(Reason::Internal, error.to_string())
    }

    /// As HTTP says it; official clients know these numbers.
    pub(crate) fn status(&self) -> StatusCode {
        match self.reason {
            Reason::Bad => StatusCode::BAD_REQUEST,
            Reason::Forbidden => StatusCode::FORBIDDEN,
            Reason::NotFound => StatusCode::NOT_FOUND,
            Reason::Conflict => StatusCode::CONFLICT,
            Reason::Gone => StatusCode::GONE,
            Reason::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Reason::Range => StatusCode::RANGE_NOT_SATISFIABLE,
            Reason::NotSupported => StatusCode::NOT_IMPLEMENTED,
            Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Problem {}

impl From<guifi_tahoe::Error> for Problem {
    fn from(error: guifi_tahoe::Error) -> Self {
        use guifi_tahoe::Error;
        let reason = match &error {
            Error::Cap(_) | Error::Parameters(_) => Reason::Bad,
            Error::Malformed(..) | Error::Corrupt(_) | Error::TooFew { .. } => Reason::Gone,
            Error::Misuse(_) | Error::Rsa(_) => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<guifi_core::Error> for Problem {
    fn from(error: guifi_core::Error) -> Self {
        Self::new(Reason::Internal, error.to_string())
    }
}
