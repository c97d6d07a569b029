//! Encoding, on a thread of its own: as fast as the slowest server takes its share.

use bytes::Bytes;
use guifi_tahoe::ShareNumber;
use guifi_tahoe::chk::{Encoded, Encoder, Parameters, Segment};
use tokio::sync::mpsc;

use crate::problem::{Problem, Reason};
use crate::spool::Source;

/// Where a file's segments come from: plaintext, or ciphertext in a repair.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) source: Source,
    pub(crate) parameters: Parameters,
}

/// Encodes all segments, and gives every lane the bytes of its share. A lane that ended is
/// passed over; the file is encoded to its end all the same, since the cap takes all of it.
pub(super) fn run(
    mut encoder: Encoder,
    feed: &Feed,
    lanes: Vec<(ShareNumber, mpsc::Sender<Bytes>)>,
) -> Result<Encoded, Problem> {
    let send = |lane: &mpsc::Sender<Bytes>, bytes: Bytes| {
        // Its server is lost; the next pass sees to that.
        let _ = lane.blocking_send(bytes);
    };
    let header = Bytes::from(encoder.layout().header());
    for (_, lane) in &lanes {
        send(lane, header.clone());
    }
    let Feed { source, parameters } = feed;
    let mut segment = Segment::default();
    let mut offset = 0;
    for number in 0..parameters.segments() {
        let room = segment.prepare(parameters, number);
        let length = room.len() as u64;
        source.read(offset, room).map_err(|e| {
            Problem::new(
                Reason::Internal,
                format!("cannot read the file that waits here: {e}"),
            )
        })?;
        offset += length;
        encoder.encode(&mut segment)?;
        for (share, lane) in &lanes {
            if !lane.is_closed() {
                send(lane, Bytes::copy_from_slice(segment.block(*share)));
            }
        }
    }
    let encoded = encoder.finish()?;
    for (share, lane) in &lanes {
        send(lane, encoded.tail(*share).into());
    }
    Ok(encoded)
}
