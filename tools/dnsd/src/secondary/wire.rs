//! Records out of other servers' messages, octet by octet as they were sent: only the names in
//! them are written out in full (RFC 1035 section 4.1.4). Types that are not known keep their
//! data as it is, as RFC 3597 section 4 has it.

use crate::encode::rtype;
use crate::hosted::rrset::Record;
use crate::name::{MAX_LABEL, MAX_NAME, Name};

/// What the data of a type is made of, as far as there are names in it.
#[derive(Clone, Copy)]
enum Part {
    /// So many octets.
    Octets(usize),
    /// A name, which may be compressed.
    Name,
    /// So many character strings.
    Strings(usize),
}

/// The parts of the data of a type; `None` if it has no name that may be compressed.
fn parts(rtype: u16) -> Option<&'static [Part]> {
    use Part::{Name, Octets, Strings};
    Some(match rtype {
        rtype::A => &[Octets(4)],
        rtype::AAAA => &[Octets(16)],
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME.
        2..=5 | 7..=9 | 12 | 39 => &[Name],
        rtype::SOA => &[Name, Name, Octets(20)],
        // MINFO, RP.
        14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX.
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // PX.
        26 => &[Octets(2), Name, Name],
        rtype::SRV => &[Octets(6), Name],
        // NAPTR.
        35 => &[Octets(4), Strings(3), Name],
        _ => return None,
    })
}

/// A place in a message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The place `at` octets from the beginning of `message`.
    pub fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let octets = self.message.get(self.at..end)?;
        self.at = end;
        Some(octets)
    }

    /// A number of 16 bits.
    pub fn number(&mut self) -> Option<u16> {
        let (number, _) = self.octets(2)?.split_first_chunk()?;
        Some(u16::from_be_bytes(*number))
    }

    /// A name. Each pointer must lead further to the front than all before it, so that no name
    /// leads to itself.
    pub fn name(&mut self) -> Option<Name> {
        let mut wire = [0; MAX_NAME];
        let (mut length, mut at, mut front) = (0, self.at, self.at);
        let mut end = None;
        loop {
            let head = *self.message.get(at)?;
            match usize::from(head) {
                0 => break,
                label @ 1..=MAX_LABEL => {
                    let octets = self.message.get(at..at + 1 + label)?;
                    // One octet stays for the root.
                    let place = wire.get_mut(length..length + octets.len())?;
                    place.copy_from_slice(octets);
                    (length, at) = (length + octets.len(), at + octets.len());
                }
                high if high >= 0xc0 => {
                    end = end.or(Some(at + 2));
                    at = (high & 0x3f) << 8 | usize::from(*self.message.get(at + 1)?);
                    if at >= front {
                        return None;
                    }
                    front = at;
                }
                _ => return None,
            }
        }
        self.at = end.unwrap_or(at + 1);
        Some(Name::from_wire(wire.get(..=length)?))
    }

    /// The head of a question: name, type and class.
    pub fn question(&mut self) -> Option<(Name, u16, u16)> {
        Some((self.name()?, self.number()?, self.number()?))
    }

    /// A record and its class.
    pub fn record(&mut self) -> Option<(Record, u16)> {
        let (owner, rtype, class) = self.question()?;
        let (ttl, _) = self.octets(4)?.split_first_chunk()?;
        let ttl = u32::from_be_bytes(*ttl);
        let length = usize::from(self.number()?);
        let end = self.at.checked_add(length)?;
        let data = match parts(rtype) {
            Some(parts) => self.data(parts, end)?,
            None => self.octets(length)?.into(),
        };
        let record = Record {
            owner,
            rtype,
            ttl: if ttl < 1 << 31 { ttl } else { 0 }, // RFC 2181 section 8
            data,
        };
        Some((record, class))
    }

    /// Data that ends just at `end`.
    fn data(&mut self, parts: &[Part], end: usize) -> Option<Box<[u8]>> {
        let mut data = Vec::new();
        for part in parts {
            match part {
                Part::Octets(count) => data.extend_from_slice(self.octets(*count)?),
                Part::Name => data.extend_from_slice(self.name()?.wire()),
                Part::Strings(count) => {
                    for _ in 0..*count {
                        let length = *self.message.get(self.at)?;
                        data.extend_from_slice(self.octets(1 + usize::from(length))?);
                    }
                }
            }
        }
        (self.at == end).then(|| data.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A record of this type with this data, whose owner and names are at offset 0: `a.`
    fn record(rtype: u16, data: &[u8]) -> Option<Record> {
        let mut message = b"\x01a\x00\xc0\x00".to_vec();
        message.extend_from_slice(&rtype.to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend_from_slice(data);
        let mut reader = Reader::new(&message, 3);
        let (record, class) = reader.record()?;
        assert_eq!((class, record.owner.to_string().as_str()), (1, "a."));
        Some(record)
    }

    #[test]
    fn names_within_data_are_written_out() {
        let whole = |rtype, data: &[u8]| record(rtype, data).unwrap().data.to_vec();
        assert_eq!(whole(rtype::NS, b"\x01b\xc0\x00"), b"\x01b\x01a\x00");
        assert_eq!(whole(rtype::MX, b"\x00\x05\xc0\x00"), b"\x00\x05\x01a\x00");
        assert_eq!(whole(17, b"\xc0\x00\xc0\x00"), b"\x01a\x00\x01a\x00");
        let naptr = b"\x00\x01\x00\x02\x01u\x00\x00\xc0\x00";
        assert_eq!(whole(35, naptr), b"\x00\x01\x00\x02\x01u\x00\x00\x01a\x00");
        // Not known, so not touched.
        assert_eq!(whole(65_280, b"\xc0\x00"), b"\xc0\x00");
        for (rtype, data) in [
            (rtype::A, &b"\x01\x02\x03"[..]),
            (rtype::NS, b"\xc0\x00\x00"),
            (rtype::SRV, b"\x00\x00"),
            (35, b"\x00\x01\x00\x02\xffu"),
        ] {
            assert_eq!(record(rtype, data), None, "{rtype}");
        }
    }

    #[test]
    fn names_that_lead_nowhere_or_are_too_long_are_none() {
        let name = |message: &[u8], at| Reader::new(message, at).name();
        assert_eq!(name(b"\xc0\x00", 0), None, "itself");
        assert_eq!(name(b"\xc0\x02\xc0\x00", 2), None, "a circle");
        assert_eq!(name(b"\x01a\xc0\x00", 0), None, "a circle with a label");
        assert_eq!(name(b"\xc0\x05\x00\x00", 0), None, "forward");
        assert_eq!(name(b"\x41a\x00", 0), None, "a label of another kind");
        assert_eq!(name(b"\x05ab", 0), None, "too short");
        let mut long = b"\x3f".to_vec();
        long.extend_from_slice(&[b'x'; 63]);
        let mut many = long.repeat(3);
        many.extend_from_slice(b"\x3d");
        many.extend_from_slice(&[b'x'; 61]);
        many.push(0);
        assert_eq!(name(&many, 0).unwrap().wire().len(), 255);
        many.pop();
        many.extend_from_slice(b"\x01x\x00");
        assert_eq!(name(&many, 0), None, "256 octets");
        many.pop();
        // 128 labels of one octet, the most that fit; and one more.
        let mut labels = b"\x01a".repeat(127);
        labels.push(0);
        assert_eq!(name(&labels, 0).unwrap().labels().count(), 127);
        labels.pop();
        labels.extend_from_slice(b"\x01a\x00");
        assert_eq!(name(&labels, 0), None);
    }
}
