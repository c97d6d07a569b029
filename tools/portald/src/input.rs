//! A file to be read from its beginning as often as needed, packed with gzip or not, and never
//! more of it than allowed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use flate2::read::MultiGzDecoder;

/// The file.
#[derive(Debug)]
pub struct Input {
    file: File,
    limit: u64,
}

impl Input {
    /// At most `limit` bytes, packed and unpacked.
    ///
    /// # Errors
    /// If it is no ordinary file, which might never end, or too large.
    pub fn new(file: File, limit: u64) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if metadata.len() > limit {
            return Err(too_large(limit));
        }
        Ok(Self { file, limit })
    }

    /// A reader from the beginning. Each has a place of its own.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn reader(&self) -> io::Result<impl Read + use<'_>> {
        let mut magic = [0; 2];
        let plain = At {
            file: &self.file,
            offset: 0,
        };
        let packed = self.file.read_at(&mut magic, 0)? == 2 && magic == [0x1f, 0x8b];
        let inner = if packed {
            Packed::Yes(MultiGzDecoder::new(plain))
        } else {
            Packed::No(plain)
        };
        Ok(Limited {
            inner,
            left: self.limit,
            limit: self.limit,
        })
    }
}

fn too_large(limit: u64) -> io::Error {
    io::Error::other(format!("it has more than {limit} bytes"))
}

struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

enum Packed<'a> {
    No(At<'a>),
    Yes(MultiGzDecoder<At<'a>>),
}

struct Limited<'a> {
    inner: Packed<'a>,
    left: u64,
    limit: u64,
}

impl Read for Limited<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.inner {
            Packed::No(plain) => plain.read(into)?,
            Packed::Yes(packed) => packed.read(into)?,
        };
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(too_large(self.limit)),
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn input(bytes: &[u8], limit: u64) -> io::Result<Input> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Input::new(file, limit)
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packed_and_plain_are_the_same() {
        for bytes in [b"hello".to_vec(), packed(b"hello")] {
            let input = input(&bytes, 100).unwrap();
            for _ in 0..2 {
                let mut text = String::new();
                input.reader().unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(text, "hello");
            }
        }
    }

    #[test]
    fn neither_a_large_file_nor_one_that_unpacks_to_much_is_read() {
        assert!(input(&[b'x'; 101], 100).is_err());
        let bomb = input(&packed(&vec![b'x'; 1 << 20]), 2000).unwrap();
        let error = bomb.reader().unwrap().read_to_end(&mut Vec::new());
        assert_eq!(
            error.unwrap_err().to_string(),
            "it has more than 2000 bytes"
        );
        let pipe = File::open("/dev/null").unwrap();
        assert!(Input::new(pipe, 100).is_err());
    }
}
