//! Asking members for what they do for each other.

use guifi_streams::{Client, Key};

use super::{Verdict, Wish, admit_frame, open, rotations_frame};
use crate::body;
use crate::engine::{Handle, now};
use crate::frame::{Frame, kind};
use crate::net;
use crate::node::{Favour, Home};
use crate::witness::Statement;

/// Asks `peer` for `favour`, in the background. The box is called `home`.
pub(crate) fn ask(client: Client, handle: Handle, home: Home, peer: Key, favour: Favour) {
    net::spawn("ask", move || match favour {
        Favour::Sponsor => further_sponsor(&client, &home, peer),
        Favour::Rotation => {
            let records = handle.call(|engine| engine.node().map(|n| n.own_rotations()));
            if let Ok(Ok(records)) = records {
                let told = open(&client, peer, &rotations_frame(&home, &records))
                    .and_then(|stream| Verdict::read(&stream));
                log::debug!("told {peer} of this box's changes of key: {told:?}");
            }
        }
        Favour::Witness => match witness(&client, peer) {
            Ok(Some(statement)) => handle.send(move |engine| {
                if let Ok(node) = engine.node() {
                    node.witnessed(statement.clone(), now());
                }
            }),
            Ok(None) => log::debug!("{peer} does not meet this box directly"),
            Err(e) => log::debug!("{peer} does not say where it meets this box: {e}"),
        },
    });
}

/// What comes of it is a record, which arrives as all others do.
fn further_sponsor(client: &Client, home: &Home, peer: Key) {
    let answer = open(client, peer, &admit_frame(home, Wish::Further))
        .and_then(|stream| Verdict::read(&stream));
    match answer {
        Ok(verdict) => log::debug!(
            "asked {peer} to sponsor this box too: {} {}",
            verdict.status,
            verdict.reason
        ),
        Err(e) => log::debug!("cannot ask {peer} to sponsor this box too: {e}"),
    }
}

/// What `peer` says about the address at which it meets this box.
fn witness(client: &Client, peer: Key) -> Result<Option<Statement>, String> {
    let stream = open(client, peer, &Frame::new(kind::WITNESS, []))?;
    let frame = Frame::read(&mut &stream.socket).map_err(|e| e.to_string())?;
    if frame.kind != kind::WITNESSED {
        return Err("the answer is out of place".to_owned());
    }
    Ok(Statement::read(&body::decode(&frame.payload)?, peer))
}
