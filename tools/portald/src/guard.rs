//! A reader that knows its line and column, and lets nothing through that is longer than one
//! piece of XML may be: what parses below it needs no more memory than that.

use std::io::{self, BufRead, BufReader, Read};

/// The longest piece, in bytes: a tag, or the text between two tags.
pub const MAX_PIECE: u64 = 1 << 20;

/// A place in a file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl Place {
    /// Where a file begins.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place behind `bytes`.
    #[must_use]
    pub fn after(self, bytes: &[u8]) -> Self {
        let lines = bytes.iter().filter(|b| **b == b'\n').count() as u64;
        let last = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        // Octets that continue a character of UTF-8 are no characters.
        let width = bytes[last..].iter().filter(|b| **b & 0xc0 != 0x80).count() as u64;
        Self {
            line: self.line + lines,
            column: if lines == 0 { self.column } else { 1 } + width,
        }
    }
}

/// The reader.
pub struct Guard<R> {
    inner: BufReader<R>,
    place: Place,
    piece: u64,
}

impl<R: Read> Guard<R> {
    /// Reads from `reader`.
    pub fn new(reader: R) -> Self {
        Self {
            inner: BufReader::with_capacity(64 << 10, reader),
            place: Place::START,
            piece: 0,
        }
    }

    /// How far it was read.
    pub fn place(&self) -> Place {
        self.place
    }

    /// A new piece begins here.
    pub fn begin(&mut self) {
        self.piece = 0;
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Guard<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece > MAX_PIECE {
            let text = format!("a tag or text of more than {MAX_PIECE} bytes");
            return Err(io::Error::other(text));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        let taken = &self.inner.buffer()[..count];
        self.place = self.place.after(taken);
        self.piece += count as u64;
        self.inner.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_characters_are_counted() {
        let place = Place::START.after("abc\nè<".as_bytes());
        assert_eq!(place, Place { line: 2, column: 3 });
        assert_eq!(place.after(b""), place);
        assert_eq!(place.after(b"x").column, 4);
    }
}
