//! The TSIG record at the end of a message (RFC 8945 section 4.2): found, signed over, written.

use hickory_proto::rr::Name as WireName;
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};
use ring::hmac::Context;

use crate::encode::{HEADER, rtype};
use crate::name::Name;

const CLASS_ANY: [u8; 2] = [0, 255];
/// Type, class, time to live and length in front of the data of a record.
const FIXED: usize = 10;

/// What is signed beside the message (RFC 8945 section 4.3.3).
pub(super) struct Variables<'a> {
    /// Name of the key, lower case.
    pub(super) owner: &'a [u8],
    /// Name of the algorithm, lower case.
    pub(super) algorithm: &'a [u8],
    /// Seconds since 1970.
    pub(super) time: u64,
    /// Seconds by which the reader's clock may differ.
    pub(super) fudge: u16,
    /// What is wrong with the request.
    pub(super) error: u16,
    /// The server's time, if the clocks differ too much.
    pub(super) other: &'a [u8],
}

impl Variables<'_> {
    /// Signs all of them.
    pub(super) fn digest(&self, context: &mut Context) {
        context.update(self.owner);
        context.update(&CLASS_ANY);
        context.update(&[0; 4]);
        context.update(self.algorithm);
        self.digest_timers(context);
        context.update(&self.error.to_be_bytes());
        context.update(&(self.other.len() as u16).to_be_bytes()); // from a field of this size
        context.update(self.other);
    }

    /// Signs the times alone, as in the later messages of an answer (section 5.3.1).
    pub(super) fn digest_timers(&self, context: &mut Context) {
        context.update(&self.time.to_be_bytes()[2..]);
        context.update(&self.fudge.to_be_bytes());
    }

    /// Octets of the record with a signature of `mac` octets.
    pub(super) fn size(&self, mac: usize) -> usize {
        self.owner.len() + FIXED + self.data_size(mac)
    }

    fn data_size(&self, mac: usize) -> usize {
        self.algorithm.len() + 16 + mac + self.other.len()
    }

    /// Adds the record to `message`, which has a header.
    pub(super) fn append(&self, message: &mut Vec<u8>, mac: &[u8]) {
        let id = [message[0], message[1]];
        let count = u16::from_be_bytes([message[10], message[11]]).saturating_add(1);
        message[10..HEADER].copy_from_slice(&count.to_be_bytes());
        message.extend_from_slice(self.owner);
        message.extend_from_slice(&rtype::TSIG.to_be_bytes());
        message.extend_from_slice(&CLASS_ANY);
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&(self.data_size(mac.len()) as u16).to_be_bytes()); // under 700
        message.extend_from_slice(self.algorithm);
        message.extend_from_slice(&self.time.to_be_bytes()[2..]);
        message.extend_from_slice(&self.fudge.to_be_bytes());
        message.extend_from_slice(&(mac.len() as u16).to_be_bytes()); // at most 64
        message.extend_from_slice(mac);
        message.extend_from_slice(&id);
        message.extend_from_slice(&self.error.to_be_bytes());
        message.extend_from_slice(&(self.other.len() as u16).to_be_bytes()); // at most 6
        message.extend_from_slice(self.other);
    }
}

/// A TSIG record that stands in a message.
pub(super) struct Found<'a> {
    /// Where it begins.
    pub(super) at: usize,
    /// Name of the key, lower case.
    pub(super) owner: Name,
    /// Name of the algorithm, lower case.
    pub(super) algorithm: Name,
    /// Seconds since 1970.
    pub(super) time: u64,
    /// Seconds by which the reader's clock may differ.
    pub(super) fudge: u16,
    /// The signature.
    pub(super) mac: &'a [u8],
    /// What the message was called when it was signed.
    id: [u8; 2],
    /// What is wrong with the request.
    pub(super) error: u16,
    /// The server's time, if the clocks differ too much.
    pub(super) other: &'a [u8],
}

/// The message cannot be read up to its signature, or that stands where it must not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// The signature of `message`, if it has one.
pub(super) fn find(message: &[u8]) -> Result<Option<Found<'_>>, Malformed> {
    let Some(header) = message.get(..HEADER) else {
        return Err(Malformed);
    };
    let [questions, answers, authorities, additionals] =
        [4, 6, 8, 10].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    if additionals == 0 {
        return Ok(None);
    }
    let mut at = HEADER;
    for _ in 0..questions {
        at = skip_name(message, at).ok_or(Malformed)? + 4;
    }
    let before = u32::from(answers) + u32::from(authorities);
    let all = before + u32::from(additionals);
    for number in 1..=all {
        let data = skip_name(message, at).ok_or(Malformed)? + FIXED;
        let fixed = message.get(data - FIXED..data).ok_or(Malformed)?;
        let end = data + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        if [fixed[0], fixed[1]] == rtype::TSIG.to_be_bytes() {
            let last = number == all && number > before && end == message.len();
            let sound = last && fixed[2..4] == CLASS_ANY && fixed[4..8] == [0; 4];
            let found = sound.then(|| read(message, at, data)).flatten();
            return found.map(Some).ok_or(Malformed);
        }
        at = end;
    }
    Ok(None)
}

/// Where the name that begins at `at` ends.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + length,
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

fn read(message: &[u8], at: usize, data: usize) -> Option<Found<'_>> {
    let name = |at: usize| {
        let mut decoder = BinDecoder::new(message).clone(u16::try_from(at).ok()?);
        let name = WireName::read(&mut decoder).ok()?;
        Some((Name::from_labels(name.iter())?.lower(), decoder.index()))
    };
    let (owner, _) = name(at)?;
    let (algorithm, end) = name(data)?;
    let (fixed, rest) = message.get(end..)?.split_first_chunk::<10>()?;
    let size = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let (mac, rest) = rest.split_at_checked(size)?;
    let (tail, other) = rest.split_first_chunk::<6>()?;
    let mut time = [0; 8];
    time[2..].copy_from_slice(&fixed[..6]);
    (usize::from(u16::from_be_bytes([tail[4], tail[5]])) == other.len()).then_some(Found {
        at,
        owner,
        algorithm,
        time: u64::from_be_bytes(time),
        fudge: u16::from_be_bytes([fixed[6], fixed[7]]),
        mac,
        id: [tail[0], tail[1]],
        error: u16::from_be_bytes([tail[2], tail[3]]),
        other,
    })
}

impl Found<'_> {
    /// What is signed beside the message.
    pub(super) fn variables(&self) -> Variables<'_> {
        Variables {
            owner: self.owner.wire(),
            algorithm: self.algorithm.wire(),
            time: self.time,
            fudge: self.fudge,
            error: self.error,
            other: self.other,
        }
    }

    /// Signs the message in front of the record, as it was when it was signed.
    pub(super) fn digest_message(&self, message: &[u8], context: &mut Context) {
        let mut header = [0; HEADER];
        header.copy_from_slice(&message[..HEADER]);
        header[..2].copy_from_slice(&self.id);
        let count = u16::from_be_bytes([header[10], header[11]]) - 1; // this record
        header[10..].copy_from_slice(&count.to_be_bytes());
        context.update(&header);
        context.update(&message[HEADER..self.at]);
    }

    /// Whether the clocks agree, as far as the sender demands it.
    pub(super) fn is_fresh(&self, now: u64) -> bool {
        self.time.abs_diff(now) <= u64::from(self.fudge)
    }
}
