//! A file under a passphrase: the format of age, version 1, with the one recipient `scrypt`, so
//! that `age --decrypt` opens one where nothing of ours is installed. Follows the
//! specification at <https://age-encryption.org/v1>; the primitives are those of ring and scrypt.

use data_encoding::BASE64_NOPAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{hkdf, hmac};

const VERSION: &str = "age-encryption.org/v1";
const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
/// Binary logarithm of the work for one passphrase: 64 MiB, and a fifth of a second.
const WORK: u8 = 16;
/// The most work that a file may ask for: 1 GiB.
const MAX_WORK: u8 = 20;
/// Octets of plain text in one piece.
const PIECE: usize = 64 * 1024;
const TAG: usize = 16;
const FILE_KEY: usize = 16;

/// Why a file cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It is something else.
    Foreign,
    /// Its key is not under a passphrase, or under one that costs too much to try.
    Recipient,
    /// The passphrase is another.
    Passphrase,
    /// It was altered, or its end is missing.
    Damaged,
    /// The system has no randomness or no memory.
    System,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Foreign => "it is no sealed file",
            Self::Recipient => "it is not sealed with a passphrase that can be tried here",
            Self::Passphrase => "the passphrase is another",
            Self::Damaged => "the file is damaged or incomplete",
            Self::System => "the system has no randomness or memory left",
        })
    }
}

/// Seals `plain`.
///
/// # Errors
/// [`Fault::System`].
pub fn seal(plain: &[u8], passphrase: &str) -> Result<Vec<u8>, Fault> {
    seal_with(plain, passphrase, WORK)
}

fn seal_with(plain: &[u8], passphrase: &str, work: u8) -> Result<Vec<u8>, Fault> {
    let (salt, file_key, nonce) = (random::<16>()?, random::<FILE_KEY>()?, random::<16>()?);
    let mut body = file_key.to_vec();
    let key = passphrase_key(passphrase, &salt, work)?;
    encrypt(&key, [0; 12], &mut body)?;
    let mut out = format!(
        "{VERSION}\n-> scrypt {} {work}\n{}\n---",
        BASE64_NOPAD.encode(&salt),
        BASE64_NOPAD.encode(&body)
    )
    .into_bytes();
    let mac = hmac::sign(&header_key(&file_key)?, &out);
    out.extend_from_slice(format!(" {}\n", BASE64_NOPAD.encode(mac.as_ref())).as_bytes());
    out.extend_from_slice(&nonce);
    let key = payload_key(&file_key, &nonce)?;
    let mut pieces = plain.chunks(PIECE).peekable();
    let mut number = 0;
    loop {
        let mut piece = pieces.next().unwrap_or_default().to_vec();
        let last = pieces.peek().is_none();
        encrypt(&key, piece_nonce(number, last), &mut piece)?;
        out.extend_from_slice(&piece);
        if last {
            return Ok(out);
        }
        number += 1;
    }
}

/// Opens what [`seal`] or age has sealed.
///
/// # Errors
/// A [`Fault`]; nothing of the content is given away before all of it is known to be whole.
pub fn open(sealed: &[u8], passphrase: &str) -> Result<Vec<u8>, Fault> {
    let header = Header::parse(sealed)?;
    let key = passphrase_key(passphrase, &header.salt, header.work)?;
    let mut body = header.body;
    let file_key = decrypt(&key, [0; 12], &mut body).ok_or(Fault::Passphrase)?;
    if file_key.len() != FILE_KEY {
        return Err(Fault::Damaged);
    }
    hmac::verify(&header_key(file_key)?, header.covered, &header.mac)
        .map_err(|_| Fault::Damaged)?;
    let (nonce, mut rest) = header.payload.split_at_checked(16).ok_or(Fault::Damaged)?;
    let key = payload_key(file_key, nonce)?;
    let mut plain = Vec::with_capacity(rest.len());
    let mut number = 0;
    loop {
        let (piece, more) = rest.split_at(rest.len().min(PIECE + TAG));
        let last = more.is_empty();
        let mut piece = piece.to_vec();
        let content = decrypt(&key, piece_nonce(number, last), &mut piece).ok_or(Fault::Damaged)?;
        if content.is_empty() && number > 0 {
            return Err(Fault::Damaged);
        }
        plain.extend_from_slice(content);
        if last {
            return Ok(plain);
        }
        (rest, number) = (more, number + 1);
    }
}

/// The header of a sealed file.
struct Header<'a> {
    salt: Vec<u8>,
    work: u8,
    body: Vec<u8>,
    /// What the code of the header covers.
    covered: &'a [u8],
    mac: Vec<u8>,
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(sealed: &'a [u8]) -> Result<Self, Fault> {
        let mut rest = sealed;
        let mut line = || {
            let end = rest.iter().take(100).position(|&byte| byte == b'\n')?;
            let text = std::str::from_utf8(&rest[..end]).ok()?;
            rest = &rest[end + 1..];
            Some(text)
        };
        if line() != Some(VERSION) {
            return Err(Fault::Foreign);
        }
        let stanza = line().ok_or(Fault::Damaged)?;
        let words: Vec<&str> = stanza.split(' ').collect();
        let ["->", "scrypt", salt, work] = words[..] else {
            return Err(Fault::Recipient);
        };
        let work = work.parse::<u8>().ok().filter(|work| *work > 0);
        let body = line().ok_or(Fault::Damaged)?;
        let mac = line().ok_or(Fault::Damaged)?;
        // The only recipient, as the format demands for passphrases.
        let mac = mac.strip_prefix("--- ").ok_or(Fault::Recipient)?;
        let decode = |text: &str| {
            BASE64_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| Fault::Damaged)
        };
        let covered = sealed.len() - rest.len() - mac.len() - 2;
        Ok(Self {
            salt: decode(salt)?,
            work: work
                .filter(|work| *work <= MAX_WORK)
                .ok_or(Fault::Recipient)?,
            body: decode(body)?,
            covered: &sealed[..covered],
            mac: decode(mac)?,
            payload: rest,
        })
    }
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Fault::System)?;
    Ok(bytes)
}

fn passphrase_key(passphrase: &str, salt: &[u8], work: u8) -> Result<[u8; 32], Fault> {
    let mut key = [0; 32];
    let parameters = scrypt::Params::new(work, 8, 1).map_err(|_| Fault::Recipient)?;
    scrypt::scrypt(
        passphrase.as_bytes(),
        &[LABEL, salt].concat(),
        &parameters,
        &mut key,
    )
    .map_err(|_| Fault::System)?;
    Ok(key)
}

fn derive(secret: &[u8], salt: &[u8], purpose: &[u8]) -> Result<[u8; 32], Fault> {
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(&mut key))
        .map_err(|_| Fault::System)?;
    Ok(key)
}

fn header_key(file_key: &[u8]) -> Result<hmac::Key, Fault> {
    let key = derive(file_key, &[], b"header")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

fn payload_key(file_key: &[u8], nonce: &[u8]) -> Result<[u8; 32], Fault> {
    derive(file_key, nonce, b"payload")
}

fn piece_nonce(number: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, Fault> {
    UnboundKey::new(&CHACHA20_POLY1305, key)
        .map(LessSafeKey::new)
        .map_err(|_| Fault::System)
}

fn encrypt(key: &[u8; 32], nonce: [u8; 12], piece: &mut Vec<u8>) -> Result<(), Fault> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    cipher(key)?
        .seal_in_place_append_tag(nonce, Aad::empty(), piece)
        .map_err(|_| Fault::System)
}

fn decrypt<'a>(key: &[u8; 32], nonce: [u8; 12], piece: &'a mut [u8]) -> Option<&'a [u8]> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let plain = cipher(key)
        .ok()?
        .open_in_place(nonce, Aad::empty(), piece)
        .ok()?;
    Some(plain)
}

#[cfg(test)]
mod tests;
