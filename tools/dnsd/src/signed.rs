//! Signed messages at the door: what their signature is worth, and what is told to those whose
//! signature is worth nothing.

use hickory_proto::op::ResponseCode;

use crate::encode::HEADER;
use crate::hosted::rrset::name_at;
use crate::keys::Keys;
use crate::respond::error_header;
use crate::state::now;
use crate::tsig::{Checked, Signer, check as check_signature, error};

/// Checks the signature of a request; gives what signs the answer, and the request without it.
///
/// # Errors
/// The whole answer to a request whose signature is not good.
pub fn check(keys: &Keys, message: &[u8]) -> Result<Option<(Signer, Vec<u8>)>, Vec<u8>> {
    match check_signature(message, now(), |name| keys.key(name)) {
        Checked::Unsigned => Ok(None),
        Checked::Malformed => Err(error_header(message, ResponseCode::FormErr).to_vec()),
        Checked::Good { signer, at } => {
            let mut plain = message[..at].to_vec();
            let more = u16::from_be_bytes([plain[10], plain[11]]) - 1; // the signature
            plain[10..HEADER].copy_from_slice(&more.to_be_bytes());
            Ok(Some((signer, plain)))
        }
        Checked::Bad(refusal) => {
            let why = match refusal.error() {
                error::BADKEY => "there is no such key, or for another algorithm",
                error::BADSIG => "the signature is wrong",
                error::BADTIME => "the clocks differ by more than five minutes",
                _ => "the signature is too short",
            };
            log::debug!("a request with the key {} is refused: {why}", refusal.key());
            let mut answer = said(message, ResponseCode::NotAuth);
            refusal.sign(&mut answer, now());
            Err(answer)
        }
    }
}

/// An answer that says `code` and nothing else, with the question of `message` if there is one.
pub fn said(message: &[u8], code: ResponseCode) -> Vec<u8> {
    let mut answer = error_header(message, code).to_vec();
    let one = message.get(4..6) == Some(&[0, 1]);
    let question = name_at(message, HEADER)
        .filter(|_| one)
        .and_then(|name| message.get(HEADER..HEADER + name.len() + 4));
    if let Some(question) = question {
        answer.extend_from_slice(question);
        answer[5] = 1;
    }
    answer
}
