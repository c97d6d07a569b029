//! Record bodies: JSON documents on the bus, one canonical CBOR encoding on the wire.
//!
//! The encoding is RFC 8949 section 4.2.1 (core deterministic) restricted to what JSON can
//! say without loss: maps with text keys, arrays, text, integers of 64 bits, booleans and
//! null. Floats, tags, byte strings and indefinite lengths are refused, so a body has exactly
//! one encoding and exactly one JSON document. See net.guifi.Registry1(5), "Bodies".

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Number, Value};

/// Largest encoded body, in bytes.
pub const MAX_BYTES: usize = 4096;
/// Deepest nesting of maps and arrays.
const MAX_DEPTH: usize = 8;
/// Most members of all maps and arrays together.
const MAX_ITEMS: usize = 1024;

/// Encodes a JSON object.
///
/// # Errors
/// A sentence saying what cannot be encoded.
pub fn encode(body: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let mut items = 0;
    let mut out = Vec::new();
    encode_map(body, &mut out, 1, &mut items)?;
    if out.len() > MAX_BYTES {
        return Err(format!(
            "the body has {} bytes, at most {MAX_BYTES} are allowed",
            out.len()
        ));
    }
    Ok(out)
}

fn encode_map(
    map: &Map<String, Value>,
    out: &mut Vec<u8>,
    depth: usize,
    items: &mut usize,
) -> Result<(), String> {
    enter(depth, map.len(), items)?;
    // Deterministic order: by the bytes of the encoded key, so shorter keys first.
    let mut members: Vec<(&String, &Value)> = map.iter().collect();
    members.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
    head(out, |e| e.map(map.len() as u64).map(|_| ()));
    for (key, value) in members {
        head(out, |e| e.str(key).map(|_| ()));
        encode_value(value, out, depth, items)?;
    }
    Ok(())
}

fn encode_value(
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
    items: &mut usize,
) -> Result<(), String> {
    match value {
        Value::Null => head(out, |e| e.null().map(|_| ())),
        Value::Bool(b) => head(out, |e| e.bool(*b).map(|_| ())),
        Value::String(s) => head(out, |e| e.str(s).map(|_| ())),
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => head(out, |e| e.u64(n).map(|_| ())),
            (None, Some(n)) => head(out, |e| e.i64(n).map(|_| ())),
            (None, None) => return Err(format!("{n} is not an integer of 64 bits")),
        },
        Value::Array(list) => {
            enter(depth + 1, list.len(), items)?;
            head(out, |e| e.array(list.len() as u64).map(|_| ()));
            for member in list {
                encode_value(member, out, depth + 1, items)?;
            }
        }
        Value::Object(map) => encode_map(map, out, depth + 1, items)?,
    }
    Ok(())
}

/// Appends what `write` encodes; writing to memory does not fail.
fn head(
    out: &mut Vec<u8>,
    write: impl FnOnce(
        &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>>,
) {
    let written = write(&mut Encoder::new(out));
    debug_assert!(written.is_ok());
}

fn enter(depth: usize, members: usize, items: &mut usize) -> Result<(), String> {
    *items += members;
    if depth > MAX_DEPTH {
        return Err(format!("nested more than {MAX_DEPTH} deep"));
    }
    if *items > MAX_ITEMS {
        return Err(format!("more than {MAX_ITEMS} members"));
    }
    Ok(())
}

/// Decodes a body, refusing whatever [`encode`] would not have written.
///
/// # Errors
/// A sentence saying what is wrong.
pub fn decode(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!(
            "the body has {} bytes, at most {MAX_BYTES} are allowed",
            bytes.len()
        ));
    }
    let map = read(bytes)?;
    // One body, one encoding: this also refuses long forms, wrong order and trailing bytes.
    if encode(&map)? != bytes {
        return Err("the body is not encoded canonically".to_owned());
    }
    Ok(map)
}

/// Decodes a body that was checked before.
///
/// # Errors
/// A sentence saying what is wrong.
pub fn read(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let mut decoder = Decoder::new(bytes);
    match decode_value(&mut decoder, 0, &mut 0)? {
        Value::Object(map) => Ok(map),
        _ => Err("the body is not a map".to_owned()),
    }
}

fn decode_value(d: &mut Decoder<'_>, depth: usize, items: &mut usize) -> Result<Value, String> {
    let bad = |e: minicbor::decode::Error| format!("not CBOR: {e}");
    Ok(match d.datatype().map_err(bad)? {
        Type::Null => {
            d.null().map_err(bad)?;
            Value::Null
        }
        Type::Bool => Value::Bool(d.bool().map_err(bad)?),
        Type::String => Value::String(d.str().map_err(bad)?.to_owned()),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
            Value::Number(Number::from(d.u64().map_err(bad)?))
        }
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            Value::Number(Number::from(d.i64().map_err(bad)?))
        }
        Type::Array => {
            let length = length(d.array().map_err(bad)?)?;
            enter(depth + 1, length, items)?;
            let mut list = Vec::new();
            for _ in 0..length {
                list.push(decode_value(d, depth + 1, items)?);
            }
            Value::Array(list)
        }
        Type::Map => {
            let length = length(d.map().map_err(bad)?)?;
            enter(depth + 1, length, items)?;
            let mut map = Map::new();
            for _ in 0..length {
                let key = d.str().map_err(bad)?.to_owned();
                let value = decode_value(d, depth + 1, items)?;
                if map.insert(key, value).is_some() {
                    return Err("a key stands twice".to_owned());
                }
            }
            Value::Object(map)
        }
        other => return Err(format!("{other} is not allowed in a body")),
    })
}

fn length(length: Option<u64>) -> Result<usize, String> {
    length
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| *n <= MAX_ITEMS)
        .ok_or_else(|| "a length is missing or too large".to_owned())
}

#[cfg(test)]
mod tests;
