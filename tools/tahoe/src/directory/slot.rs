//! The two places that an entry has for capabilities: one in clear for what reads, one encrypted
//! for what writes.

use sha2::{Digest, Sha256};

use super::{Entry, malformed, text};
use crate::cap::Cap;
use crate::hash::{first16, pair, tagged};
use crate::{Error, Key, aes};

/// Length of the salt before an encrypted cap, in bytes.
const SALT: usize = 16;
/// Length of the code behind it, which readers do not look at, in bytes.
const MAC: usize = 32;

/// The cap in the place for reading. What is there was marked by its place, and is by its text
/// from here on.
pub(super) fn read(text: &str, immutable: bool) -> Option<Cap> {
    if text.is_empty() {
        return None;
    }
    Some(match text.parse::<Cap>() {
        Ok(Cap::Unknown(_)) | Err(_) => {
            let marked = text.starts_with("ro.") || text.starts_with("imm.");
            let mark = match (marked, immutable) {
                (true, _) => "",
                (false, true) => "imm.",
                (false, false) => "ro.",
            };
            Cap::Unknown(format!("{mark}{text}"))
        }
        Ok(known) => known.to_readonly().unwrap_or(known),
    })
}

/// The text for the place for reading, without a mark that the place implies.
pub(super) fn unmarked(entry: &Entry, immutable: bool) -> String {
    let derived = || entry.write.as_ref().and_then(Cap::to_readonly);
    let Some(cap) = entry.read.clone().or_else(derived) else {
        return String::new();
    };
    let cap = cap.to_readonly().unwrap_or(cap).to_string();
    let implied = if immutable { "imm." } else { "ro." };
    match cap
        .strip_prefix(implied)
        .or_else(|| cap.strip_prefix("ro."))
    {
        Some(rest) => rest.to_owned(),
        None => cap,
    }
}

/// The contents of the place for writing; a cap that is not there leaves 48 bytes.
pub(super) fn encrypt(writekey: &Key, cap: Option<&Cap>) -> Vec<u8> {
    let mut text = cap.map(Cap::to_string).unwrap_or_default().into_bytes();
    let salt = first16(&tagged(b"allmydata_dirnode_child_rwcap_to_salt_v1", &text));
    let key = cap_key(writekey, &salt);
    aes::apply(&key, &mut text);
    let mut slot = salt.to_vec();
    slot.extend_from_slice(&text);
    let mac = mac(&key, &slot);
    slot.extend_from_slice(&mac);
    slot
}

/// The cap in the place for writing.
pub(super) fn decrypt(writekey: &Key, slot: &[u8]) -> Result<Option<Cap>, Error> {
    let cut = malformed("an encrypted cap is cut");
    let (salt, rest) = slot.split_first_chunk::<SALT>().ok_or(cut.clone())?;
    let length = rest.len().checked_sub(MAC).ok_or(cut.clone())?;
    let mut bytes = rest.get(..length).ok_or(cut)?.to_vec();
    aes::apply(&cap_key(writekey, salt), &mut bytes);
    let text = text(&bytes)?.trim_end_matches(' ');
    if text.is_empty() {
        return Ok(None);
    }
    let cap = text.parse();
    Ok(Some(cap.unwrap_or_else(|_| Cap::Unknown(text.to_owned()))))
}

fn cap_key(writekey: &Key, salt: &[u8; SALT]) -> Key {
    let tag = b"allmydata_mutable_writekey_and_salt_to_dirnode_child_capkey_v1";
    first16(&pair(tag, salt, writekey))
}

/// As HMAC, but that the key is not filled up to a block.
fn mac(key: &Key, bytes: &[u8]) -> [u8; MAC] {
    let masked = |mask: u8| key.map(|byte| byte ^ mask);
    let inner = Sha256::new().chain_update(masked(0x36)).chain_update(bytes);
    let outer = Sha256::new().chain_update(masked(0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}
