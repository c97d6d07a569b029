//! The gossip tree: the I/O-free HyParView and Plumtree state machine of `iroh-gossip`, with
//! its timers, its one topic (the community) and its messages as bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use guifi_streams::Key;
use iroh_gossip::proto::{
    Command, Config, Event, HyparviewConfig, InEvent, Message, OutEvent, PlumtreeConfig, Scope,
    State, Timer, TopicId,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::record::{Hash, MAX_BYTES};

type Peer = [u8; 32];

/// The largest gossip message in bytes; records must fit.
const MAX_MESSAGE: usize = 8192;
const _: () = assert!(MAX_BYTES + 512 < MAX_MESSAGE);

/// What the tree wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this message on the gossip stream to a peer, opening one if need be.
    Send(Key, Vec<u8>),
    /// A message of somebody's, got from this peer.
    Deliver(Key, Bytes),
    /// A neighbour more.
    Up(Key),
    /// A neighbour less.
    Down(Key),
    /// The stream to a peer is not needed any more.
    Close(Key),
}

/// The gossip tree of one community as this box sees it.
pub struct Gossip {
    topic: TopicId,
    state: State<Peer, StdRng>,
    timers: BTreeMap<(Instant, u64), Timer<Peer>>,
    scheduled: u64,
    outputs: Vec<Output>,
}

impl Gossip {
    /// A tree of one; `seed` makes its choices repeatable.
    #[must_use]
    pub fn new(own: Key, community: Hash, seed: u64, now: Instant) -> Self {
        let config = Config {
            membership: HyparviewConfig {
                // A radio link may need its time; nothing waits for this.
                neighbor_request_timeout: Duration::from_secs(3),
                ..HyparviewConfig::default()
            },
            broadcast: PlumtreeConfig {
                graft_timeout_1: Duration::from_millis(400),
                graft_timeout_2: Duration::from_millis(200),
                // The default of one second would wake an idle box for nothing.
                cache_evict_interval: Duration::from_secs(30),
                ..PlumtreeConfig::default()
            },
            max_message_size: MAX_MESSAGE,
        };
        let rng = StdRng::seed_from_u64(seed);
        let mut gossip = Self {
            topic: TopicId::from_bytes(community),
            state: State::new(own.0, Default::default(), config, rng),
            timers: BTreeMap::new(),
            scheduled: 0,
            outputs: Vec::new(),
        };
        gossip.join(&[], now);
        gossip
    }

    /// Meets further peers.
    pub fn join(&mut self, peers: &[Key], now: Instant) {
        let peers = peers.iter().map(|k| k.0).collect();
        self.handle(InEvent::Command(self.topic, Command::Join(peers)), now);
    }

    /// Sends a message to everybody.
    pub fn broadcast(&mut self, message: Vec<u8>, now: Instant) {
        let command = Command::Broadcast(message.into(), Scope::Swarm);
        self.handle(InEvent::Command(self.topic, command), now);
    }

    /// A message arrived on the stream from `peer`.
    ///
    /// # Errors
    /// A sentence if it is no message of this protocol.
    pub fn receive(&mut self, peer: Key, message: &[u8], now: Instant) -> Result<(), String> {
        if message.len() > MAX_MESSAGE + 512 {
            return Err("a gossip message is too large".to_owned());
        }
        let message: Message<Peer> =
            postcard::from_bytes(message).map_err(|e| format!("not a gossip message: {e}"))?;
        self.handle(InEvent::RecvMessage(peer.0, message), now);
        Ok(())
    }

    /// The last stream to `peer` is gone, or none could be opened.
    pub fn lost(&mut self, peer: Key, now: Instant) {
        self.handle(InEvent::PeerDisconnected(peer.0), now);
    }

    /// Fires the timers that are due.
    pub fn tick(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let timer = entry.remove();
            self.handle(InEvent::TimerExpired(timer), now);
        }
    }

    /// When the next timer is due.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is to be done since the last call.
    pub fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    fn handle(&mut self, event: InEvent<Peer>, now: Instant) {
        let events: Vec<OutEvent<Peer>> = self
            .state
            .handle(event, tokio::time::Instant::from_std(now), None)
            .collect();
        for event in events {
            match event {
                OutEvent::SendMessage(peer, message) => match postcard::to_stdvec(&message) {
                    Ok(bytes) => self.outputs.push(Output::Send(Key(peer), bytes)),
                    Err(e) => log::warn!("cannot encode a gossip message: {e}; dropped"),
                },
                OutEvent::EmitEvent(_, Event::NeighborUp(peer)) => {
                    self.outputs.push(Output::Up(Key(peer)));
                }
                OutEvent::EmitEvent(_, Event::NeighborDown(peer)) => {
                    self.outputs.push(Output::Down(Key(peer)));
                }
                OutEvent::EmitEvent(_, Event::Received(got)) => {
                    self.outputs
                        .push(Output::Deliver(Key(got.delivered_from), got.content));
                }
                OutEvent::ScheduleTimer(after, timer) => {
                    self.scheduled += 1;
                    self.timers.insert((now + after, self.scheduled), timer);
                }
                OutEvent::DisconnectPeer(peer) => self.outputs.push(Output::Close(Key(peer))),
                OutEvent::PeerData(..) => {}
            }
        }
    }
}
