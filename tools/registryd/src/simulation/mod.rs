//! Whole communities in one process: the real nodes with their real stores and signatures; the
//! network, the clocks and all chance are the simulation's, so that a seed repeats a run.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod checker;
mod faults;
mod growth;
mod size;
mod villain;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guifi_streams::Key;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::frame::{Frame, kind};
use crate::node::{Effect, Favour, Home, LapsePace, Node, Now, Pace, Protocol, Tuning, WritePace};
use crate::record::Record;
use crate::store::Store;
use crate::sync::Session;
use crate::testing::{Signer, share};

/// When the simulated world begins, in milliseconds since 1970.
const BEGIN_MS: u64 = 1_795_000_000_000;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Boxes whose stores find room in memory, where nothing waits for a disk.
const MANY: usize = 500;

/// What the network does to frames.
#[derive(Clone, Copy, Debug)]
struct Weather {
    /// The part of all frames that is lost, though streams would repeat them.
    loss: f64,
    /// The shortest and the longest way, in milliseconds.
    delay_ms: (u64, u64),
}

/// A box, running or not.
struct Site {
    signer: Signer,
    dir: PathBuf,
    node: Option<Node>,
    /// When its next tick stands in the queue.
    wake: Option<Duration>,
    /// How far its clock is off, in milliseconds, and how fast it goes wrong, in millionths.
    skew_ms: i64,
    drift_ppm: i64,
    /// Boxes reach those of the same island only.
    island: u8,
    sent_bytes: u64,
    received_bytes: u64,
    /// Of both, what reconciliations took.
    sync_bytes: u64,
}

#[derive(Debug)]
enum Event {
    Tick(usize),
    Dialled(usize, usize, Protocol),
    /// Nobody has that key any more, or ever had.
    NotFound(usize, Key, Protocol),
    Frame(usize, usize, u64, Frame),
    Closed(usize, usize),
    Asked(usize, usize, Favour),
}

/// A community and the time that passes in it.
struct World {
    start: Instant,
    at: Duration,
    rng: StdRng,
    weather: Weather,
    founding: Record,
    sites: Vec<Site>,
    by_key: HashMap<Key, usize>,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: HashMap<u64, Event>,
    made: u64,
    /// Streams that are open, by who opened them, with their number.
    links: BTreeMap<(usize, usize), u64>,
    /// When the last frame of a stream arrives, so that none overtakes another.
    arrivals: HashMap<(usize, usize), Duration>,
    _dir: tempfile::TempDir,
}

impl World {
    /// `size` boxes, none of them running; the first `founders` found an open community.
    fn new(size: usize, founders: usize, seed: u64, weather: Weather) -> Self {
        share::begin();
        // The stores of thousands have no room in memory, and need none.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if size <= MANY && memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let signers: Vec<Signer> = (0..size).map(Signer::numbered).collect();
        let others: Vec<&Signer> = signers[1..founders].iter().collect();
        let founding = signers[0].found("open", &others);
        let by_key = signers.iter().enumerate().map(|(n, s)| (s.key(), n));
        Self {
            start: Instant::now(),
            at: Duration::ZERO,
            rng: StdRng::seed_from_u64(seed),
            weather,
            founding,
            by_key: by_key.collect(),
            sites: signers
                .into_iter()
                .enumerate()
                .map(|(n, signer)| Site {
                    signer,
                    dir: dir.path().join(n.to_string()),
                    node: None,
                    wake: None,
                    skew_ms: 0,
                    drift_ppm: 0,
                    island: 0,
                    sent_bytes: 0,
                    received_bytes: 0,
                    sync_bytes: 0,
                })
                .collect(),
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            made: 0,
            links: BTreeMap::new(),
            arrivals: HashMap::new(),
            _dir: dir,
        }
    }

    fn key(&self, n: usize) -> Key {
        self.sites[n].signer.key()
    }

    fn now(&self, n: usize) -> Now {
        let site = &self.sites[n];
        let passed = self.at.as_millis() as i64;
        let wrong = site.skew_ms + passed * site.drift_ppm / 1_000_000;
        Now {
            at: self.start + self.at,
            clock_ms: (BEGIN_MS as i64 + passed + wrong) as u64,
        }
    }

    /// The time by a clock that is right.
    fn true_ms(&self) -> u64 {
        BEGIN_MS + self.at.as_millis() as u64
    }

    fn node(&mut self, n: usize) -> &mut Node {
        self.sites[n].node.as_mut().unwrap()
    }

    fn running(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.sites.len()).filter(|n| self.sites[*n].node.is_some())
    }

    /// Starts a box, with what its store holds.
    fn boot(&mut self, n: usize) {
        self.boot_with(n, &[]);
    }

    /// Starts a box that holds `records`, too.
    fn boot_with(&mut self, n: usize, records: &[Arc<Record>]) {
        let now = self.now(n);
        let seed = self.rng.random();
        let site = &mut self.sites[n];
        std::fs::create_dir_all(&site.dir).unwrap();
        let mut opened = Store::open(&site.dir.join("registry.db")).unwrap();
        opened.store.simulate();
        opened.records.extend_from_slice(records);
        let home = Home {
            name: format!("box{n}"),
            zone: "vic".into(),
        };
        let node = Node::new(
            self.founding.clone(),
            site.signer.key(),
            opened,
            home,
            tuning(),
            seed,
            Box::new(site.signer.clone()),
            now,
        );
        site.node = Some(node.unwrap());
        self.settle(n);
    }

    /// Stops a box as a power cut does.
    fn kill(&mut self, n: usize) {
        self.sites[n].node = None;
        self.sites[n].wake = None;
        let ended = self.links.keys().copied();
        let ended: Vec<_> = ended.filter(|(a, b)| *a == n || *b == n).collect();
        ended.into_iter().for_each(|link| self.unlink(link));
    }

    /// Makes box `n` a member, sponsored by `by`; both are running.
    fn admit(&mut self, n: usize, by: usize) {
        let (key, now) = (self.key(n), self.now(by));
        let home = self.node(n).home().clone();
        let admission = self.node(by).admit(key, None, &home, now);
        if let crate::node::Admission::Member(proof) = admission {
            let now = self.now(n);
            self.node(n).merge(proof, now);
            self.reconcile(n, by);
        }
        self.settle(by);
        self.settle(n);
    }

    /// A reconciliation that box `a` begins with `b`.
    fn reconcile_now(&mut self, a: usize, b: usize) {
        self.reconcile(a, b);
        self.settle(a);
        self.settle(b);
    }

    /// A box takes records in.
    fn node_merge(&mut self, n: usize, records: Vec<Record>) {
        let now = self.now(n);
        self.node(n).merge(records, now);
        self.settle(n);
    }

    fn reach(&self, a: usize, b: usize) -> bool {
        self.sites[a].island == self.sites[b].island
            && self.sites[a].node.is_some()
            && self.sites[b].node.is_some()
    }

    /// Moves a box to another island; its streams to those who stay end.
    fn strand(&mut self, n: usize, island: u8) {
        self.sites[n].island = island;
        let torn: Vec<_> = self
            .links
            .keys()
            .copied()
            .filter(|(a, b)| !self.reach(*a, *b))
            .collect();
        torn.into_iter().for_each(|link| self.unlink(link));
    }

    fn unlink(&mut self, (a, b): (usize, usize)) {
        let Some(id) = self.links.remove(&(a, b)) else {
            return;
        };
        for (end, other) in [(a, b), (b, a)] {
            let (key, now) = (self.key(other), self.now(end));
            if let Some(node) = &mut self.sites[end].node {
                node.link_down(key, id, now);
                self.settle(end);
            }
        }
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.made += 1;
        self.queue.push(Reverse((self.at + delay, self.made)));
        self.events.insert(self.made, event);
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = self.weather.delay_ms;
        Duration::from_millis(self.rng.random_range(least..=most))
    }

    fn is_lost(&mut self) -> bool {
        self.rng.random_bool(self.weather.loss)
    }

    /// Carries out what a box wants done, and notes when it wants to be woken.
    fn settle(&mut self, n: usize) {
        let Some(node) = &mut self.sites[n].node else {
            return;
        };
        for effect in node.effects() {
            let to = |world: &Self, key: Key| world.by_key.get(&key).copied();
            match effect {
                Effect::Dial(peer, protocol) => match to(self, peer) {
                    Some(to) => {
                        let delay = self.delay() * 3;
                        self.after(delay, Event::Dialled(n, to, protocol));
                    }
                    None => self.after(SECOND * 10, Event::NotFound(n, peer, protocol)),
                },
                Effect::Send(peer, frame) => {
                    if let Some(to) = to(self, peer) {
                        self.post(n, to, frame);
                    }
                }
                Effect::Close(peer) => {
                    if let Some(to) = to(self, peer) {
                        // What was said before it closed arrives before its end.
                        let arrival = self.arrival(n, to);
                        self.after(arrival - self.at, Event::Closed(n, to));
                    }
                }
                Effect::Ask(peer, favour) => {
                    if let Some(to) = to(self, peer) {
                        let delay = self.delay() * 2;
                        self.after(delay, Event::Asked(n, to, favour));
                    }
                }
                Effect::Configure(_) | Effect::Changed(_) | Effect::Synced => {}
            }
        }
        let site = &mut self.sites[n];
        let Some(node) = &site.node else { return };
        let wake = node
            .next_tick()
            .saturating_duration_since(self.start)
            .max(self.at);
        if site
            .wake
            .is_none_or(|known| wake < known || known < self.at)
        {
            site.wake = Some(wake);
            self.after(wake - self.at, Event::Tick(n));
        }
    }

    fn post(&mut self, from: usize, to: usize, frame: Frame) {
        let link = [(from, to), (to, from)];
        let Some(id) = link.iter().find_map(|l| self.links.get(l)).copied() else {
            return;
        };
        let size = frame_bytes(&frame);
        self.sites[from].sent_bytes += size;
        if self.is_lost() {
            return;
        }
        let arrival = self.arrival(from, to);
        self.after(arrival - self.at, Event::Frame(from, to, id, frame));
    }

    /// When what is sent now arrives: nothing overtakes what was sent before.
    fn arrival(&mut self, from: usize, to: usize) -> Duration {
        let last = self.arrivals.get(&(from, to)).copied().unwrap_or_default();
        let arrival = (self.at + self.delay()).max(last);
        self.arrivals.insert((from, to), arrival);
        arrival
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick(n) => {
                if self.sites[n].wake != Some(self.at) {
                    return;
                }
                self.sites[n].wake = None;
                let now = self.now(n);
                if let Some(node) = &mut self.sites[n].node {
                    node.tick(now);
                }
                self.settle(n);
            }
            Event::Closed(a, b) => {
                self.unlink((a, b));
                self.unlink((b, a));
            }
            Event::Dialled(from, to, protocol) => {
                if self.sites[from].node.is_none() {
                    return;
                }
                let (key, now) = (self.key(to), self.now(from));
                let welcome = self.reach(from, to) && self.are_members(from, to);
                match protocol {
                    _ if !welcome => self.node(from).dial_failed(key, protocol, now),
                    Protocol::Sync => self.reconcile(from, to),
                    Protocol::Gossip => self.link(from, to),
                }
                self.settle(from);
                self.settle(to);
            }
            Event::NotFound(from, key, protocol) => {
                let now = self.now(from);
                if let Some(node) = &mut self.sites[from].node {
                    node.dial_failed(key, protocol, now);
                    self.settle(from);
                }
            }
            Event::Asked(from, to, favour) => {
                if self.reach(from, to) && favour == Favour::Sponsor {
                    let (key, now) = (self.key(from), self.now(to));
                    self.node(to).sponsor_further(key, None, now);
                    self.settle(to);
                }
            }
            Event::Frame(from, to, id, frame) => {
                let open = [(from, to), (to, from)];
                if !open.iter().any(|l| self.links.get(l) == Some(&id)) {
                    return;
                }
                self.sites[to].received_bytes += frame_bytes(&frame);
                let (key, now) = (self.key(from), self.now(to));
                let taken = self.node(to).link_frame(key, &frame, now);
                if taken.is_err() {
                    self.happen(Event::Closed(from, to));
                }
                self.settle(to);
            }
        }
    }

    /// peerd lets members in only, as each side knows them.
    fn are_members(&mut self, a: usize, b: usize) -> bool {
        let keys = [self.key(a), self.key(b)];
        let knows = |node: &Node, key| node.book().ruling().is_member(key);
        knows(self.node(b), keys[0]) && knows(self.node(a), keys[1])
    }

    fn link(&mut self, from: usize, to: usize) {
        self.unlink((from, to));
        self.made += 1;
        let id = self.made;
        self.links.insert((from, to), id);
        for (end, other) in [(from, to), (to, from)] {
            let (key, now) = (self.key(other), self.now(end));
            self.node(end).link_up(key, id, now);
            self.settle(end);
        }
    }

    /// One reconciliation, in one instant; in bad weather it may be cut short anywhere.
    fn reconcile(&mut self, a: usize, b: usize) {
        let (keys, now) = ([self.key(a), self.key(b)], self.now(b));
        if !self.node(b).sync_asked(keys[0], now) {
            let now = self.now(a);
            return self.node(a).sync_ended(keys[1], false, now);
        }
        let community = self.founding.hash;
        let clocks = [self.now(a).clock_ms, self.now(b).clock_ms];
        let snapshots = [
            self.node(a).snapshot().collect(),
            self.node(b).snapshot().collect(),
        ];
        let [left, right]: [Vec<_>; 2] = snapshots;
        let mut sides = [
            Session::new(community, left.into_iter(), true).unwrap(),
            Session::new(community, right.into_iter(), false).unwrap(),
        ];
        let first = sides[0].start(clocks[0]).unwrap();
        let mut queues = [VecDeque::new(), VecDeque::from(first)];
        let mut gained = [Vec::new(), Vec::new()];
        let mut bytes = [0, 0];
        let mut left = if self.is_lost() {
            self.rng.random_range(0..40)
        } else {
            usize::MAX
        };
        while let Some(at) = (0..2).find(|at| !queues[*at].is_empty()) {
            if left == 0 {
                break;
            }
            left -= 1;
            let frame = queues[at].pop_front().unwrap();
            bytes[at] += frame_bytes(&frame);
            let reaction = sides[at].receive(&frame, clocks[at]).unwrap();
            let other = &mut queues[1 - at];
            other.extend(reaction.frames);
            let records = reaction.records.iter();
            other.extend(records.map(|r| Frame::new(kind::RECORD, r.encode())));
            other.extend(reaction.done.then(|| Frame::new(kind::DONE, [])));
            gained[at].extend(reaction.arrived);
        }
        for ((end, other), (records, size)) in [(a, b), (b, a)]
            .into_iter()
            .zip(gained.into_iter().zip(bytes))
        {
            self.sites[end].received_bytes += size;
            self.sites[other].sent_bytes += size;
            self.sites[end].sync_bytes += size;
            self.sites[other].sync_bytes += size;
            let now = self.now(end);
            self.node(end).merge(records, now);
            self.settle(end);
        }
        let now = self.now(b);
        self.node(b).sync_answered(keys[0], left > 0, now);
        let now = self.now(a);
        self.node(a).sync_ended(keys[1], left > 0, now);
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.at + time;
        while let Some(Reverse((at, id))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.at = self.at.max(at);
            let event = self.events.remove(&id).unwrap();
            self.happen(event);
        }
        self.at = end;
    }

    /// Lets much time pass: everybody looks up twice a day only.
    fn leap(&mut self, time: Duration) {
        let end = self.at + time;
        while self.at < end {
            // What was under way is over when everybody looks up again.
            self.queue.clear();
            self.events.clear();
            self.at += DAY / 2;
            for n in self.running().collect::<Vec<_>>() {
                self.sites[n].wake = None;
                self.settle(n);
            }
            self.run(SECOND * 30);
        }
    }
}

fn frame_bytes(frame: &Frame) -> u64 {
    // What travels before the payload: kind and length.
    frame.payload.len() as u64 + 5
}

fn tuning() -> Tuning {
    Tuning {
        sponsor: Pace {
            per_day: 100_000,
            per_network: 100_000,
        },
        write: WritePace {
            burst: 100,
            every: Duration::from_secs(10),
        },
        sync_interval: MINUTE,
        lapse: LapsePace::default(),
    }
}
