//! Messages from bytes that anyone may have sent.

use minicbor::Decoder;
use minicbor::data::Type;
use minicbor::decode::Error;

use super::write::SET;
use super::{
    Allocate, Allocated, MAX_REASON, MAX_VECTORS, Malformed, PROTOCOL, Range, Read, ReadTestWrite,
    ReadTestWritten, ShareNumber, Shares, Test, TestWrite, Version, Write,
};

/// How many entries a map of ours may have, unknown ones included.
const MAX_KEYS: usize = 16;
/// How many shares a message may name.
const MAX_SHARES: usize = 256;
/// How many parts of a share may be missing, or writes come at once.
const MAX_RANGES: usize = 65536;

type Decoded<T> = Result<T, Error>;

impl From<Error> for Malformed {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl Version {
    /// Reads the body.
    ///
    /// # Errors
    /// If it is not one.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        whole(body, |d| {
            let (mut known, mut application) = (None, Vec::new());
            entries(d, MAX_KEYS, Decoder::bytes, |d, key| match key {
                PROTOCOL => {
                    known = Some(protocol(d)?);
                    Ok(())
                }
                b"application-version" => {
                    application = d.bytes()?.to_vec();
                    Ok(())
                }
                _ => d.skip(),
            })?;
            let version = need(known, "the protocol")?;
            Ok(Self {
                application,
                ..version
            })
        })
    }
}

fn protocol(d: &mut Decoder<'_>) -> Decoded<Version> {
    let (mut immutable, mut mutable, mut available) = (None, None, None);
    entries(d, MAX_KEYS, Decoder::bytes, |d, key| {
        let place = match key {
            b"maximum-immutable-share-size" => &mut immutable,
            b"maximum-mutable-share-size" => &mut mutable,
            b"available-space" => &mut available,
            _ => return d.skip(),
        };
        *place = Some(d.u64()?);
        Ok(())
    })?;
    Ok(Version {
        maximum_immutable: need(immutable, "the longest immutable share")?,
        maximum_mutable: need(mutable, "the longest mutable share")?,
        available: need(available, "the space")?,
        application: Vec::new(),
    })
}

impl Allocate {
    /// Reads the body.
    ///
    /// # Errors
    /// If it is not one.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        whole(body, |d| {
            let (mut shares, mut size) = (None, None);
            fields(d, |d, key| {
                match key {
                    "share-numbers" => shares = Some(set(d)?),
                    "allocated-size" => size = Some(d.u64()?),
                    _ => d.skip()?,
                }
                Ok(())
            })?;
            Ok(Self {
                shares: need(shares, "share-numbers")?,
                size: need(size, "allocated-size")?,
            })
        })
    }
}

impl Allocated {
    /// Reads the body.
    ///
    /// # Errors
    /// If it is not one.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        whole(body, |d| {
            let (mut already_have, mut allocated) = (None, None);
            fields(d, |d, key| {
                match key {
                    "already-have" => already_have = Some(set(d)?),
                    "allocated" => allocated = Some(set(d)?),
                    _ => d.skip()?,
                }
                Ok(())
            })?;
            Ok(Self {
                already_have: need(already_have, "already-have")?,
                allocated: need(allocated, "allocated")?,
            })
        })
    }
}

/// Reads the answer to a `PATCH`.
///
/// # Errors
/// If it is not one.
pub fn decode_required(body: &[u8]) -> Result<Vec<Range>, Malformed> {
    whole(body, |d| {
        let mut ranges = None;
        fields(d, |d, key| {
            match key {
                "required" => ranges = Some(list(d, MAX_RANGES, range)?),
                _ => d.skip()?,
            }
            Ok(())
        })?;
        need(ranges, "required")
    })
}

/// Reads the answers to `GET …/shares`.
///
/// # Errors
/// If it is not one.
pub fn decode_shares(body: &[u8]) -> Result<Shares, Malformed> {
    whole(body, set)
}

/// Reads the reason for which a share is called corrupt.
///
/// # Errors
/// If there is none, or it is too long.
pub fn decode_corrupt(body: &[u8]) -> Result<String, Malformed> {
    whole(body, |d| {
        let mut reason = None;
        fields(d, |d, key| {
            match key {
                "reason" => reason = Some(d.str()?.to_owned()),
                _ => d.skip()?,
            }
            Ok(())
        })?;
        let reason = need(reason, "reason")?;
        if reason.is_empty() || reason.len() > MAX_REASON {
            return Err(Error::message("a reason has 1 to 32765 bytes"));
        }
        Ok(reason)
    })
}

impl ReadTestWrite {
    /// Reads the body.
    ///
    /// # Errors
    /// If it is not one.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        whole(body, |d| {
            let mut message = Self::default();
            fields(d, |d, key| {
                match key {
                    "test-write-vectors" => {
                        entries(d, MAX_SHARES, Decoder::u8, |d, share: ShareNumber| {
                            message.vectors.insert(share, test_write(d)?);
                            Ok(())
                        })?;
                    }
                    "read-vector" => message.reads = list(d, MAX_VECTORS, read)?,
                    _ => d.skip()?,
                }
                Ok(())
            })?;
            Ok(message)
        })
    }
}

impl ReadTestWritten {
    /// Reads the body.
    ///
    /// # Errors
    /// If it is not one.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        whole(body, |d| {
            let (mut success, mut message) = (None, Self::default());
            fields(d, |d, key| {
                match key {
                    "success" => success = Some(d.bool()?),
                    "data" => entries(d, MAX_SHARES, Decoder::u8, |d, share: ShareNumber| {
                        let read = list(d, MAX_VECTORS, |d| Ok(d.bytes()?.to_vec()))?;
                        message.data.insert(share, read);
                        Ok(())
                    })?,
                    _ => d.skip()?,
                }
                Ok(())
            })?;
            message.success = need(success, "success")?;
            Ok(message)
        })
    }
}

fn test_write(d: &mut Decoder<'_>) -> Decoded<TestWrite> {
    let mut vector = TestWrite::default();
    fields(d, |d, key| {
        match key {
            "test" => vector.tests = list(d, MAX_VECTORS, test)?,
            "write" => vector.writes = list(d, MAX_RANGES, write)?,
            "new-length" if d.datatype()? == Type::Null => d.null()?,
            "new-length" => vector.new_length = Some(d.u64()?),
            _ => d.skip()?,
        }
        Ok(())
    })?;
    Ok(vector)
}

fn test(d: &mut Decoder<'_>) -> Decoded<Test> {
    let (mut offset, mut size, mut specimen) = (None, None, None);
    fields(d, |d, key| {
        match key {
            "offset" => offset = Some(d.u64()?),
            "size" => size = Some(d.u64()?),
            "specimen" => specimen = Some(d.bytes()?.to_vec()),
            _ => d.skip()?,
        }
        Ok(())
    })?;
    Ok(Test {
        offset: need(offset, "offset")?,
        size: need(size, "size")?,
        specimen: need(specimen, "specimen")?,
    })
}

fn write(d: &mut Decoder<'_>) -> Decoded<Write> {
    let (mut offset, mut data) = (None, None);
    fields(d, |d, key| {
        match key {
            "offset" => offset = Some(d.u64()?),
            "data" => data = Some(d.bytes()?.to_vec()),
            _ => d.skip()?,
        }
        Ok(())
    })?;
    Ok(Write {
        offset: need(offset, "offset")?,
        data: need(data, "data")?,
    })
}

fn read(d: &mut Decoder<'_>) -> Decoded<Read> {
    let (offset, size) = numbers(d, "offset", "size")?;
    Ok(Read { offset, size })
}

fn range(d: &mut Decoder<'_>) -> Decoded<Range> {
    let (begin, end) = numbers(d, "begin", "end")?;
    Ok(Range { begin, end })
}

/// A map of two numbers.
fn numbers(d: &mut Decoder<'_>, first: &str, second: &str) -> Decoded<(u64, u64)> {
    let (mut a, mut b) = (None, None);
    fields(d, |d, key| {
        if key == first {
            a = Some(d.u64()?);
        } else if key == second {
            b = Some(d.u64()?);
        } else {
            d.skip()?;
        }
        Ok(())
    })?;
    Ok((need(a, first)?, need(b, second)?))
}

fn set(d: &mut Decoder<'_>) -> Decoded<Shares> {
    if d.tag()? != SET {
        return Err(Error::message("a set has tag 258"));
    }
    Ok(list(d, MAX_SHARES, Decoder::u8)?.into_iter().collect())
}

/// Entries of a map with texts as keys.
fn fields<'b>(
    d: &mut Decoder<'b>,
    entry: impl FnMut(&mut Decoder<'b>, &'b str) -> Decoded<()>,
) -> Decoded<()> {
    entries(d, MAX_KEYS, Decoder::str, entry)
}

/// Entries of a map: `key` reads the key, `entry` the value.
fn entries<'b, K>(
    d: &mut Decoder<'b>,
    most: usize,
    key: fn(&mut Decoder<'b>) -> Decoded<K>,
    mut entry: impl FnMut(&mut Decoder<'b>, K) -> Decoded<()>,
) -> Decoded<()> {
    let length = d.map()?;
    let mut count = 0;
    while more(d, length, count, most)? {
        let key = key(d)?;
        entry(d, key)?;
        count += 1;
    }
    Ok(())
}

fn list<'b, T>(
    d: &mut Decoder<'b>,
    most: usize,
    item: fn(&mut Decoder<'b>) -> Decoded<T>,
) -> Decoded<Vec<T>> {
    let length = d.array()?;
    let mut items = Vec::new();
    while more(d, length, items.len(), most)? {
        items.push(item(d)?);
    }
    Ok(items)
}

/// Whether another item follows; takes the end of an indefinite length.
fn more(d: &mut Decoder<'_>, length: Option<u64>, count: usize, most: usize) -> Decoded<bool> {
    let another = match length {
        Some(length) => (count as u64) < length,
        None if d.datatype()? == Type::Break => {
            d.skip()?;
            false
        }
        None => true,
    };
    if another && count == most {
        return Err(Error::message(format!("more than {most} entries")));
    }
    Ok(another)
}

fn need<T>(value: Option<T>, name: &str) -> Decoded<T> {
    value.ok_or_else(|| Error::message(format!("'{name}' is missing")))
}

/// Reads a body that must end where its message does.
fn whole<'b, T>(
    body: &'b [u8],
    read: impl FnOnce(&mut Decoder<'b>) -> Decoded<T>,
) -> Result<T, Malformed> {
    let mut d = Decoder::new(body);
    let message = read(&mut d)?;
    if d.position() != body.len() {
        return Err(Malformed("something follows it".to_owned()));
    }
    Ok(message)
}
