//! The server's side: requests are checked, answers are signed (RFC 8945 sections 5.2 and 5.3).

use std::sync::Arc;

use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::record::{Found, Variables, find};
use super::{FUDGE, Key, error};
use crate::name::Name;

/// What the signature of a request is worth.
#[derive(Debug)]
pub enum Checked {
    /// There is none.
    Unsigned,
    /// The message cannot be read: the answer is FORMERR, without signature.
    Malformed,
    /// It is good.
    Good {
        /// Signs the answer.
        signer: Signer,
        /// Where the record begins: what comes before is signed.
        at: usize,
    },
    /// It is not: the answer is NOTAUTH.
    Bad(Refusal),
}

/// Checks a request at the time `now`, in seconds since 1970; `key` finds a key by its name in
/// lower case.
pub fn check(message: &[u8], now: u64, key: impl FnOnce(&Name) -> Option<Arc<Key>>) -> Checked {
    let found = match find(message) {
        Ok(None) => return Checked::Unsigned,
        Ok(Some(found)) => found,
        Err(_) => return Checked::Malformed,
    };
    let bad = |error| Checked::Bad(Refusal::unsigned(&found, error));
    let key = key(&found.owner).filter(|key| key.algorithm.wire() == found.algorithm.wire());
    let Some(key) = key else {
        return bad(error::BADKEY);
    };
    let whole = key.algorithm.size();
    // Section 5.2.2.1: less than half is no signature, whatever the policy.
    if !(whole / 2..=whole).contains(&found.mac.len()) {
        return Checked::Malformed;
    }
    let mut context = hmac::Context::with_key(&key.secret);
    found.digest_message(message, &mut context);
    found.variables().digest(&mut context);
    let mac = context.sign();
    if !bool::from(mac.as_ref()[..found.mac.len()].ct_eq(found.mac)) {
        return bad(error::BADSIG);
    }
    let signer = Signer::new(key, found.mac);
    let bad = |error, time| {
        Checked::Bad(Refusal {
            signer: Some(signer.clone()),
            time,
            ..Refusal::unsigned(&found, error)
        })
    };
    if !found.is_fresh(now) {
        return bad(error::BADTIME, found.time);
    }
    if found.mac.len() < whole {
        return bad(error::BADTRUNC, now);
    }
    Checked::Good {
        signer,
        at: found.at,
    }
}

/// Signs the answer to a signed request: one message or several, in their order.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Arc<Key>,
    /// Begins with the signature before.
    context: hmac::Context,
    first: bool,
}

impl Signer {
    fn new(key: Arc<Key>, mac: &[u8]) -> Self {
        let context = key.after(mac);
        Self {
            key,
            context,
            first: true,
        }
    }

    /// The key of the request.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// Signs the next message of the answer. It has a header, and room for [`Key::size`] octets.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        let variables = self.key.variables(now);
        let mut context = self.context.clone();
        context.update(message);
        if self.first {
            variables.digest(&mut context);
        } else {
            variables.digest_timers(&mut context);
        }
        let mac = context.sign();
        variables.append(message, mac.as_ref());
        self.context = self.key.after(mac.as_ref());
        self.first = false;
    }
}

/// Says what is wrong with the signature of a request.
#[derive(Debug)]
pub struct Refusal {
    owner: Name,
    algorithm: Name,
    time: u64,
    error: u16,
    /// If the key is known and the request came from who has it.
    signer: Option<Signer>,
}

impl Refusal {
    fn unsigned(found: &Found<'_>, error: u16) -> Self {
        Self {
            owner: found.owner.clone(),
            algorithm: found.algorithm.clone(),
            time: found.time,
            error,
            signer: None,
        }
    }

    /// The error (see [`error`]).
    pub fn error(&self) -> u16 {
        self.error
    }

    /// Name of the key, lower case.
    pub fn key(&self) -> &Name {
        &self.owner
    }

    /// Completes the answer `message`, which has a header that says NOTAUTH.
    pub fn sign(self, message: &mut Vec<u8>, now: u64) {
        let server_time = now.to_be_bytes();
        let variables = Variables {
            owner: self.owner.wire(),
            algorithm: self.algorithm.wire(),
            time: self.time,
            fudge: FUDGE,
            error: self.error,
            other: match self.error {
                error::BADTIME => &server_time[2..],
                _ => b"",
            },
        };
        let mac = self.signer.map(|signer| {
            let mut context = signer.context;
            context.update(message);
            variables.digest(&mut context);
            context.sign()
        });
        variables.append(message, mac.as_ref().map_or(b"", AsRef::as_ref));
    }
}
