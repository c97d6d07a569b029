//! A gossip stream: one thread reads, one writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use guifi_streams::Stream;

use super::spawn;
use crate::engine::{Engine, Handle, now};
use crate::frame::Frame;
use crate::time::own_clock_ms;

/// How long a greeting may take.
const GREETING: Duration = Duration::from_secs(10);
/// How long a peer may refuse to take a frame.
const WRITE: Duration = Duration::from_secs(30);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Serves a gossip stream to its end, on this thread.
pub(super) fn serve(stream: Stream, dialled: bool, handle: &Handle) {
    let peer = stream.peer;
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let stream = Arc::new(stream);
    let ended = read(&stream, id, handle);
    // An error after an orderly close is how the other side says it, too.
    log::debug!(
        "gossip stream of {peer} ended ({}): {ended}",
        if dialled { "dialled" } else { "accepted" }
    );
    stream.reset(0);
    handle.send(move |engine| engine.link_down(peer, id));
}

fn read(stream: &Arc<Stream>, id: u64, handle: &Handle) -> String {
    let peer = stream.peer;
    let Ok(community) = handle.call(|engine| engine.node().map(|n| n.community())) else {
        return "stopping".to_owned();
    };
    let Ok(community) = community else {
        return "not joined".to_owned();
    };
    let greeted = stream
        .socket
        .set_write_timeout(Some(WRITE))
        .and_then(|()| stream.socket.set_read_timeout(Some(GREETING)))
        .and_then(|()| Frame::hello(&community, own_clock_ms()).write(&mut &stream.socket))
        .and_then(|()| Frame::read(&mut &stream.socket))
        .map_err(|e| e.to_string())
        .and_then(|frame| frame.read_hello(&community));
    if let Err(e) = greeted {
        return e;
    }
    if let Err(e) = stream.socket.set_read_timeout(None) {
        return e.to_string();
    }
    let (writer, queue) = Engine::writer_queue();
    let writing = stream.clone();
    spawn("gossip-write", move || write(&writing, &queue));
    let mut writer = Some(writer);
    handle.send(move |engine| {
        if let Some(writer) = writer.take() {
            engine.link_up(peer, id, writer);
        }
    });
    loop {
        let frame = match Frame::read(&mut &stream.socket) {
            Ok(frame) => frame,
            Err(e) => return e.to_string(),
        };
        let taken = handle.call(move |engine| {
            engine
                .node()
                .map_or(Ok(()), |node| node.link_frame(peer, &frame, now()))
        });
        match taken {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return e,
            Err(e) => return e.to_string(),
        }
    }
}

fn write(stream: &Stream, queue: &Receiver<Frame>) {
    while let Ok(frame) = queue.recv() {
        if frame.write(&mut &stream.socket).is_err() {
            break;
        }
    }
    // Ends the reader, too, which reports it.
    let _ = stream.socket.shutdown(std::net::Shutdown::Both);
}
