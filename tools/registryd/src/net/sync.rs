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
/// Records that are merged at a time: with each part that says who is a member the rules are
/// worked out over the whole book.
const BATCH: usize = 2048;
/// How a stream is reset: something went wrong, or this box has no time now.
const FAILED: u32 = 256;
const BUSY: u32 = 257;

/// Reconciles as the side that opened the stream.
pub(super) fn initiate(stream: &Stream, handle: &Handle) {
    let peer = stream.peer;
    let outcome = run(stream, true, handle);
    if let Err(e) = &outcome {
        log::debug!("reconciliation with {peer} failed: {e}");
        stream.reset(FAILED);
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
    let peer = stream.peer;
    let asked = handle.call(move |engine| engine.node().map(|n| n.sync_asked(peer, now())));
    if let Ok(Ok(false)) = asked {
        log::debug!("no reconciliation with {peer} while a book is being taken in");
        stream.reset(BUSY);
        return;
    }
    let outcome = run(stream, false, handle);
    if let Err(e) = &outcome {
        log::debug!("reconciliation asked for by {peer} failed: {e}");
        stream.reset(FAILED);
    }
    let well = outcome.is_ok();
    handle.send(move |engine| {
        if let Ok(node) = engine.node() {
            node.sync_answered(peer, well, now());
        }
    });
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
    let mut to_come = 0;
    loop {
        let frame = Frame::read(&mut input).map_err(io)?;
        let reaction = session.receive(&frame, own_clock_ms())?;
        batch.extend(reaction.arrived);
        if reaction.asked_for > 0 || batch.len() >= BATCH {
            to_come += reaction.asked_for;
            merge(handle, stream.peer, std::mem::take(&mut batch), to_come)?;
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
            return merge(handle, stream.peer, batch, 0);
        }
    }
}

/// Takes records in, of a reconciliation in which `to_come` were asked for.
fn merge(
    handle: &Handle,
    peer: Key,
    records: Vec<Arc<Record>>,
    to_come: usize,
) -> Result<(), String> {
    if records.is_empty() && to_come == 0 {
        return Ok(());
    }
    log::debug!("{} records from {peer}", records.len());
    handle
        .call(move |engine| {
            if let Ok(node) = engine.node() {
                if to_come > 0 {
                    node.sync_goes_on(to_come, now());
                }
                node.merge(records, now());
            }
        })
        .map_err(|e| e.to_string())
}
