//! The list of members that registryd gives to peerd, a sealed memory file of JSON.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};
use serde::{Deserialize, Serialize};

use crate::Key;

/// The largest configuration that is read, in bytes (20,000 members take 4 MiB).
const MAX_BYTES: u64 = 64 << 20;

/// Who the members are and where they were last seen.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Configuration {
    /// Identity of the community; none: go offline.
    pub community: Option<String>,
    /// Name of the community.
    #[serde(default)]
    pub name: String,
    /// The members, this box among them or not.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Keys that may not speak with this box.
    #[serde(default)]
    pub banned: Vec<Key>,
}

/// One member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Member {
    /// Its key.
    pub key: Key,
    /// Where its UDP port is.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
    /// What it relays with, if it does.
    #[serde(default)]
    pub relay: Option<RelayPorts>,
    /// The members at whose relays it can be met.
    #[serde(default)]
    pub relays: Vec<Key>,
    /// Where it is in the space of round trips.
    #[serde(default)]
    pub coordinate: Option<Coordinate>,
}

impl Member {
    /// A member of which nothing more is known.
    #[must_use]
    pub fn new(key: Key, addresses: Vec<SocketAddr>) -> Self {
        Self {
            key,
            addresses,
            relay: None,
            relays: Vec::new(),
            coordinate: None,
        }
    }
}

/// A place in the space of round trips: the way between two places is their distance and the
/// sum of their heights. Microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Coordinate {
    /// Where it is.
    pub x_us: i32,
    /// Where it is.
    pub y_us: i32,
    /// Where it is.
    pub z_us: i32,
    /// The way to the network.
    pub height_us: u32,
    /// How far off guesses are, in thousandths.
    pub error_permille: u32,
}

/// A member that relays for the others, at its addresses.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RelayPorts {
    /// Port of QUIC.
    pub udp: u16,
    /// Port of the relay.
    pub tcp: u16,
    /// SHA-256 of the relay's certificate, base32 as a key.
    pub certificate: String,
}

impl Configuration {
    /// The sealed memory file that `Configure` carries.
    ///
    /// # Errors
    /// Those of the system.
    pub fn to_memory_file(&self) -> io::Result<OwnedFd> {
        let descriptor = rustix::fs::memfd_create(
            "guifi-members",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        let mut file = io::BufWriter::new(File::from(descriptor));
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        rustix::fs::fcntl_add_seals(
            &file,
            SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
        )?;
        Ok(file.into())
    }

    /// Reads the memory file from its start.
    ///
    /// # Errors
    /// `InvalidData` for what is not a configuration or is larger than 64 MiB.
    pub fn from_memory_file(descriptor: OwnedFd) -> io::Result<Self> {
        let mut file = File::from(descriptor);
        let kind = file.metadata()?.file_type();
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file"));
        }
        file.rewind()?;
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too large"));
        }
        serde_json::from_slice(&text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}
