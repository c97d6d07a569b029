//! Gossip streams: which members have one, and what waits until one is open.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use guifi_streams::Key;

use super::duties::ALONE;
use super::{Effect, Node, Now, Protocol};
use crate::frame::{self, Frame, kind};
use crate::gossip::Output;
use crate::record::Record;

/// A clock that differs by more from what has passed was set; drift stays below it for an hour.
const STEP_MS: i64 = 1000;
/// Between two questions for the connected members' clocks.
const CLOCKS: Duration = Duration::from_secs(3600);
/// Frames that wait for one stream to open.
const MAX_QUEUE: usize = 64;

/// The gossip streams of a node.
#[derive(Debug, Default)]
pub(super) struct Links {
    up: BTreeMap<Key, BTreeSet<u64>>,
    waiting: BTreeMap<Key, VecDeque<Frame>>,
}

impl Links {
    pub(super) fn is_up(&self, peer: Key) -> bool {
        self.up.contains_key(&peer)
    }
}

impl Node {
    /// The members with an open gossip stream.
    pub fn linked(&self) -> impl Iterator<Item = Key> + '_ {
        self.links.up.keys().copied()
    }

    /// A gossip stream to or from `peer` is open.
    pub fn link_up(&mut self, peer: Key, id: u64, now: Now) {
        self.links.up.entry(peer).or_default().insert(id);
        if self.suspects.remove(&peer).is_some() {
            // A neighbour whose stream broke is here: it is one again.
            self.gossip.join(&[peer], now.at);
        }
        self.lost.remove(&peer);
        self.effects
            .push(Effect::Send(peer, frame::clock(now.clock_ms)));
        for frame in self.links.waiting.remove(&peer).unwrap_or_default() {
            self.effects.push(Effect::Send(peer, frame));
        }
        self.pump(now);
    }

    /// A frame came on a gossip stream.
    ///
    /// # Errors
    /// A sentence saying how the peer broke the protocol: the stream is to be reset.
    pub fn link_frame(&mut self, peer: Key, frame: &Frame, now: Now) -> Result<(), String> {
        self.watch_clock(now);
        match frame.kind {
            kind::MESSAGE => self.gossip.receive(peer, &frame.payload, now.at)?,
            kind::CLOCK => {
                let answer = frame::clock_answer(&frame.payload, now.clock_ms)
                    .ok_or("a clock question was cut")?;
                // The question says what the other clock shows: perhaps it has just been set.
                if let Ok(theirs) = frame.payload.as_slice().try_into() {
                    let theirs = u64::from_be_bytes(theirs);
                    self.time.observe(peer, now.clock_ms, theirs);
                }
                self.effects.push(Effect::Send(peer, answer));
            }
            kind::CLOCK_ANSWER => {
                let (asked, theirs) =
                    frame::read_clock_answer(&frame.payload).ok_or("a clock answer was cut")?;
                // Half the round trip ago the other clock said so; an answer to a question of
                // long ago, or of the future, says nothing.
                let trip = now.clock_ms.checked_sub(asked).filter(|t| *t < 10_000);
                if let Some(trip) = trip {
                    self.time.observe(peer, asked + trip / 2, theirs);
                }
            }
            other => return Err(format!("frame {other} is out of place on a gossip stream")),
        }
        self.pump(now);
        Ok(())
    }

    /// Notices that the own clock was set, as by NTP after a start without a battery: what was
    /// measured before is corrected, and everybody is asked, and so told, anew.
    pub(super) fn watch_clock(&mut self, now: Now) {
        let passed = now.at.saturating_duration_since(self.clocks_asked.at);
        let expected = self.clocks_asked.clock_ms.cast_signed()
            + i64::try_from(passed.as_millis()).unwrap_or(i64::MAX / 2);
        let step = now.clock_ms.cast_signed().saturating_sub(expected);
        let was_set = step.abs() > STEP_MS;
        if was_set {
            log::info!("the clock of this machine was set by {} s", step / 1000);
            self.time.stepped(step);
        }
        if was_set || passed > CLOCKS {
            self.clocks_asked = now;
            let question = frame::clock(now.clock_ms);
            let linked: Vec<Key> = self.linked().collect();
            let ask = linked
                .into_iter()
                .map(|key| Effect::Send(key, question.clone()));
            self.effects.extend(ask);
        }
    }

    /// A gossip stream of `peer` has ended.
    pub fn link_down(&mut self, peer: Key, id: u64, now: Now) {
        let Some(ids) = self.links.up.get_mut(&peer) else {
            return;
        };
        ids.remove(&id);
        if !ids.is_empty() {
            return;
        }
        self.links.up.remove(&peer);
        self.time.forget(peer);
        if self.neighbours.contains(&peer) {
            self.suspect(peer, now);
        }
        self.gossip.lost(peer, now.at);
        self.pump(now);
        if self.neighbours.is_empty() {
            self.schedule.redial_after(ALONE, now.at);
        }
    }

    /// A stream could not be opened.
    pub fn dial_failed(&mut self, peer: Key, protocol: Protocol, now: Now) {
        match protocol {
            Protocol::Sync => self.sync_ended(peer, false, now),
            Protocol::Gossip => {
                self.links.waiting.remove(&peer);
                self.gossip.lost(peer, now.at);
                self.suspect_failed(peer, now);
            }
        }
        self.pump(now);
    }

    fn send(&mut self, peer: Key, frame: Frame) {
        if self.links.is_up(peer) {
            self.effects.push(Effect::Send(peer, frame));
            return;
        }
        let queue = self.links.waiting.entry(peer).or_default();
        if queue.is_empty() {
            self.effects.push(Effect::Dial(peer, Protocol::Gossip));
        }
        if queue.len() < MAX_QUEUE {
            queue.push_back(frame);
        }
    }

    /// Carries out what the gossip tree wants, until it wants nothing more.
    pub(super) fn pump(&mut self, now: Now) {
        loop {
            let outputs = self.gossip.outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                match output {
                    Output::Send(peer, message) => {
                        self.send(peer, Frame::new(kind::MESSAGE, message));
                    }
                    Output::Deliver(from, content) => match Record::decode(&content) {
                        Ok(record) => {
                            let records = self.defend(vec![record.shared()], now);
                            let merged = self.book.merge(records, self.community_time(now));
                            self.digest(merged, now);
                        }
                        Err(e) => {
                            self.counters.records_refused += 1;
                            log::debug!("{from} passed on what is no record: {e}");
                        }
                    },
                    Output::Up(peer) => {
                        self.neighbours.insert(peer);
                        self.lost.remove(&peer);
                        self.syncs.neighbour(self.own, peer, now.at);
                        self.witnessing.neighbour(peer, now.at);
                        self.neighbours_changed(now);
                    }
                    Output::Down(peer) => {
                        self.neighbours.remove(&peer);
                        self.neighbours_changed(now);
                    }
                    Output::Close(peer) => {
                        if self.links.is_up(peer) {
                            self.effects.push(Effect::Close(peer));
                        }
                    }
                }
            }
        }
    }
}
