//! A reconciliation over a stream.

use std::io::{BufReader, BufWriter, Write as _};
use std::sync::Arc;
use std::time::Duration;

use guifi_streams::{Key, Stream};

use crate::engine::{Handle, now};
use crate::frame::{Frame, kind};
use crate::record::Record;
use crate::sync::Session;
use crate::time::own_clock_ms;

/// How long the peer may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// Records that are merged at a time.
const BATCH: usize = 256;

/// Reconciles as the side that opened the stream.
pub(super) fn initiate(stream: &Stream, handle: &Handle) {
    let peer = stream.peer;
    let outcome = run(stream, true, handle);
    if let Err(e) = &outcome {
        log::debug!("reconciliation with {peer} failed: {e}");
        stream.reset(256);
    }
    let well = outcome.is_ok();
    handle.send(move |engine| {
        if let Ok(node) = engine.node() {
            node.sync_ended(peer, well, now());
        }
    });
}

/// Reconciles as the other side.
pub(super) fn answer(stream: &Stream, handle: &Handle) {
    if let Err(e) = run(stream, false, handle) {
        log::debug!("reconciliation asked for by {} failed: {e}", stream.peer);
        stream.reset(256);
    }
}

fn run(stream: &Stream, initiator: bool, handle: &Handle) -> Result<(), String> {
    let io = |e: std::io::Error| e.to_string();
    stream.socket.set_read_timeout(Some(SILENCE)).map_err(io)?;
    stream.socket.set_write_timeout(Some(SILENCE)).map_err(io)?;
    // The snapshot shares the records; indexing them is done here, not in the engine.
    let snapshot = handle
        .call(|engine| {
            engine
                .node()
                .map(|n| (n.community(), n.snapshot().collect::<Vec<_>>()))
        })
        .map_err(|e| e.to_string())?;
    let (community, records): (_, Vec<Arc<Record>>) = snapshot.map_err(|e| e.to_string())?;
    let mut session = Session::new(community, records.into_iter(), initiator)?;
    let mut input = BufReader::new(&stream.socket);
    let mut output = BufWriter::new(&stream.socket);
    for frame in session.start(own_clock_ms())? {
        frame.write(&mut output).map_err(io)?;
    }
    output.flush().map_err(io)?;
    let mut batch = Vec::new();
    loop {
        let frame = Frame::read(&mut input).map_err(io)?;
        let reaction = session.receive(&frame, own_clock_ms())?;
        batch.extend(reaction.arrived);
        if batch.len() >= BATCH {
            merge(handle, stream.peer, std::mem::take(&mut batch))?;
        }
        for frame in reaction.frames {
            frame.write(&mut output).map_err(io)?;
        }
        for record in reaction.records {
            Frame::new(kind::RECORD, record.encode())
                .write(&mut output)
                .map_err(io)?;
        }
        if reaction.done {
            Frame::new(kind::DONE, []).write(&mut output).map_err(io)?;
        }
        output.flush().map_err(io)?;
        if reaction.finished {
            return merge(handle, stream.peer, batch);
        }
    }
}

fn merge(handle: &Handle, peer: Key, records: Vec<Arc<Record>>) -> Result<(), String> {
    if records.is_empty() {
        return Ok(());
    }
    log::debug!("{} records from {peer}", records.len());
    handle
        .call(move |engine| {
            if let Ok(node) = engine.node() {
                node.merge(records, now());
            }
        })
        .map_err(|e| e.to_string())
}
