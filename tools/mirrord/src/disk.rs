//! What a tree needs of the disk: sums, dates, and names that survive a crash.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256, Sha512};

use crate::release::Release;

/// Links a file below the sums of its content.
pub(crate) fn by_hash(directory: &Path, file: &Path) -> io::Result<()> {
    let (_, sum256, sum512) = sums(file)?;
    for (kind, sum) in [("SHA256", &sum256[..]), ("SHA512", &sum512[..])] {
        let place = directory.join("by-hash").join(kind);
        fs::create_dir_all(&place)?;
        match fs::hard_link(file, place.join(HEXLOWER.encode(sum))) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Size, SHA-256 and SHA-512 of a file.
pub(crate) fn sums(path: &Path) -> io::Result<(u64, [u8; 32], [u8; 64])> {
    let mut file = File::open(path)?;
    let (mut size, mut sum256, mut sum512) = (0, Sha256::new(), Sha512::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, sum256.finalize().into(), sum512.finalize().into()));
        }
        size += read as u64;
        sum256.update(&buffer[..read]);
        sum512.update(&buffer[..read]);
    }
}

/// Writes a new file that is on the disk when this returns.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Gives every index the date of the release: a reader that knows a file from one mirror asks
/// the next one whether it is newer.
pub(crate) fn date_all(directory: &Path, release: &Release) -> io::Result<()> {
    let seconds = u64::try_from(release.date.as_second()).map_err(io::Error::other)?;
    let date = UNIX_EPOCH + Duration::from_secs(seconds);
    for path in files_below(directory)? {
        File::open(path)?.set_modified(date)?;
    }
    Ok(())
}

/// Brings the names in a directory, and below it, to the disk.
pub(crate) fn sync_names(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_names(&entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}

/// Everything below a directory that is no directory.
pub(crate) fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}
