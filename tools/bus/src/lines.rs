//! JSON lines in a memory file, the way bulk data travels on the bus.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};

use guifi_core::Error;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::de::DeserializeOwned;
use zbus::OwnedFd;

/// The largest document that is read, in bytes: a million records.
const MAX_BYTES: u64 = 1 << 30;

/// Reads every line of a file got from a daemon.
///
/// # Errors
/// [`guifi_core::Kind::Failed`] if a line is not the JSON expected.
pub fn read_lines<T: DeserializeOwned>(fd: OwnedFd) -> Result<Vec<T>, Error> {
    each_line(fd)?.collect()
}

/// The lines of a file got from a daemon one by one: all at once would cost the memory of a
/// large community several times over.
///
/// # Errors
/// [`guifi_core::Kind::Failed`] if the file cannot be read or a line is not the JSON expected.
pub fn each_line<T: DeserializeOwned>(
    fd: OwnedFd,
) -> Result<impl Iterator<Item = Result<T, Error>>, Error> {
    let broken = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read the answer: {e}"));
    let mut file = File::from(std::os::fd::OwnedFd::from(fd));
    file.rewind().map_err(|e| broken(&e))?;
    Ok(BufReader::new(file.take(MAX_BYTES))
        .lines()
        .map(move |line| {
            let line = line.map_err(|e| broken(&e))?;
            serde_json::from_str(&line).map_err(|e| broken(&e))
        }))
}

/// Makes a sealed file of `text`, to be handed to a caller.
///
/// # Errors
/// [`guifi_core::Kind::Failed`] if there is no memory for it.
pub fn sealed_file(text: &[u8]) -> Result<OwnedFd, Error> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot make a memory file: {e}"));
    let fd = memfd_create("guifi", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(|e| failed(e.into()))?;
    let mut file = File::from(fd);
    file.write_all(text).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals).map_err(|e| failed(e.into()))?;
    Ok(std::os::fd::OwnedFd::from(file).into())
}
