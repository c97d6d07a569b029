//! Files of all kinds, by what keeps them.

use bytes::{Bytes, BytesMut};
use guifi_tahoe::cap::Object;
use std::ops::Range;

use crate::download::{Bytewise, Content, Reader};
use crate::engine::Engine;
use crate::mutable;
use crate::problem::{Problem, Reason};

/// A file that can be read.
pub(crate) enum Readable {
    /// All of it.
    Memory(Bytes),
    /// From the grid as it is read.
    Grid(Reader, u64),
}

/// The bytes of a range.
pub(crate) enum Reading {
    Memory(Option<Bytes>),
    Grid(Bytewise),
}

/// Opens a file: a mutable one is read at once, so that all of it is of one version.
///
/// # Errors
/// If it may not be read, or cannot.
pub(crate) async fn open(engine: &Engine, object: &Object) -> Result<Readable, Problem> {
    Ok(match object {
        Object::Literal(bytes) => Readable::Memory(bytes.clone().into()),
        Object::Chk(cap) if cap.size == 0 => Readable::Memory(Bytes::new()),
        Object::Chk(cap) => Readable::Grid(Reader::new(engine, cap), cap.size),
        Object::ChkVerifier(_) | Object::Verifier(_) => {
            return Err(Problem::new(
                Reason::Forbidden,
                "this cap allows to check the file, not to read it",
            ));
        }
        Object::Write(_) | Object::Read(_) => {
            Readable::Memory(mutable::read(engine, &mutable::reader(object)?).await?)
        }
    })
}

impl Readable {
    /// Bytes in all.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Grid(_, size) => *size,
        }
    }

    /// The bytes of a range that is within the file.
    pub(crate) fn read(&self, range: Range<u64>) -> Reading {
        match self {
            Self::Grid(reader, _) => Reading::Grid(reader.read(range, Content::Plaintext)),
            Self::Memory(bytes) => {
                let place =
                    |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
                let (start, end) = (place(range.start), place(range.end));
                Reading::Memory(Some(bytes.slice(start..end.max(start))))
            }
        }
    }
}

impl Reading {
    /// The next bytes; nothing at the end.
    ///
    /// # Errors
    /// If there are too few good shares.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match self {
            Self::Memory(bytes) => Ok(bytes.take().filter(|bytes| !bytes.is_empty())),
            Self::Grid(reading) => reading.next().await,
        }
    }
}

/// All of a file that is no longer than `limit` bytes.
///
/// # Errors
/// If it is longer, or cannot be read.
pub(crate) async fn whole(engine: &Engine, object: &Object, limit: u64) -> Result<Bytes, Problem> {
    let file = open(engine, object).await?;
    if file.size() > limit {
        return Err(Problem::new(
            Reason::TooLong,
            format!("longer than {limit} bytes"),
        ));
    }
    let mut all = BytesMut::new();
    let mut reading = file.read(0..file.size());
    while let Some(bytes) = reading.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all.freeze())
}
