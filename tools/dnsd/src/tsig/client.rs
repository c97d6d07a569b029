//! The client's side: requests are signed, answers are checked (RFC 8945 sections 5.1 and 5.4).

use std::fmt;
use std::sync::Arc;

use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::record::{Found, find};
use super::{Key, error};

/// Messages without signature that may stand between two with one (section 5.3.1).
const UNSIGNED: u8 = 99;

/// Signs a request at the time `now`, in seconds since 1970, and waits for its answer.
pub fn sign(key: &Arc<Key>, message: &mut Vec<u8>, now: u64) -> Verifier {
    let variables = key.variables(now);
    let mut context = hmac::Context::with_key(&key.secret);
    context.update(message);
    variables.digest(&mut context);
    let mac = context.sign();
    variables.append(message, mac.as_ref());
    Verifier {
        context: key.after(mac.as_ref()),
        key: key.clone(),
        first: true,
        unsigned: 0,
    }
}

/// Checks the answer to a signed request: one message or several, in their order.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: Arc<Key>,
    /// Begins with the signature before, and has all messages since.
    context: hmac::Context,
    first: bool,
    /// Messages since the last signature.
    unsigned: u8,
}

/// Why an answer is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It cannot be read up to its signature.
    Malformed,
    /// It has no signature, or too few of its messages have one.
    Unsigned,
    /// It is signed with another key, or by another algorithm.
    Key,
    /// Its signature is wrong.
    Signature,
    /// It was signed at this time, in seconds since 1970, too far from ours.
    Time(u64),
    /// The server does not believe the request: one of [`error`].
    Refused(u16),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the signature cannot be read"),
            Self::Unsigned => f.write_str("there is no signature"),
            Self::Key => f.write_str("it is signed with another key"),
            Self::Signature => f.write_str("the signature is wrong: the secrets differ"),
            Self::Time(theirs) => write!(f, "the clocks differ: it is signed at {theirs}"),
            Self::Refused(error::BADKEY) => f.write_str("the server does not know the key"),
            Self::Refused(error::BADSIG) => {
                f.write_str("the server finds the signature wrong: the secrets differ")
            }
            Self::Refused(error::BADTRUNC) => f.write_str("the server wants a longer signature"),
            Self::Refused(number) => write!(f, "the server refuses the signature: {number}"),
        }
    }
}

impl Verifier {
    /// Checks the next message of the answer, received at the time `now`.
    ///
    /// # Errors
    /// Why it, and all since the last signature, must not be used.
    pub fn check(&mut self, message: &[u8], now: u64) -> Result<(), Fault> {
        let Some(found) = find(message).map_err(|_| Fault::Malformed)? else {
            if self.first || self.unsigned == UNSIGNED {
                return Err(Fault::Unsigned);
            }
            self.unsigned += 1;
            self.context.update(message);
            return Ok(());
        };
        if found.owner != self.key.name || found.algorithm.wire() != self.key.algorithm.wire() {
            return Err(Fault::Key);
        }
        if matches!(found.error, error::BADKEY | error::BADSIG) && found.mac.is_empty() {
            return Err(Fault::Refused(found.error));
        }
        let mut context = self.context.clone();
        found.digest_message(message, &mut context);
        let variables = found.variables();
        if self.first {
            variables.digest(&mut context);
        } else {
            variables.digest_timers(&mut context);
        }
        let mac = context.sign();
        if !bool::from(mac.as_ref().ct_eq(found.mac)) {
            return Err(Fault::Signature);
        }
        match found.error {
            0 => {}
            error::BADTIME => return Err(Fault::Time(server_time(&found))),
            number => return Err(Fault::Refused(number)),
        }
        if !found.is_fresh(now) {
            return Err(Fault::Time(found.time));
        }
        self.context = self.key.after(mac.as_ref());
        (self.first, self.unsigned) = (false, 0);
        Ok(())
    }

    /// Whether the last message was signed, as that of a whole answer is.
    pub fn is_complete(&self) -> bool {
        !self.first && self.unsigned == 0
    }
}

/// The time that a server says it has (section 5.2.3).
fn server_time(found: &Found<'_>) -> u64 {
    let octets = found.other.iter().take(6);
    octets.fold(0, |time, octet| time << 8 | u64::from(*octet))
}
