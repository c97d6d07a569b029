//! The connection to peerd: made, watched and made anew.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use guifi_streams::{Client, ClientError, Stream};

use super::{GOSSIP, JOIN, Place, Places, SYNC, gossip, spawn, sync};
use crate::engine::Handle;
use crate::join;

/// Streams of one protocol with members that are served at a time.
const MAX_STREAMS: usize = 64;
/// Streams of strangers that are served at a time.
const MAX_STRANGERS: usize = 8;
/// Between two attempts to reach peerd, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Keeps the connection to peerd at `socket` for ever.
pub(crate) fn watch(socket: PathBuf, handle: Handle) {
    spawn("peerd", move || {
        let mut wait = RETRY.0;
        let mut told = false;
        loop {
            match Client::connect(&socket) {
                Ok(client) => {
                    wait = RETRY.0;
                    told = false;
                    serve(&client, &handle);
                    handle.send(|engine| engine.peer_down());
                    log::info!("guifi-peerd is gone; waiting for it");
                }
                Err(e) => {
                    if !told {
                        log::info!("guifi-peerd does not answer yet: {e}; waiting for it");
                        told = true;
                    }
                    wait = (wait * 2).min(RETRY.1);
                }
            }
            thread::sleep(wait);
        }
    });
}

/// Serves the registry's protocols until the connection ends.
fn serve(client: &Client, handle: &Handle) {
    let tasks = [
        (GOSSIP, serve_gossip as fn(Stream, Place, &Handle)),
        (SYNC, serve_sync),
        (JOIN, join::serve),
    ];
    let mut listeners = Vec::new();
    for (protocol, task) in tasks {
        match client.listen(protocol, 32) {
            Ok(listener) => listeners.push((listener, task)),
            Err(e) => {
                log::error!("guifi-peerd does not let this daemon serve {protocol}: {e}");
                return;
            }
        }
    }
    let up = client.clone();
    handle.send(move |engine| engine.peer_up(up.clone()));
    thread::scope(|scope| {
        for (listener, task) in listeners {
            scope.spawn(move || {
                let members = Places::new(MAX_STREAMS, MAX_STREAMS);
                let strangers = Places::new(MAX_STRANGERS, MAX_STRANGERS);
                loop {
                    let stream = match listener.accept() {
                        Ok(stream) => stream,
                        Err(ClientError::Closed) => return,
                        Err(e) => {
                            log::warn!("a stream was not delivered: {e}; going on");
                            continue;
                        }
                    };
                    let places = if stream.member { &members } else { &strangers };
                    let Some(place) = places.take(None) else {
                        stream.reset(257);
                        continue;
                    };
                    let handle = handle.clone();
                    spawn(listener.protocol(), move || task(stream, place, &handle));
                }
            });
        }
    });
}

fn serve_gossip(stream: Stream, _place: Place, handle: &Handle) {
    gossip::serve(stream, false, handle);
}

#[allow(clippy::needless_pass_by_value)] // the type that all protocols share
fn serve_sync(stream: Stream, _place: Place, handle: &Handle) {
    sync::answer(&stream, handle);
}
