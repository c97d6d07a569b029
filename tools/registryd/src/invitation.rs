//! An invitation as people pass it on: one line of text. Specified in guifi-invitation(5), with
//! a test vector in `tests/fixtures/invitation.json`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use data_encoding::BASE32_NOPAD;
use ed25519_dalek::{Signer as _, SigningKey};
use guifi_streams::Key;
use minicbor::{Decoder, Encoder};
use sha2::{Digest as _, Sha256};

use crate::record::Hash;

/// What the text begins with: what it is, and the version of its format.
pub const PREFIX: &str = "guifi1";
/// Boxes that an invitation names.
pub const MAX_SEEDS: usize = 4;
/// Addresses of each.
pub const MAX_ADDRESSES: usize = 2;
/// The most uses of one invitation.
pub const MAX_USES: u32 = 1024;
/// Characters that are looked at, spaces and line breaks included.
const MAX_TEXT: usize = 2048;
/// Bytes of the check at the end.
const CHECK: usize = 4;

/// An invitation. Whoever has it may join.
#[derive(Clone, Eq, PartialEq)]
pub struct Invitation {
    /// The community.
    pub community: Hash,
    /// The private key whose public key the administrator's `invite` record names.
    right: [u8; 32],
    /// Until when it works, in milliseconds of community time.
    pub end: u64,
    /// Boxes to ask and their addresses.
    pub seeds: Vec<(Key, Vec<SocketAddr>)>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("key", &self.key())
            .field("end", &self.end)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

/// Why a text is no invitation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// It does not begin like one.
    Other,
    /// It is of a later version.
    Version,
    /// It is longer than any.
    Long,
    /// The check fails: a character is missing, too many or wrong.
    Mistyped,
    /// The check holds, and yet it makes no sense.
    Broken,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other => "this is no invitation",
            Self::Version => "the invitation is of a later version than this software",
            Self::Long => "this is too long for an invitation",
            Self::Mistyped => {
                "the invitation is mistyped: a character is missing, too many or wrong"
            }
            Self::Broken => "the invitation makes no sense",
        })
    }
}

impl Invitation {
    /// An invitation with this right: 32 random bytes.
    #[must_use]
    pub fn new(
        community: Hash,
        right: [u8; 32],
        end: u64,
        seeds: Vec<(Key, Vec<SocketAddr>)>,
    ) -> Self {
        Self {
            community,
            right,
            end,
            seeds,
        }
    }

    /// The public key of the right.
    #[must_use]
    pub fn key(&self) -> Key {
        Key(SigningKey::from_bytes(&self.right)
            .verifying_key()
            .to_bytes())
    }

    /// Signs `context`, a zero byte and `message` with the right.
    #[must_use]
    pub fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        SigningKey::from_bytes(&self.right)
            .sign(&[context.as_bytes(), &[0], message].concat())
            .to_bytes()
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let content = self.content();
        let bytes = [content.as_slice(), &check(&content)].concat();
        format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_lowercase())
    }

    fn content(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let mut e = Encoder::new(&mut out);
        let mut written = e
            .array(4)
            .and_then(|e| e.bytes(&self.community))
            .and_then(|e| e.bytes(&self.right))
            .and_then(|e| e.u64(self.end))
            .and_then(|e| e.array(self.seeds.len() as u64))
            .map(|_| ());
        for (key, addresses) in &self.seeds {
            written = written
                .and_then(|()| e.array(addresses.len() as u64 + 1).map(|_| ()))
                .and_then(|()| e.bytes(&key.0).map(|_| ()));
            for address in addresses {
                written = written.and_then(|()| e.bytes(&place(address)).map(|_| ()));
            }
        }
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        out
    }

    /// Reads a text; spaces, line breaks and capitals make no difference.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_TEXT {
            return Err(Unreadable::Long);
        }
        let text: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let Some(code) = text.strip_prefix(PREFIX) else {
            let later = text.strip_prefix("guifi").and_then(|t| t.chars().next());
            return Err(match later {
                Some('0'..='9') => Unreadable::Version,
                _ => Unreadable::Other,
            });
        };
        let bytes = BASE32_NOPAD
            .decode(code.to_ascii_uppercase().as_bytes())
            .map_err(|_| Unreadable::Mistyped)?;
        let (content, sum) = bytes
            .len()
            .checked_sub(CHECK)
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(Unreadable::Mistyped)?;
        if check(content) != sum {
            return Err(Unreadable::Mistyped);
        }
        let read = decode(content).ok_or(Unreadable::Broken)?;
        // One invitation, one text; also refuses trailing bytes.
        if read.content() == content {
            Ok(read)
        } else {
            Err(Unreadable::Broken)
        }
    }
}

fn check(content: &[u8]) -> [u8; CHECK] {
    let hash = Sha256::digest([PREFIX.as_bytes(), content].concat());
    [hash[0], hash[1], hash[2], hash[3]]
}

/// An address as bytes: 4 or 16, then the port.
fn place(address: &SocketAddr) -> Vec<u8> {
    let mut bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend(address.port().to_be_bytes());
    bytes
}

fn decode(content: &[u8]) -> Option<Invitation> {
    let mut d = Decoder::new(content);
    (d.array().ok()? == Some(4)).then_some(())?;
    let community = d.bytes().ok()?.try_into().ok()?;
    let right = d.bytes().ok()?.try_into().ok()?;
    let end = d.u64().ok()?;
    let count = usize::try_from(d.array().ok()??).ok()?;
    (1..=MAX_SEEDS).contains(&count).then_some(())?;
    let mut seeds = Vec::with_capacity(count);
    for _ in 0..count {
        let parts = usize::try_from(d.array().ok()??).ok()?;
        (2..=MAX_ADDRESSES + 1).contains(&parts).then_some(())?;
        let key = Key(d.bytes().ok()?.try_into().ok()?);
        let mut addresses = Vec::with_capacity(parts - 1);
        for _ in 1..parts {
            let (ip, port) = d.bytes().ok()?.split_last_chunk::<2>()?;
            let ip = match ip.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
                16 => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
                _ => return None,
            };
            addresses.push(SocketAddr::new(ip, u16::from_be_bytes(*port)));
        }
        seeds.push((key, addresses));
    }
    Some(Invitation::new(community, right, end, seeds))
}

#[cfg(test)]
mod tests;
