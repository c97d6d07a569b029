//! The bytes of mutable shares.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use guifi_tahoe::gbs::TestWrite;

/// A share that was written anew.
pub(super) struct New {
    /// Its file in `incoming/`.
    pub(super) name: String,
    /// Its length in bytes.
    pub(super) size: u64,
    /// Its sum.
    pub(super) sum: u32,
}

/// Reads a part, cut at the end of the share.
pub(super) fn read(file: &File, size: u64, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = length.min(size.saturating_sub(offset));
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Writes a share anew: the old bytes, the writes in their order, cut or filled with zeros to
/// its size. Returns its sum; the file is synchronised.
pub(super) fn write_new(
    path: &Path,
    old: Option<&File>,
    vector: &TestWrite,
    size: u64,
) -> io::Result<u32> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    if let Some(old) = old.filter(|_| !is_replaced(vector, size)) {
        // Positions belong to open files, and this one is for this change alone.
        let mut old = old;
        old.rewind()?;
        io::copy(&mut old, &mut file)?;
    }
    for write in &vector.writes {
        // What would be cut off again is not written.
        let room = usize::try_from(size.saturating_sub(write.offset)).unwrap_or(usize::MAX);
        let data = write.data.get(..room).unwrap_or(&write.data);
        file.write_all_at(data, write.offset)?;
    }
    file.set_len(size)?;
    file.sync_all()?;
    Ok(super::super::sum::of_file(path, |_| ())?.1)
}

/// Whether one write leaves nothing of what was there.
fn is_replaced(vector: &TestWrite, size: u64) -> bool {
    vector
        .writes
        .iter()
        .any(|write| write.offset == 0 && write.data.len() as u64 >= size)
}
