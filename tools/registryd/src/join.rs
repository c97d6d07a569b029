//! Admission: how a stranger is shown a community and becomes a member.
//!
//! On a `join` stream the stranger asks for the founding record (`FOUNDING`), then to be
//! admitted (`ADMIT`); the verdict (`VERDICT`) is followed by the records that prove the
//! membership and by `DONE`. A member that may not sponsor asks one that may, in the same words
//! with the stranger's key.

mod ask;
mod client;
mod found;
#[cfg(test)]
mod fuzz;
mod invited;
mod pass;
mod testify;
mod verdict;

pub(crate) use ask::ask;
pub use client::{Offer, Options, Outcome, join, probe};
pub(crate) use invited::read as read_invitation;
use testify::testify;
pub use verdict::Verdict;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use guifi_streams::{Client, Key, Stream};
use serde_json::{Map, Value, json};

use crate::body;
use crate::engine::{Handle, now};
use crate::frame::{Frame, kind};
use crate::net::{JOIN, Place};
use crate::node::{Admission, Home};
use crate::record::Record;

/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(15);
/// How long one member that is asked may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests of one address a minute.
const PER_MINUTE: u32 = 20;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What the box that asks calls itself.
fn home_in(request: &Map<String, Value>) -> Home {
    let text = |member: &str| {
        let text = request.get(member).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    Home {
        name: text("name"),
        zone: text("zone"),
    }
}

/// For whom or what admission is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wish {
    /// To become a member.
    Member,
    /// That another, seen at an address, becomes a member.
    Other(Key, Option<IpAddr>),
    /// One more sponsor, for a member.
    Further,
}

/// A request as it travels.
fn admit_frame(home: &Home, wish: Wish) -> Frame {
    let mut map = object(json!({"name": home.name, "zone": home.zone}));
    match wish {
        Wish::Member => {}
        Wish::Other(key, address) => {
            map.insert("key".to_owned(), key.to_string().into());
            if let Some(address) = address {
                map.insert("address".to_owned(), address.to_string().into());
            }
        }
        Wish::Further => {
            map.insert("further".to_owned(), true.into());
        }
    }
    Frame::new(kind::ADMIT, body::encode(&map).unwrap_or_default())
}

/// The changes of a key, as the last of them brings them to the door.
fn rotations_frame(home: &Home, rotations: &[Arc<Record>]) -> Frame {
    let texts = rotations.iter().map(|r| BASE32_NOPAD.encode(&r.encode()));
    let texts: Vec<String> = texts.collect();
    let map = object(json!({"name": home.name, "zone": home.zone, "rotations": texts}));
    Frame::new(kind::ADMIT, body::encode(&map).unwrap_or_default())
}

/// The changes of key in a request; none if there are none.
fn rotations_in(request: &Map<String, Value>) -> Result<Vec<Record>, String> {
    let texts = request.get("rotations").and_then(Value::as_array);
    let read = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        let bytes = BASE32_NOPAD.decode(text.as_bytes());
        Record::decode(&bytes.map_err(|e| e.to_string())?)
    };
    texts.into_iter().flatten().map(read).collect()
}

/// Opens a `join` stream to a member and says the first word on it.
fn open(client: &Client, peer: Key, frame: &Frame) -> Result<Stream, String> {
    let io = |e: std::io::Error| e.to_string();
    let stream = client
        .open(peer, JOIN, &[], PATIENCE)
        .map_err(|e| e.to_string())?;
    stream.socket.set_read_timeout(Some(PATIENCE)).map_err(io)?;
    stream
        .socket
        .set_write_timeout(Some(PATIENCE))
        .map_err(io)?;
    frame.write(&mut &stream.socket).map_err(io)?;
    Ok(stream)
}

/// Requests of each address in the current minute.
static VISITORS: LazyLock<Mutex<HashMap<IpAddr, (Instant, u32)>>> = LazyLock::new(Mutex::default);

fn too_fast(address: Option<IpAddr>) -> bool {
    let Some(address) = address else { return false };
    let mut visitors = VISITORS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let now = Instant::now();
    visitors.retain(|_, (since, _)| now.duration_since(*since) < Duration::from_secs(60));
    let (_, count) = visitors.entry(address).or_insert((now, 0));
    *count += 1;
    *count > PER_MINUTE
}

/// Serves a `join` stream to its end.
#[allow(clippy::needless_pass_by_value)] // the type that all protocols share
pub(crate) fn serve(stream: Stream, place: Place, handle: &Handle) {
    let ended = converse(&stream, place, handle);
    if let Err(e) = ended {
        log::debug!("join stream of {} ended: {e}", stream.peer);
        stream.reset(256);
    }
}

fn converse(stream: &Stream, place: Place, handle: &Handle) -> Result<(), String> {
    let io = |e: std::io::Error| e.to_string();
    stream.socket.set_read_timeout(Some(SILENCE)).map_err(io)?;
    stream.socket.set_write_timeout(Some(SILENCE)).map_err(io)?;
    let address = stream.address.map(|a| a.ip());
    if !stream.member && too_fast(address) {
        return Err("too many requests of this address".to_owned());
    }
    // The founding record, a request, and that again for a person who thinks it over.
    for _ in 0..4 {
        let frame = match Frame::read(&mut &stream.socket) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other.map_err(io)?,
        };
        match frame.kind {
            kind::FOUNDING => {
                let founding = handle
                    .call(|engine| {
                        let node = engine.node()?;
                        let id = node.community();
                        Ok(node
                            .book()
                            .records()
                            .find(|r| r.hash == id)
                            .map(|r| r.encode()))
                    })
                    .and_then(|r: Result<_, guifi_core::Error>| r)
                    .map_err(|e| e.to_string())?
                    .ok_or("the founding record is missing")?;
                Frame::new(kind::RECORD, founding)
                    .write(&mut &stream.socket)
                    .map_err(io)?;
            }
            kind::ADMIT => {
                let map = body::decode(&frame.payload)?;
                let verdict = match decide(stream, &map, address, handle)? {
                    Decision::Own(verdict) => verdict,
                    Decision::Others(request) => {
                        // That takes its time: others may be served meanwhile.
                        drop(place);
                        return request.pass_on(stream, handle).map_err(io);
                    }
                };
                verdict.write(stream).map_err(io)?;
            }
            kind::INVITED => {
                let map = body::decode(&frame.payload)?;
                let verdict = invited::serve(stream, &map, handle)?;
                verdict.write(stream).map_err(io)?;
            }
            kind::WITNESS if stream.member => {
                let answer = testify(stream, handle)?;
                answer.write(&mut &stream.socket).map_err(io)?;
            }
            other => return Err(format!("frame {other} is out of place")),
        }
    }
    Ok(())
}

/// Who decides on a request.
enum Decision {
    /// This box does.
    Own(Verdict),
    /// Others are to be asked.
    Others(pass::Request),
}

fn decide(
    stream: &Stream,
    request: &Map<String, Value>,
    address: Option<IpAddr>,
    handle: &Handle,
) -> Result<Decision, String> {
    let text = |member: &str| {
        request
            .get(member)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let home = home_in(request);
    // Only a member may ask for another; a passed-on request is not passed on again.
    let passed_on = request.contains_key("key") && stream.member;
    let further = stream.member && request.get("further") == Some(&Value::Bool(true));
    let key = if passed_on {
        text("key")
            .parse()
            .map_err(|_| "the request names no key".to_owned())?
    } else {
        stream.peer
    };
    // The pace is kept towards those who come themselves; the door has its own count.
    let (place, seen) = if passed_on {
        (None, text("address").parse().ok())
    } else {
        (address, address)
    };
    let asked = home.clone();
    let (peer, rotations) = (stream.peer, rotations_in(request)?);
    let (admission, client) = handle
        .call(move |engine| {
            let client = engine.client();
            let node = engine.node()?;
            if !rotations.is_empty()
                && let Err(e) = node.hear_rotations(rotations, peer, now())
            {
                log::debug!("{peer} at the door: {e}");
            }
            let mut admission = if further && !passed_on {
                node.sponsor_further(key, place, now())
            } else {
                node.admit(key, place, &asked, now())
            };
            if matches!(admission, Admission::Wait) {
                admission = node.knock(key, seen, &asked, now());
            }
            // The newcomer comes back at once: peerd must know it before it reads the verdict.
            engine.configure_now()?;
            Ok((admission, client?))
        })
        .and_then(|r: Result<_, guifi_core::Error>| r)
        .map_err(|e| e.to_string())?;
    Ok(match admission {
        Admission::Ask(_) if !passed_on => Decision::Others(pass::Request {
            client,
            key,
            address,
            home,
        }),
        decided => Decision::Own(Verdict::of(decided)),
    })
}
