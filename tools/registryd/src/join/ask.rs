//! Asking members for what they do for each other.

use guifi_streams::{Client, Key};

use super::{Verdict, Wish, admit_frame, open};
use crate::net;
use crate::node::{Favour, Home};

/// Asks `peer` for `favour`, in the background. The box is called `home`.
pub(crate) fn ask(client: Client, home: Home, peer: Key, favour: Favour) {
    net::spawn("ask", move || match favour {
        Favour::Sponsor => further_sponsor(&client, &home, peer),
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
