//! The sum by which damage to a share is found: CRC-32 of its bytes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use crc32fast::Hasher;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// Size and sum of a file, read with a pause after each piece of at most 64 KiB.
///
/// # Errors
/// Those of the disk.
pub(super) fn of_file(path: &Path, mut pause: impl FnMut(usize)) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut size) = (Hasher::new(), 0);
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = file.read(&mut buffer)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            return Ok((size, hasher.finalize()));
        };
        hasher.update(piece);
        size += count as u64;
        pause(count);
    }
}

/// How long to wait after so many bytes, to read no more than so many in a second.
pub(super) fn pause(bytes: usize, per_second: u64) -> Duration {
    let micros = (bytes as u64).saturating_mul(1_000_000) / per_second.max(1);
    Duration::from_micros(micros)
}
