//! DNS cookies (RFC 7873): who comes back with ours has shown that it gets what is sent to its
//! address. Made as RFC 9018 says, with a key for each day that is derived from a secret of the
//! process: nothing is stored for a client, and nothing has to be told to other threads.

use std::hash::Hasher as _;
use std::net::IpAddr;

use guifi_core::Error;
use sha2::{Digest as _, Sha256};
use siphasher::sip::SipHasher24;

use crate::encode::rtype;

/// How old a cookie may be, how much newer than our clock, and when it is replaced (RFC 9018
/// section 4.3), in seconds.
const MAX_AGE: i64 = 3600;
const MAX_AHEAD: i64 = 300;
const RENEW: i64 = 1800;
const DAY: u32 = 86_400;
/// Version 1 and three reserved octets.
const VERSION: [u8; 4] = [1, 0, 0, 0];
/// Octets of an OPT record without options.
const BARE: usize = 11;

/// A cookie as a client sends it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cookie {
    /// The client's own half.
    pub client: [u8; 8],
    /// The half that a server gave it, if it has the form of ours.
    pub server: Option<[u8; 16]>,
}

impl Cookie {
    /// Number of the option.
    pub const OPTION: u16 = 10;
    /// Octets of the option in an answer.
    pub const SIZE: usize = 4 + 24;

    /// Reads the data of the option; `None` if its length is none of RFC 7873 section 4.
    pub fn read(data: &[u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk::<8>()?;
        (server.is_empty() || (8..=32).contains(&server.len())).then(|| Self {
            client: *client,
            server: server.try_into().ok(),
        })
    }
}

/// A cookie for an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Baked {
    /// The client had one of ours that is still good.
    pub valid: bool,
    /// Both halves.
    pub both: [u8; 24],
}

impl Baked {
    /// Adds the cookie to an answer that ends with an OPT record without options, as those of
    /// this crate do; others stay as they are.
    pub fn attach(&self, out: &mut Vec<u8>) {
        let Some((_, [0, 0, number, .., 0, 0])) = out.split_last_chunk::<BARE>() else {
            return;
        };
        if u16::from(*number) != rtype::OPT || out[11] == 0 {
            return;
        }
        out.truncate(out.len() - 2);
        out.extend_from_slice(&(Cookie::SIZE as u16).to_be_bytes());
        out.extend_from_slice(&Cookie::OPTION.to_be_bytes());
        out.extend_from_slice(&(self.both.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.both);
    }
}

/// Makes and knows cookies.
#[derive(Clone)]
pub struct Jar {
    secret: [u8; 32],
    /// The key of one day, the last that was needed.
    day: u32,
    key: [u8; 16],
}

impl Jar {
    /// A jar with a secret of its own.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the system gives no random octets.
    pub fn new() -> Result<Self, Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|e| Error::failed(format!("cannot make a secret: {e}")))?;
        Ok(Self {
            secret,
            day: 0,
            key: derive(&secret, 0),
        })
    }

    /// The cookie for the answer to `client` at `now`, in seconds since 1970.
    pub fn bake(&mut self, cookie: Cookie, client: IpAddr, now: u32) -> Baked {
        let mut both = [0; 24];
        both[..8].copy_from_slice(&cookie.client);
        if let Some(server) = cookie.server {
            let made = u32::from_be_bytes([server[4], server[5], server[6], server[7]]);
            // Wrapped as serials are (RFC 1982): the clock of 2106 begins anew.
            let age = i64::from(now.wrapping_sub(made).cast_signed());
            let head = [server[0], server[1], server[2], server[3]];
            if head[0] == VERSION[0] && (-MAX_AHEAD..=MAX_AGE).contains(&age) {
                let right = self.hash(cookie.client, head, made, client);
                // Compared as numbers, in one step.
                if right == u64::from_le_bytes(*server.last_chunk().unwrap_or(&[0; 8])) {
                    if age < RENEW {
                        both[8..].copy_from_slice(&server);
                    } else {
                        self.fresh(&mut both, cookie.client, client, now);
                    }
                    return Baked { valid: true, both };
                }
            }
        }
        self.fresh(&mut both, cookie.client, client, now);
        Baked { valid: false, both }
    }

    fn fresh(&mut self, both: &mut [u8; 24], theirs: [u8; 8], client: IpAddr, now: u32) {
        both[8..12].copy_from_slice(&VERSION);
        both[12..16].copy_from_slice(&now.to_be_bytes());
        both[16..].copy_from_slice(&self.hash(theirs, VERSION, now, client).to_le_bytes());
    }

    fn hash(&mut self, theirs: [u8; 8], head: [u8; 4], made: u32, client: IpAddr) -> u64 {
        if made / DAY != self.day {
            self.day = made / DAY;
            self.key = derive(&self.secret, self.day);
        }
        hash(&self.key, theirs, head, made, client)
    }
}

fn derive(secret: &[u8; 32], day: u32) -> [u8; 16] {
    let whole = Sha256::new()
        .chain_update(secret)
        .chain_update(day.to_be_bytes())
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&whole[..16]);
    key
}

/// RFC 9018 section 4.4.
fn hash(key: &[u8; 16], theirs: [u8; 8], head: [u8; 4], made: u32, client: IpAddr) -> u64 {
    let mut input = [0; 32];
    input[..8].copy_from_slice(&theirs);
    input[8..12].copy_from_slice(&head);
    input[12..16].copy_from_slice(&made.to_be_bytes());
    let length = match client {
        IpAddr::V4(ip) => {
            input[16..20].copy_from_slice(&ip.octets());
            20
        }
        IpAddr::V6(ip) => {
            input[16..].copy_from_slice(&ip.octets());
            32
        }
    };
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(&input[..length]);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: u32 = 1_800_000_000;
    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn cookie(both: [u8; 24]) -> Cookie {
        Cookie::read(&both).unwrap()
    }

    fn first(jar: &mut Jar) -> [u8; 24] {
        let new = Cookie::read(b"12345678").unwrap();
        let baked = jar.bake(new, CLIENT, NOW);
        assert!(!baked.valid);
        baked.both
    }

    #[test]
    fn the_hash_is_that_of_the_vectors_of_rfc_9018() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let (first, second) = (
            "e5e973e5a6b2a43f48e7dc849e37bfcf",
            "445536bcd2513298075a5d379663c962",
        );
        for (key, cookie, client) in [
            // Appendix A.1 to A.4.
            (
                first,
                "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
                "198.51.100.100",
            ),
            (
                first,
                "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
                "198.51.100.100",
            ),
            (
                first,
                "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
                "203.0.113.203",
            ),
            (
                second,
                "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
            ),
        ] {
            let (key, both) = (hex(key).try_into().unwrap(), hex(cookie));
            let part = |at: usize| -> [u8; 4] { both[at..at + 4].try_into().unwrap() };
            let made = u32::from_be_bytes(part(12));
            let theirs = both[..8].try_into().unwrap();
            let hash = hash(&key, theirs, part(8), made, client.parse().unwrap());
            assert_eq!(hash.to_le_bytes(), both[16..], "{client}");
        }
    }

    #[test]
    fn a_cookie_is_good_for_an_hour_and_one_address() {
        let mut jar = Jar::new().unwrap();
        let both = first(&mut jar);
        for (later, valid, same) in [
            (0, true, true),
            (1700, true, true),
            (1900, true, false),
            (3700, false, false),
        ] {
            let baked = jar.bake(cookie(both), CLIENT, NOW + later);
            assert_eq!((baked.valid, baked.both == both), (valid, same), "{later}");
        }
        assert!(
            jar.bake(cookie(both), CLIENT, NOW - 200).valid,
            "clocks are set back"
        );
        assert!(!jar.bake(cookie(both), CLIENT, NOW - 400).valid);
        assert!(
            !jar.bake(cookie(both), "192.0.2.2".parse().unwrap(), NOW)
                .valid
        );
        assert!(!Jar::new().unwrap().bake(cookie(both), CLIENT, NOW).valid);
        for at in 0..24 {
            let mut forged = both;
            forged[at] ^= 1;
            assert!(!jar.bake(cookie(forged), CLIENT, NOW).valid, "{at}");
        }
    }

    #[test]
    fn midnight_changes_the_key_and_no_good_cookie() {
        let mut jar = Jar::new().unwrap();
        let midnight = NOW / DAY * DAY;
        let new = Cookie::read(b"12345678").unwrap();
        let before = jar.bake(new, CLIENT, midnight - 10);
        let after = jar.bake(cookie(before.both), CLIENT, midnight + 10);
        assert!(after.valid);
        assert_ne!(derive(&jar.secret, 1), derive(&jar.secret, 2));
    }

    #[test]
    fn only_the_lengths_of_the_rfc_are_cookies() {
        let right = |length: &usize| Cookie::read(&vec![7; *length]).is_some();
        let lengths: Vec<usize> = (0..50).filter(right).collect();
        assert_eq!(lengths, [&[8][..], &(16..=40).collect::<Vec<_>>()].concat());
    }
}
