//! Joining by invitation, on both sides of the `join` stream: the holder names the invitation
//! (`INVITED`), the member allows one use of it (`GRANT`), the holder signs that with the
//! invitation's right (`RECORD`), and the verdict follows.

use data_encoding::BASE32_NOPAD;
use guifi_core::{Error, Kind};
use guifi_streams::{Key, Stream};
use serde_json::{Map, Value, json};

use super::client::Offer;
use super::{Verdict, home_in, object};
use crate::body;
use crate::engine::{Handle, now};
use crate::frame::{Frame, kind};
use crate::invitation::Invitation;
use crate::node::{Admission, Grant, Home, use_of};
use crate::record::{CONTEXT, Draft, Record};
use crate::view::time_text;

fn key_in(map: &Map<String, Value>, member: &str) -> Option<Key> {
    map.get(member)?.as_str()?.parse().ok()
}

pub(super) fn frame_of(grant: &Grant) -> Result<Frame, String> {
    let signature = BASE32_NOPAD.encode(&grant.countersignature);
    let map = object(json!({
        "slot": grant.slot, "time": grant.time, "by": grant.by,
        "countersignature": signature.to_lowercase(),
    }));
    Ok(Frame::new(kind::GRANT, body::encode(&map)?))
}

pub(super) fn read_grant(payload: &[u8]) -> Result<Grant, String> {
    let map = body::decode(payload)?;
    let read = || {
        let signature = map.get("countersignature")?.as_str()?.to_ascii_uppercase();
        Some(Grant {
            slot: u32::try_from(map.get("slot")?.as_u64()?).ok()?,
            time: map.get("time")?.as_u64()?,
            by: key_in(&map, "by")?,
            countersignature: BASE32_NOPAD
                .decode(signature.as_bytes())
                .ok()?
                .try_into()
                .ok()?,
        })
    };
    read().ok_or_else(|| "the grant makes no sense".to_owned())
}

/// Admits who brings an invitation.
pub(super) fn serve(
    stream: &Stream,
    request: &Map<String, Value>,
    handle: &Handle,
) -> Result<Verdict, String> {
    let joiner = stream.peer;
    let home = home_in(request);
    let invite = key_in(request, "invite").ok_or("the request names no invitation")?;
    let granted = handle
        .call(move |engine| {
            let granted = engine.node()?.grant(invite, joiner, &home, now());
            engine.configure_now()?;
            Ok(granted)
        })
        .and_then(|r: Result<_, Error>| r)
        .map_err(|e| e.to_string())?;
    let grant = match granted {
        Ok(grant) => grant,
        Err(admission) => return Ok(Verdict::of(admission)),
    };
    frame_of(&grant)?
        .write(&mut &stream.socket)
        .map_err(|e| e.to_string())?;
    let frame = Frame::read(&mut &stream.socket).map_err(|e| e.to_string())?;
    if frame.kind != kind::RECORD {
        return Err(format!("frame {} is out of place", frame.kind));
    }
    let record = Record::decode(&frame.payload)?;
    let (key, body) = use_of(invite, joiner, &grant);
    if record.key != key || record.version != grant.time || record.json() != body {
        return Err("this is not the use that was granted".to_owned());
    }
    let mut record = Some(record);
    let admission = handle
        .call(move |engine| {
            let admission = match record.take() {
                Some(record) => engine.node()?.redeem(record, joiner, now()),
                None => Admission::Later(String::new()),
            };
            // As for everybody who is admitted: peerd must know it before the verdict is read.
            engine.configure_now()?;
            Ok(admission)
        })
        .and_then(|r: Result<_, Error>| r)
        .map_err(|e| e.to_string())?;
    Ok(Verdict::of(admission))
}

/// Asks the member behind `offer` to admit the key `own` by an invitation.
pub(super) fn ask(
    offer: &Offer,
    invitation: &Invitation,
    home: &Home,
    own: Key,
) -> Result<Verdict, String> {
    let io = |e: std::io::Error| e.to_string();
    let socket = &offer.stream.socket;
    let map = object(json!({
        "name": home.name, "zone": home.zone, "invite": invitation.key(),
    }));
    Frame::new(kind::INVITED, body::encode(&map)?)
        .write(&mut &*socket)
        .map_err(io)?;
    let frame = Frame::read(&mut &*socket).map_err(io)?;
    if frame.kind != kind::GRANT {
        return Verdict::read_after(&frame, &mut &*socket);
    }
    let grant = read_grant(&frame.payload)?;
    let (key, body) = use_of(invitation.key(), own, &grant);
    let draft = Draft {
        community: offer.founding.hash,
        key,
        version: grant.time,
        expires: 0,
        body: Some(body),
    };
    let record = draft.sign(|content| Ok(invitation.sign(CONTEXT, content)))?;
    Frame::new(kind::RECORD, record.encode())
        .write(&mut &*socket)
        .map_err(io)?;
    Verdict::read(&offer.stream)
}

/// What a text invites to, before joining: the document of `ReadInvitation`.
///
/// # Errors
/// [`Kind::Usage`] if it cannot be read.
pub(crate) fn read(text: &str) -> Result<Value, Error> {
    let invitation = parse(text)?;
    Ok(json!({
        "community": Key(invitation.community),
        "key": invitation.key(),
        "expires_at": time_text(invitation.end),
        "seeds": seeds(&invitation),
    }))
}

/// # Errors
/// [`Kind::Usage`] saying what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Invitation, Error> {
    Invitation::read(text).map_err(|e| {
        Error::new(Kind::Usage, e.to_string()).hint("copy it whole, or ask for a new one")
    })
}

/// Its seeds as a person would write them.
pub(super) fn seeds(invitation: &Invitation) -> Vec<String> {
    let each = invitation.seeds.iter();
    each.flat_map(|(key, addresses)| addresses.iter().map(move |a| format!("{key}@{a}")))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_grant_survives_its_frame() {
        let grant = Grant {
            slot: 7,
            time: 1_795_000_000_000,
            by: Key([3; 32]),
            countersignature: [5; 64],
        };
        let frame = frame_of(&grant).unwrap();
        assert_eq!(read_grant(&frame.payload), Ok(grant));
    }
}
