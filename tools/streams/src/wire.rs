//! Messages as bytes: one CBOR array, version and kind first, then the fields in order.
//! Fields that a later version adds at the end are passed over.

use std::convert::Infallible;
use std::fmt;

use minicbor::{Decoder, Encoder, data::Type, decode, encode};

use crate::{Direction, End, Ended, Event, Key, PathKind, Reason, Request};

/// Version of the messages, their first field.
pub const VERSION: u8 = 1;

/// How many addresses an `Open` may carry.
const MAX_ADDRESSES: u64 = 32;

/// A packet that is not a message.
#[derive(Debug)]
pub struct WireError(String);

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed message: {}", self.0)
    }
}

impl std::error::Error for WireError {}

impl From<decode::Error> for WireError {
    fn from(error: decode::Error) -> Self {
        Self(error.to_string())
    }
}

type Writer<'a> = Encoder<&'a mut Vec<u8>>;
type Encoded<'e, 'a> = Result<&'e mut Writer<'a>, encode::Error<Infallible>>;

impl Request {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        write(|e| match self {
            Self::Hello => head(e, 0, 0),
            Self::Open {
                id,
                peer,
                protocol,
                deadline_ms,
                addresses,
            } => {
                head(e, 1, 5)?.u64(*id)?.bytes(&peer.0)?.str(protocol)?;
                e.u32(*deadline_ms)?.array(addresses.len() as u64)?;
                for address in addresses {
                    e.str(address)?;
                }
                Ok(e)
            }
            Self::Listen {
                id,
                protocol,
                backlog,
            } => head(e, 2, 3)?.u64(*id)?.str(protocol)?.u32(*backlog),
            Self::Unlisten { protocol } => head(e, 3, 1)?.str(protocol),
            Self::Reset { stream, code } => head(e, 4, 2)?.u64(*stream)?.u32(*code),
            Self::Sign { id, context, bytes } => {
                head(e, 5, 3)?.u64(*id)?.str(context)?.bytes(bytes)
            }
            Self::Configure { id } => head(e, 6, 1)?.u64(*id),
            Self::Who {
                id,
                address,
                deadline_ms,
            } => head(e, 7, 3)?.u64(*id)?.str(address)?.u32(*deadline_ms),
            Self::Successor { id } => head(e, 8, 1)?.u64(*id),
            Self::SignAsSuccessor { id, context, bytes } => {
                head(e, 9, 3)?.u64(*id)?.str(context)?.bytes(bytes)
            }
            Self::Succeed { id, key } => head(e, 10, 2)?.u64(*id)?.bytes(&key.0),
        })
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// Any packet that [`Request::encode`] or a later version of it does not make.
    pub fn decode(packet: &[u8]) -> Result<Self, WireError> {
        let d = &mut Decoder::new(packet);
        Ok(match kind(d)? {
            0 => Self::Hello,
            1 => Self::Open {
                id: d.u64()?,
                peer: key(d)?,
                protocol: d.str()?.to_owned(),
                deadline_ms: d.u32()?,
                addresses: texts(d)?,
            },
            2 => Self::Listen {
                id: d.u64()?,
                protocol: d.str()?.to_owned(),
                backlog: d.u32()?,
            },
            3 => Self::Unlisten {
                protocol: d.str()?.to_owned(),
            },
            4 => Self::Reset {
                stream: d.u64()?,
                code: d.u32()?,
            },
            5 => Self::Sign {
                id: d.u64()?,
                context: d.str()?.to_owned(),
                bytes: d.bytes()?.to_vec(),
            },
            6 => Self::Configure { id: d.u64()? },
            7 => Self::Who {
                id: d.u64()?,
                address: d.str()?.to_owned(),
                deadline_ms: d.u32()?,
            },
            8 => Self::Successor { id: d.u64()? },
            9 => Self::SignAsSuccessor {
                id: d.u64()?,
                context: d.str()?.to_owned(),
                bytes: d.bytes()?.to_vec(),
            },
            10 => Self::Succeed {
                id: d.u64()?,
                key: key(d)?,
            },
            other => return Err(WireError(format!("request {other} is not known"))),
        })
    }
}

impl Event {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        write(|e| match self {
            Self::Hello { key } => head(e, 0, 1)?.bytes(&key.0),
            Self::Opened {
                id,
                stream,
                path,
                rtt_us,
                member,
                address,
            } => {
                head(e, 1, 6)?.u64(*id)?.u64(*stream)?;
                e.u8(path.number())?.u32(*rtt_us)?.bool(*member)?;
                optional(e, address.as_deref())
            }
            Self::Refused { id, reason, text } => {
                head(e, 2, 3)?.u64(*id)?.u8(reason.number())?.str(text)
            }
            Self::Listening { id } => head(e, 3, 1)?.u64(*id),
            Self::Incoming {
                stream,
                peer,
                protocol,
                member,
                path,
                rtt_us,
                address,
            } => {
                head(e, 4, 7)?.u64(*stream)?.bytes(&peer.0)?.str(protocol)?;
                e.bool(*member)?.u8(path.number())?.u32(*rtt_us)?;
                optional(e, address.as_deref())
            }
            Self::Ended { stream, ended } => {
                head(e, 5, 5)?.u64(*stream)?.u8(ended.end.number())?;
                e.u8(ended.direction.number())?;
                e.u32(ended.code)?.str(&ended.text)
            }
            Self::Signed { id, signature } => head(e, 6, 2)?.u64(*id)?.bytes(signature),
            Self::Done { id } => head(e, 7, 1)?.u64(*id),
            Self::Whois {
                id,
                key,
                community,
                name,
            } => {
                head(e, 8, 4)?.u64(*id)?.bytes(&key.0)?;
                optional(e, community.as_deref())?.str(name)
            }
            Self::Successor { id, key } => head(e, 9, 2)?.u64(*id)?.bytes(&key.0),
        })
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// Any packet that [`Event::encode`] or a later version of it does not make.
    pub fn decode(packet: &[u8]) -> Result<Self, WireError> {
        let d = &mut Decoder::new(packet);
        Ok(match kind(d)? {
            0 => Self::Hello { key: key(d)? },
            1 => Self::Opened {
                id: d.u64()?,
                stream: d.u64()?,
                path: number(d, PathKind::from_number)?,
                rtt_us: d.u32()?,
                member: d.bool()?,
                address: optional_text(d)?,
            },
            2 => Self::Refused {
                id: d.u64()?,
                // A reason that a later peerd knows is still a refusal.
                reason: Reason::from_number(d.u8()?).unwrap_or(Reason::Failed),
                text: d.str()?.to_owned(),
            },
            3 => Self::Listening { id: d.u64()? },
            4 => Self::Incoming {
                stream: d.u64()?,
                peer: key(d)?,
                protocol: d.str()?.to_owned(),
                member: d.bool()?,
                path: number(d, PathKind::from_number)?,
                rtt_us: d.u32()?,
                address: optional_text(d)?,
            },
            5 => Self::Ended {
                stream: d.u64()?,
                ended: Ended {
                    end: number(d, End::from_number)?,
                    direction: number(d, Direction::from_number)?,
                    code: d.u32()?,
                    text: d.str()?.to_owned(),
                },
            },
            6 => Self::Signed {
                id: d.u64()?,
                signature: array(d)?,
            },
            7 => Self::Done { id: d.u64()? },
            8 => Self::Whois {
                id: d.u64()?,
                key: key(d)?,
                community: optional_text(d)?,
                name: d.str()?.to_owned(),
            },
            9 => Self::Successor {
                id: d.u64()?,
                key: key(d)?,
            },
            other => return Err(WireError(format!("event {other} is not known"))),
        })
    }
}

fn write(fill: impl for<'e, 'a> FnOnce(&'e mut Writer<'a>) -> Encoded<'e, 'a>) -> Vec<u8> {
    let mut packet = Vec::with_capacity(128);
    match fill(&mut Encoder::new(&mut packet)) {
        // Writing to memory has no error.
        Ok(_) | Err(_) => packet,
    }
}

fn head<'e, 'a>(e: &'e mut Writer<'a>, kind: u8, fields: u64) -> Encoded<'e, 'a> {
    e.array(2 + fields)?.u8(VERSION)?.u8(kind)
}

fn optional<'e, 'a>(e: &'e mut Writer<'a>, text: Option<&str>) -> Encoded<'e, 'a> {
    match text {
        Some(text) => e.str(text),
        None => e.null(),
    }
}

fn kind(d: &mut Decoder<'_>) -> Result<u8, WireError> {
    if d.array()?.is_none_or(|length| length < 2) {
        return Err(WireError("not an array of known length".to_owned()));
    }
    match d.u8()? {
        VERSION => Ok(d.u8()?),
        other => Err(WireError(format!("version {other}, not {VERSION}"))),
    }
}

fn array<const N: usize>(d: &mut Decoder<'_>) -> Result<[u8; N], WireError> {
    let bytes = d.bytes()?;
    bytes
        .try_into()
        .map_err(|_| WireError(format!("{} bytes where {N} are due", bytes.len())))
}

fn key(d: &mut Decoder<'_>) -> Result<Key, WireError> {
    array(d).map(Key)
}

fn number<T>(d: &mut Decoder<'_>, meaning: impl Fn(u8) -> Option<T>) -> Result<T, WireError> {
    let number = d.u8()?;
    meaning(number).ok_or_else(|| WireError(format!("{number} has no meaning here")))
}

fn optional_text(d: &mut Decoder<'_>) -> Result<Option<String>, WireError> {
    if d.datatype()? == Type::Null {
        d.null()?;
        return Ok(None);
    }
    Ok(Some(d.str()?.to_owned()))
}

fn texts(d: &mut Decoder<'_>) -> Result<Vec<String>, WireError> {
    let count = d
        .array()?
        .filter(|count| *count <= MAX_ADDRESSES)
        .ok_or_else(|| WireError("too many addresses".to_owned()))?;
    (0..count).map(|_| Ok(d.str()?.to_owned())).collect()
}
