//! The connection to peerd: made, watched and made anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use guifi_streams::{Client, ClientError, Stream};

use super::{GOSSIP, JOIN, SYNC, gossip, spawn, sync};
use crate::engine::Handle;
use crate::join;

/// Streams of one protocol that are served at a time.
const MAX_STREAMS: usize = 64;
/// Strangers that are served at a time.
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
    let limits = [
        (GOSSIP, MAX_STREAMS, serve_gossip as fn(Stream, &Handle)),
        (SYNC, MAX_STREAMS, serve_sync),
        (JOIN, MAX_STRANGERS, join::serve),
    ];
    let mut listeners = Vec::new();
    for (protocol, limit, task) in limits {
        match client.listen(protocol, 32) {
            Ok(listener) => listeners.push((listener, limit, task)),
            Err(e) => {
                log::error!("guifi-peerd does not let this daemon serve {protocol}: {e}");
                return;
            }
        }
    }
    let up = client.clone();
    handle.send(move |engine| engine.peer_up(up.clone()));
    thread::scope(|scope| {
        for (listener, limit, task) in listeners {
            scope.spawn(move || {
                let busy = Arc::new(AtomicUsize::new(0));
                loop {
                    match listener.accept() {
                        Ok(stream) if busy.load(Ordering::Relaxed) >= limit => stream.reset(257),
                        Ok(stream) => {
                            busy.fetch_add(1, Ordering::Relaxed);
                            let (busy, handle) = (busy.clone(), handle.clone());
                            spawn(listener.protocol(), move || {
                                task(stream, &handle);
                                busy.fetch_sub(1, Ordering::Relaxed);
                            });
                        }
                        Err(ClientError::Closed) => return,
                        Err(e) => log::warn!("a stream was not delivered: {e}; going on"),
                    }
                }
            });
        }
    });
}

fn serve_gossip(stream: Stream, handle: &Handle) {
    gossip::serve(stream, false, handle);
}

#[allow(clippy::needless_pass_by_value)] // the type that all protocols share
fn serve_sync(stream: Stream, handle: &Handle) {
    sync::answer(&stream, handle);
}
