//! The thread that reads a control connection and hands out what comes.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::client::{Answer, Handle, Shared};
use crate::packet;
use crate::stream::{Control, Fate};
use crate::{ClientError, Event, Stream, reset};

/// Reads events until the connection ends; the text says why.
pub(crate) fn run(shared: &Shared, handle: &Weak<Handle>, mut buffer: Vec<u8>) -> String {
    loop {
        let (length, descriptor) = match packet::receive(&shared.socket, &mut buffer) {
            Ok((0, _)) => return "closed".to_owned(),
            Ok(received) => received,
            Err(e) => return e.to_string(),
        };
        let event = match decode(&buffer[..length]) {
            Ok(event) => event,
            Err(e) => return e.to_string(),
        };
        // Gone: nothing of this connection is in use any more.
        let Some(handle) = handle.upgrade() else {
            return "dropped".to_owned();
        };
        match event {
            Event::Ended { stream, ended } => {
                if let Some(fate) = shared.tables().streams.get(&stream) {
                    fate.set(ended);
                }
            }
            Event::Incoming { .. } => incoming(&handle, event, descriptor),
            Event::Hello { .. } => {}
            Event::Opened { id, .. }
            | Event::Refused { id, .. }
            | Event::Listening { id }
            | Event::Signed { id, .. }
            | Event::Successor { id, .. }
            | Event::Done { id }
            | Event::Whois { id, .. } => {
                let fate = Arc::<Fate>::default();
                let mut tables = shared.tables();
                let waiting = tables.waiting.remove(&id);
                if let (Event::Opened { stream, .. }, Some(_)) = (&event, &waiting) {
                    tables.streams.insert(*stream, fate.clone());
                }
                drop(tables);
                match waiting {
                    Some(waiting) => {
                        // Room for the one answer is there; a caller who left is handled in `ask`.
                        let _ = waiting.send(Answer {
                            event,
                            descriptor,
                            fate,
                        });
                    }
                    None => handle.refuse(&event),
                }
            }
        }
    }
}

fn incoming(handle: &Arc<Handle>, event: Event, descriptor: Option<OwnedFd>) {
    let Event::Incoming {
        stream,
        peer,
        protocol,
        member,
        path,
        rtt_us,
        address,
    } = event
    else {
        return;
    };
    let Some(descriptor) = descriptor else {
        log::warn!("peerd sent a stream without a descriptor; passed over");
        return;
    };
    let fate = Arc::<Fate>::default();
    let mut tables = handle.shared.tables();
    let listener = tables.listeners.get(&protocol).cloned();
    tables.streams.insert(stream, fate.clone());
    drop(tables);
    let made = Stream {
        socket: UnixStream::from(descriptor),
        peer,
        id: stream,
        protocol,
        member,
        path,
        rtt: Duration::from_micros(rtt_us.into()),
        address: address.and_then(|a| a.parse().ok()),
        control: Control {
            id: stream,
            fate,
            client: handle.clone(),
        },
    };
    let refused = match listener {
        Some((sender, places)) if places.take(peer) => match sender.try_send(made) {
            Ok(()) => return,
            Err(TrySendError::Full(made) | TrySendError::Disconnected(made)) => {
                places.leave(peer);
                made
            }
        },
        _ => made,
    };
    refused.reset(reset::BUSY);
}

pub(crate) fn decode(packet: &[u8]) -> Result<Event, ClientError> {
    Event::decode(packet).map_err(|e| ClientError::Protocol(e.to_string()))
}
