//! Reconciliation of two boxes' whole sets by ranges (negentropy), then the exchange of what
//! each lacks. A session is told frames and answers frames; it does no input or output.

use std::collections::HashMap;
use std::sync::Arc;

use negentropy::{Id, Negentropy, NegentropyStorageVector};

use crate::frame::{Frame, MAX_PAYLOAD, chunks, kind};
use crate::kinds;
use crate::record::{Hash, Record};

/// The largest reconciliation message.
const RANGE_BYTES: u64 = 60_000;
/// Hashes in one `WANT` frame.
const WANT_HASHES: usize = 1000;
/// Rounds after which the peer is not believed any more.
const MAX_ROUNDS: usize = 1000;
/// Records that one session takes.
const MAX_RECORDS: usize = 2_000_000;

/// One side of a reconciliation.
pub struct Session {
    community: Hash,
    ranges: Negentropy<'static, NegentropyStorageVector>,
    records: Vec<Arc<Record>>,
    /// The same by hash, made once the peer lacks something: mostly it lacks nothing.
    by_hash: Option<HashMap<Hash, Arc<Record>>>,
    initiator: bool,
    stage: Stage,
    rounds: usize,
    received: usize,
    have: Vec<Id>,
    need: Vec<Id>,
    wanted: Vec<Arc<Record>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Greeting,
    Ranges,
    Records,
}

/// What a frame led to.
#[derive(Debug, Default)]
pub struct Reaction {
    /// Frames to send, in this order, before the records.
    pub frames: Vec<Frame>,
    /// Records to send after them.
    pub records: Vec<Arc<Record>>,
    /// The `DONE` frame is to be sent last.
    pub done: bool,
    /// So many records the peer has been asked for.
    pub asked_for: usize,
    /// A record that arrived.
    pub arrived: Option<Arc<Record>>,
    /// The session is over once everything is sent.
    pub finished: bool,
}

impl Session {
    /// A session over `records`, as the side that opened the stream or as the other.
    ///
    /// # Errors
    /// A sentence if the records cannot be indexed.
    pub fn new(
        community: Hash,
        records: impl Iterator<Item = Arc<Record>>,
        initiator: bool,
    ) -> Result<Self, String> {
        let records: Vec<Arc<Record>> = records.collect();
        let mut storage = NegentropyStorageVector::with_capacity(records.len());
        for record in &records {
            storage
                .insert(record.version, Id::from_byte_array(record.hash))
                .map_err(broken)?;
        }
        storage.seal().map_err(broken)?;
        Ok(Self {
            community,
            ranges: Negentropy::owned(storage, RANGE_BYTES).map_err(broken)?,
            records,
            by_hash: None,
            initiator,
            stage: Stage::Greeting,
            rounds: 0,
            received: 0,
            have: Vec::new(),
            need: Vec::new(),
            wanted: Vec::new(),
        })
    }

    /// The frames to open with; none for the side that did not open the stream.
    ///
    /// # Errors
    /// A sentence from the reconciliation.
    pub fn start(&mut self, clock_ms: u64) -> Result<Vec<Frame>, String> {
        if !self.initiator {
            return Ok(Vec::new());
        }
        let first = self.ranges.initiate().map_err(broken)?;
        Ok(vec![
            Frame::hello(&self.community, clock_ms),
            Frame::new(kind::MESSAGE, first),
        ])
    }

    /// Takes a frame of the peer.
    ///
    /// # Errors
    /// A sentence saying how the peer broke the protocol: the stream is to be reset.
    pub fn receive(&mut self, frame: &Frame, clock_ms: u64) -> Result<Reaction, String> {
        let mut reaction = Reaction::default();
        match (self.stage, frame.kind) {
            (Stage::Greeting, kind::HELLO) => {
                frame.read_hello(&self.community)?;
                self.stage = Stage::Ranges;
                if !self.initiator {
                    reaction
                        .frames
                        .push(Frame::hello(&self.community, clock_ms));
                }
            }
            (Stage::Ranges, kind::MESSAGE) => self.reconcile(&frame.payload, &mut reaction)?,
            (Stage::Ranges | Stage::Records, kind::WANT) if !self.initiator => {
                self.stage = Stage::Records;
                for hash in chunks(&frame.payload).ok_or("a list of hashes was cut")? {
                    let record = self.take(&hash);
                    self.wanted.extend(record);
                }
            }
            (Stage::Ranges | Stage::Records, kind::RECORD)
                if !self.initiator || self.stage == Stage::Records =>
            {
                self.stage = Stage::Records;
                self.received += 1;
                if self.received > MAX_RECORDS {
                    return Err("too many records".to_owned());
                }
                reaction.arrived = Some(Record::decode(&frame.payload)?.shared());
            }
            (Stage::Ranges | Stage::Records, kind::DONE)
                if !self.initiator || self.stage == Stage::Records =>
            {
                reaction.records = in_order(std::mem::take(&mut self.wanted));
                reaction.done = !self.initiator;
                reaction.finished = true;
            }
            (stage, other) => return Err(format!("frame {other} is out of place in {stage:?}")),
        }
        Ok(reaction)
    }

    fn reconcile(&mut self, message: &[u8], reaction: &mut Reaction) -> Result<(), String> {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Err("the reconciliation does not end".to_owned());
        }
        if !self.initiator {
            let answer = self.ranges.reconcile(message).map_err(broken)?;
            reaction.frames.push(Frame::new(kind::MESSAGE, answer));
            return Ok(());
        }
        let next = self
            .ranges
            .reconcile_with_ids(message, &mut self.have, &mut self.need)
            .map_err(broken)?;
        if let Some(next) = next {
            reaction.frames.push(Frame::new(kind::MESSAGE, next));
            return Ok(());
        }
        self.stage = Stage::Records;
        reaction.asked_for = self.need.len();
        for part in self.need.chunks(WANT_HASHES) {
            let hashes: Vec<u8> = part.iter().flat_map(|id| id.iter().copied()).collect();
            debug_assert!(hashes.len() <= MAX_PAYLOAD);
            reaction.frames.push(Frame::new(kind::WANT, hashes));
        }
        let have = std::mem::take(&mut self.have);
        let records = have.iter().filter_map(|id| self.take(id)).collect();
        reaction.records = in_order(records);
        reaction.done = true;
        Ok(())
    }

    /// A record to send; each is sent once, so nobody can ask for more than there is.
    fn take(&mut self, hash: &Hash) -> Option<Arc<Record>> {
        let records = &mut self.records;
        self.by_hash
            .get_or_insert_with(|| records.drain(..).map(|r| (r.hash, r)).collect())
            .remove(hash)
    }
}

/// What decides who is a member goes first, and of that the older, as nobody sponsors before he
/// is a member: a newcomer takes the rest as it comes, of which it could keep little otherwise.
fn in_order(mut records: Vec<Arc<Record>>) -> Vec<Arc<Record>> {
    records.sort_by_key(|r| (kinds::rank(&r.key.kind), r.version));
    records
}

fn broken(error: negentropy::Error) -> String {
    format!("the reconciliation failed: {error}")
}

#[cfg(test)]
mod tests;
