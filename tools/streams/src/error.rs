//! What can go wrong for a program that uses peerd.

use std::fmt;
use std::io;
use std::time::Duration;

use guifi_core::{Error, Kind};

use crate::Reason;

/// A failed request.
#[derive(Debug)]
pub enum ClientError {
    /// peerd or the peer says no, and why, in words.
    Refused(Reason, String),
    /// No answer within this time.
    TimedOut(Duration),
    /// The control connection has ended: connect anew.
    Closed,
    /// The socket or a descriptor does not work.
    Io(io::Error),
    /// peerd says what makes no sense.
    Protocol(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason, text) if text.is_empty() => reason.fmt(f),
            Self::Refused(_, text) => f.write_str(text),
            Self::TimedOut(after) => write!(f, "no answer within {} ms", after.as_millis()),
            Self::Closed => f.write_str("guifi-peerd has ended the connection"),
            Self::Io(error) => error.fmt(f),
            Self::Protocol(what) => write!(f, "guifi-peerd speaks strangely: {what}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Refused(reason, _) => Self::new(
                match reason {
                    Reason::NotAllowed => Kind::NotAllowed,
                    Reason::Busy | Reason::TimedOut | Reason::Taken => Kind::TryLater,
                    Reason::NoListener
                    | Reason::Unknown
                    | Reason::Unreachable
                    | Reason::Offline => Kind::Unavailable,
                    Reason::Invalid => Kind::Usage,
                    Reason::Denied | Reason::Failed => Kind::Failed,
                },
                text,
            ),
            ClientError::Io(e) if e.kind() == io::ErrorKind::PermissionDenied => Self::new(
                Kind::NotAllowed,
                format!("cannot reach guifi-peerd: {text}"),
            ),
            ClientError::Io(_) => Self::new(
                Kind::Unavailable,
                format!("cannot reach guifi-peerd: {text}"),
            )
            .hint("systemctl status guifi-peerd"),
            ClientError::TimedOut(_) | ClientError::Closed => Self::new(Kind::Unavailable, text),
            ClientError::Protocol(_) => Self::failed(text),
        }
    }
}
