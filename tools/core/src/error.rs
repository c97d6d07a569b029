//! The one error type that reaches a program's `main`, and what its kinds mean to a script.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What a failure means to the caller; each kind has one exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The operation failed, or the answer is no: exit code 1.
    Failed,
    /// The call makes no sense as written: exit code 2.
    Usage,
    /// A daemon or peer that is needed is absent: exit code 69.
    Unavailable,
    /// The same call may succeed later: exit code 75.
    TryLater,
    /// The caller may not do this: exit code 77.
    NotAllowed,
    /// A configuration file is wrong: exit code 78.
    Config,
}

impl Kind {
    /// The exit code, as sysexits.h numbers it where it has a number.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unavailable => 69,
            Self::TryLater => 75,
            Self::NotAllowed => 77,
            Self::Config => 78,
        }
    }
}

/// A failure: its kind, one line for the user, and a hint at the next step where one is known.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    speech: Speech,
}

/// What `main` makes of an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Speech {
    /// Prints it, exits with its kind.
    Loud,
    /// Exits with its kind: the output already said it.
    Silent,
    /// Ends with success: the reader of the output has seen enough.
    ClosedPipe,
}

impl Error {
    /// An error of `kind`; `message` says attempt, object and cause in one line.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            speech: Speech::Loud,
        }
    }

    /// Short for [`Kind::Failed`].
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// Short for [`Kind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// An exit code without a message, for a command whose output already said it.
    pub fn silent(kind: Kind) -> Self {
        Self {
            kind,
            message: String::new(),
            hint: None,
            speech: Speech::Silent,
        }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failed write to standard output. A reader that went away ends the program without
    /// a word, and with success.
    pub fn stdout(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self {
                speech: Speech::ClosedPipe,
                ..Self::silent(Kind::Failed)
            }
        } else {
            Self::failed(format!("cannot write to standard output: {error}"))
        }
    }

    /// The kind, and so the exit code.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The exit code that `main` ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.speech {
            Speech::ClosedPipe => ExitCode::SUCCESS,
            Speech::Loud | Speech::Silent => ExitCode::from(self.kind.code()),
        }
    }

    /// Puts what was being attempted before the message.
    #[must_use]
    pub fn context(mut self, attempt: impl fmt::Display) -> Self {
        self.message = format!("{attempt}: {}", self.message);
        self
    }

    /// Prints the error on standard error, as the journal or a person reads it.
    pub(crate) fn report(&self, program: &str) {
        if self.speech != Speech::Loud {
            return;
        }
        // Nothing can be done about a closed standard error.
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "{program}: {}", self.message);
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "hint: {hint}");
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
