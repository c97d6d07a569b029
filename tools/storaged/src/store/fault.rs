//! Why the store did not do something.

use std::fmt;
use std::io;

/// What went wrong.
#[derive(Debug)]
pub enum Fault {
    /// There is no such share, or no such upload.
    NotFound,
    /// The share is whole already.
    Complete,
    /// The secret is another one.
    WrongSecret,
    /// Other bytes are there already, or a share of the other kind.
    Conflict,
    /// Outside of what was said, or longer than any share may be.
    OutOfRange,
    /// The quota or the disk is full.
    NoSpace,
    /// The account, or all together, have as many as they may.
    TooMany,
    /// The answer would be too long.
    TooLarge,
    /// The disk or the database failed.
    Disk(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is none",
            Self::Complete => "the share is whole",
            Self::WrongSecret => "the secret is another",
            Self::Conflict => "something else is there",
            Self::OutOfRange => "outside of the share",
            Self::NoSpace => "no space is left",
            Self::TooMany => "there are too many",
            Self::TooLarge => "the answer would be too long",
            Self::Disk(why) => why,
        })
    }
}

impl std::error::Error for Fault {}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Disk(format!("the disk fails: {error}")),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::NoSpace,
            _ => Self::Disk(format!("the database fails: {error}")),
        }
    }
}

/// What the store answers.
pub type Result<T> = std::result::Result<T, Fault>;
