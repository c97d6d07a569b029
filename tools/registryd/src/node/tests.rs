#![allow(clippy::unwrap_used)]
mod ban;
mod clock;
mod door;
mod invite;
mod lapse;
mod reach;
mod rotate;
mod sleep;
mod sponsors;
mod syncs;
mod twin;
mod witness;
mod write;

use super::*;
use crate::frame::{Frame, kind};
use crate::record::RecordKey;
use crate::sync::Session;
use crate::testing::Signer;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

const T: u64 = 1_795_000_000_000;
const DELAY: Duration = Duration::from_millis(20);

impl Sign for Signer {
    fn sign(&self, context: &str, message: &[u8]) -> Result<[u8; 64], String> {
        Ok(Signer::sign(self, context, message))
    }
}

#[derive(Debug)]
enum Event {
    Dialled(usize, usize, Protocol),
    Frame(usize, usize, Frame),
    Closed(usize, usize),
    Asked(usize, usize, Favour),
}

/// Several nodes and the time between them.
struct Town {
    start: Instant,
    at: Duration,
    nodes: Vec<Option<Node>>,
    signers: Vec<Signer>,
    founding: Record,
    dirs: Vec<tempfile::TempDir>,
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Event>,
    made: u64,
    links: BTreeMap<(usize, usize), u64>,
    cut: BTreeSet<(usize, usize)>,
    skew_ms: Vec<i64>,
    frames: u64,
    /// Favours that were asked for.
    asked: u64,
}

impl Town {
    fn new(size: usize) -> Self {
        Self::with(size, size)
    }

    /// A town of which the first `admitted` are members.
    fn with(size: usize, admitted: usize) -> Self {
        Self::founded("open", size, admitted)
    }

    /// The same with a door, if `policy` is `closed`.
    fn founded(policy: &str, size: usize, admitted: usize) -> Self {
        let signers: Vec<Signer> = (0..size).map(|n| Signer::new(n as u8 + 1)).collect();
        let founding = signers[0].found(policy, &[]);
        let mut town = Self {
            start: Instant::now(),
            at: Duration::ZERO,
            nodes: (0..size).map(|_| None).collect(),
            dirs: (0..size).map(|_| tempfile::tempdir().unwrap()).collect(),
            founding,
            signers,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            made: 0,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            skew_ms: vec![0; size],
            frames: 0,
            asked: 0,
        };
        for n in 0..size {
            town.boot(n);
        }
        (1..admitted).for_each(|n| town.admit(n, 0));
        town
    }

    /// Box `n` becomes a member, sponsored by `by`.
    fn admit(&mut self, n: usize, by: usize) {
        let (key, now) = (self.signers[n].key(), self.now(by));
        let home = self.node(n).home().clone();
        let mut admission = self.node(by).admit(key, None, &home, now);
        if matches!(admission, Admission::Wait) {
            self.node(by).approve(&key.to_string(), now).unwrap();
            admission = self.node(by).admit(key, None, &home, now);
        }
        let Admission::Member(proof) = admission else {
            panic!("{admission:?}")
        };
        self.enter(n, by, proof);
    }

    /// Box `n` takes up the membership that `proof` shows, and compares books with `by`.
    fn enter(&mut self, n: usize, by: usize, proof: Vec<Record>) {
        let now = self.now(n);
        self.node(n).merge(proof, now);
        // What joining does next: one reconciliation with the seed.
        self.reconcile(n, by);
    }

    fn boot(&mut self, n: usize) {
        let opened = Store::open(&self.dirs[n].path().join("registry.db")).unwrap();
        let tuning = Tuning {
            sponsor: Pace {
                per_day: 1000,
                per_network: 1000,
            },
            write: WritePace {
                burst: 100,
                every: Duration::from_secs(10),
            },
            sync_interval: Duration::from_secs(60),
            lapse: LapsePace {
                day: Duration::from_secs(600),
                days: 12,
            },
        };
        let home = Home {
            name: format!("box{n}"),
            zone: "vic".into(),
        };
        let node = Node::new(
            self.founding.clone(),
            self.signers[n].key(),
            opened,
            home,
            tuning,
            n as u64 + 77,
            Box::new(self.signers[n].clone()),
            self.now(n),
        );
        self.nodes[n] = Some(node.unwrap());
    }

    fn kill(&mut self, n: usize) {
        self.nodes[n] = None;
        let ended: Vec<(usize, usize)> = self
            .links
            .keys()
            .filter(|(a, b)| *a == n || *b == n)
            .copied()
            .collect();
        ended.into_iter().for_each(|link| self.unlink(link));
    }

    fn unlink(&mut self, (a, b): (usize, usize)) {
        let Some(id) = self.links.remove(&(a, b)) else {
            return;
        };
        for (end, other) in [(a, b), (b, a)] {
            let (key, now) = (self.signers[other].key(), self.now(end));
            if let Some(node) = &mut self.nodes[end] {
                node.link_down(key, id, now);
            }
        }
    }

    fn cut(&mut self, left: &[usize], right: &[usize]) {
        for (a, b) in left
            .iter()
            .flat_map(|a| right.iter().map(move |b| (*a, *b)))
        {
            self.cut.extend([(a, b), (b, a)]);
            self.unlink((a, b));
            self.unlink((b, a));
        }
    }

    fn now(&self, n: usize) -> Now {
        let clock = T + u64::try_from(self.at.as_millis()).unwrap();
        Now {
            at: self.start + self.at,
            clock_ms: clock.saturating_add_signed(self.skew_ms[n]),
        }
    }

    fn node(&mut self, n: usize) -> &mut Node {
        self.nodes[n].as_mut().unwrap()
    }

    fn index(&self, key: Key) -> usize {
        self.signers.iter().position(|s| s.key() == key).unwrap()
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.made += 1;
        self.queue.push(Reverse((self.at + delay, self.made)));
        self.events.insert(self.made, event);
    }

    fn reconcile(&mut self, a: usize, b: usize) {
        let (keys, now) = ([self.signers[a].key(), self.signers[b].key()], self.now(b));
        if !self.node(b).sync_asked(keys[0], now) {
            let now = self.now(a);
            return self.node(a).sync_ended(keys[1], false, now);
        }
        let id = self.founding.hash;
        let mut sides = [
            Session::new(id, self.node(a).snapshot(), true).unwrap(),
            Session::new(id, self.node(b).snapshot(), false).unwrap(),
        ];
        let mut queues = [VecDeque::new(), VecDeque::from(sides[0].start(T).unwrap())];
        let mut gained = [Vec::new(), Vec::new()];
        while let Some(at) = (0..2).find(|at| !queues[*at].is_empty()) {
            let frame = queues[at].pop_front().unwrap();
            let reaction = sides[at].receive(&frame, T).unwrap();
            let other = &mut queues[1 - at];
            other.extend(reaction.frames);
            other.extend(
                reaction
                    .records
                    .iter()
                    .map(|r| Frame::new(kind::RECORD, r.encode())),
            );
            other.extend(reaction.done.then(|| Frame::new(kind::DONE, [])));
            gained[at].extend(reaction.arrived);
        }
        for (end, records) in [a, b].into_iter().zip(gained) {
            let now = self.now(end);
            self.node(end).merge(records, now);
        }
        let now = self.now(b);
        self.node(b).sync_answered(keys[0], true, now);
        let now = self.now(a);
        self.node(a).sync_ended(keys[1], true, now);
    }

    fn carry_out(&mut self, n: usize) {
        let Some(node) = &mut self.nodes[n] else {
            return;
        };
        for effect in node.effects() {
            match effect {
                Effect::Dial(peer, protocol) => {
                    match self.signers.iter().position(|s| s.key() == peer) {
                        Some(to) => self.after(DELAY, Event::Dialled(n, to, protocol)),
                        // A member that no box of the test has the key of.
                        None => {
                            let now = self.now(n);
                            self.node(n).dial_failed(peer, protocol, now);
                        }
                    }
                }
                Effect::Send(peer, frame) => {
                    let to = self.index(peer);
                    self.after(DELAY, Event::Frame(n, to, frame));
                }
                Effect::Close(peer) => {
                    let to = self.index(peer);
                    self.after(DELAY, Event::Closed(n, to));
                }
                Effect::Ask(peer, favour) => {
                    let to = self.index(peer);
                    self.after(DELAY, Event::Asked(n, to, favour));
                }
                Effect::Configure(_) | Effect::Changed(_) | Effect::Synced => {}
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Closed(from, to) => {
                self.unlink((from, to));
                self.unlink((to, from));
            }
            Event::Dialled(from, to, protocol) => {
                let (keys, now) = (
                    (self.signers[from].key(), self.signers[to].key()),
                    self.now(from),
                );
                // As peerd does: nobody speaks with whom he does not know as a member.
                let knows = |node: &Node| node.book().ruling().is_member(keys.0);
                let there = self.nodes[to].as_ref().is_some_and(knows);
                let open = there && !self.cut.contains(&(from, to));
                if self.nodes[from].is_none() {
                    return;
                }
                match (open, protocol) {
                    (false, _) => self.node(from).dial_failed(keys.1, protocol, now),
                    (true, Protocol::Sync) => self.reconcile(from, to),
                    (true, Protocol::Gossip) => {
                        self.made += 1;
                        let id = self.made;
                        self.links.insert((from, to), id);
                        self.node(from).link_up(keys.1, id, now);
                        let now = self.now(to);
                        self.node(to).link_up(keys.0, id, now);
                    }
                }
            }
            Event::Asked(from, to, favour) => {
                self.asked += 1;
                self.grant(from, to, favour);
            }
            Event::Frame(from, to, frame) => {
                let linked =
                    self.links.contains_key(&(from, to)) || self.links.contains_key(&(to, from));
                let (key, now) = (self.signers[from].key(), self.now(to));
                if linked && let Some(node) = &mut self.nodes[to] {
                    self.frames += 1;
                    node.link_frame(key, &frame, now).unwrap();
                }
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.at + time;
        loop {
            for n in 0..self.nodes.len() {
                self.carry_out(n);
            }
            let next_event = self.queue.peek().map(|Reverse((at, _))| *at);
            let ticks = self.nodes.iter().flatten().map(|n| n.next_tick());
            let next_tick = ticks
                .min()
                .map(|at| at.saturating_duration_since(self.start));
            let Some(next) = next_event
                .into_iter()
                .chain(next_tick)
                .min()
                .filter(|at| *at <= end)
            else {
                break;
            };
            self.at = self.at.max(next);
            if next_event.is_some_and(|at| at <= self.at) {
                let Reverse((_, id)) = self.queue.pop().unwrap();
                let event = self.events.remove(&id).unwrap();
                self.happen(event);
            } else {
                for n in 0..self.nodes.len() {
                    let now = self.now(n);
                    if let Some(node) = self.nodes[n].as_mut().filter(|n| n.next_tick() <= now.at) {
                        node.tick(now);
                    }
                }
            }
        }
        self.at = end;
    }

    fn put(&mut self, n: usize, name: &str, value: u64) {
        let now = self.now(n);
        let body: Map<String, Value> = json!({"n": value}).as_object().unwrap().clone();
        self.node(n)
            .put("service", name, body, Duration::ZERO, now)
            .unwrap();
    }

    /// What each living node sees of the services, as (owner, name, value, stale).
    fn seen(&self) -> Vec<Vec<(usize, String, u64, bool)>> {
        let view = |node: &Node| {
            let services = node
                .book()
                .view()
                .entries()
                .filter(|e| e.record.key.kind == "service");
            services
                .map(|e| {
                    let value = e.record.json()["n"].as_u64().unwrap();
                    (
                        self.index(e.record.key.owner),
                        e.record.key.name.clone(),
                        value,
                        e.standing.stale,
                    )
                })
                .collect()
        };
        self.nodes.iter().flatten().map(view).collect()
    }

    fn agree(&self) -> Vec<(usize, String, u64, bool)> {
        let seen = self.seen();
        for other in &seen[1..] {
            assert_eq!(&seen[0], other);
        }
        seen[0].clone()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_record_is_everywhere_within_two_seconds() {
    let mut town = Town::new(12);
    town.run(SECOND * 90);
    town.put(3, "a", 1);
    town.run(SECOND * 2);
    assert_eq!(town.agree(), [(3, "a".to_owned(), 1, false)]);
    let now = town.now(3);
    town.node(3).remove("service", "a", now).unwrap();
    town.run(SECOND * 2);
    assert!(town.agree().is_empty());
    let labels: BTreeSet<String> = town
        .node(5)
        .book()
        .view()
        .entries()
        .map(|e| e.standing.label.clone())
        .collect();
    assert!(
        labels.contains("box3") && labels.contains("box11"),
        "{labels:?}"
    );
}

#[test]
fn a_split_heals_within_a_minute_and_both_sides_changes_are_everywhere() {
    let mut town = Town::new(6);
    town.run(SECOND * 90);
    town.cut(&[0, 1, 2], &[3, 4, 5]);
    town.run(SECOND * 600);
    town.put(0, "left", 1);
    town.put(5, "right", 2);
    town.run(SECOND * 600);
    assert_ne!(town.seen()[0], town.seen()[5]);
    town.cut.clear();
    town.run(SECOND * 60);
    let seen = town.agree();
    assert_eq!(seen, {
        let mut both = vec![
            (0, "left".to_owned(), 1, false),
            (5, "right".to_owned(), 2, false),
        ];
        both.sort_by_key(|(n, ..)| town.signers[*n].key());
        both
    });
}

#[test]
fn a_dead_box_is_stale_within_a_minute_and_live_when_it_returns() {
    let mut town = Town::new(4);
    town.run(SECOND * 90);
    town.put(2, "a", 1);
    town.run(SECOND * 2);
    town.kill(2);
    town.run(SECOND * 60);
    assert_eq!(town.agree(), [(2, "a".to_owned(), 1, true)]);
    town.boot(2);
    town.run(SECOND * 60);
    assert_eq!(
        town.agree(),
        [(2, "a".to_owned(), 1, false)],
        "nothing acknowledged was lost"
    );
}

/// What a killed and restarted transport looks like: this side knows at once that its streams
/// are gone, the others only when they time out.
#[test]
fn a_box_whose_streams_all_broke_is_heard_within_three_seconds() {
    let mut town = Town::new(4);
    town.run(SECOND * 90);
    let broken: Vec<((usize, usize), u64)> = town
        .links
        .iter()
        .filter(|((a, b), _)| *a == 1 || *b == 1)
        .map(|(ends, id)| (*ends, *id))
        .collect();
    assert!(!broken.is_empty());
    for ((a, b), id) in broken {
        town.links.remove(&(a, b));
        let (peer, now) = (town.signers[if a == 1 { b } else { a }].key(), town.now(1));
        town.node(1).link_down(peer, id, now);
    }
    town.put(1, "a", 1);
    town.run(SECOND * 3);
    assert_eq!(town.agree(), [(1, "a".to_owned(), 1, false)]);
}

#[test]
fn a_good_bye_is_heard_at_once() {
    let mut town = Town::new(3);
    town.run(SECOND * 90);
    town.put(2, "a", 1);
    town.run(SECOND * 2);
    let now = town.now(2);
    town.node(2).say_goodbye(now);
    town.run(SECOND);
    town.kill(2);
    town.run(SECOND);
    assert_eq!(town.agree(), [(2, "a".to_owned(), 1, true)]);
}

#[test]
fn a_clock_a_day_ahead_or_behind_stays_in_agreement() {
    for skew in [86_400_000, -86_400_000] {
        let mut town = Town::new(5);
        town.run(SECOND * 90);
        town.skew_ms[4] = skew;
        town.kill(4);
        town.boot(4);
        town.put(4, "alone", 1);
        town.run(SECOND * 200);
        town.put(4, "a", 1);
        town.put(1, "b", 2);
        town.run(SECOND * 120);
        let seen = town.agree();
        assert_eq!(seen.len(), 3, "skew {skew}: {seen:?}");
        let now = town.now(4);
        assert!(town.node(4).clock_offset(now).abs_diff(-skew) < 1000);
    }
}

#[test]
fn an_idle_town_is_quiet() {
    let mut town = Town::new(4);
    town.run(SECOND * 120);
    let before = town.frames;
    town.run(SECOND * 3600);
    let per_box_and_second = (town.frames - before) as f64 / 4.0 / 3600.0;
    assert!(
        per_box_and_second < 0.5,
        "{per_box_and_second} frames a second"
    );
}

#[test]
fn a_taken_name_a_banned_key_and_a_fast_network_are_turned_away() {
    let mut town = Town::new(2);
    town.run(SECOND * 30);
    let now = town.now(0);
    let home = |name: &str| Home {
        name: name.into(),
        zone: "vic".into(),
    };
    let stranger = Signer::new(99).key();
    let admission = town.node(0).admit(stranger, None, &home("BOX1"), now);
    assert!(matches!(admission, Admission::Taken));
    let admission = town
        .node(0)
        .admit(stranger, None, &home("no dots.here"), now);
    assert!(matches!(admission, Admission::Refused(_)));
    town.node(0).tuning.sponsor = Pace {
        per_day: 20,
        per_network: 1,
    };
    let address = Some("10.1.2.3".parse().unwrap());
    assert!(matches!(
        town.node(0).admit(stranger, address, &home("x"), now),
        Admission::Member(_)
    ));
    let next = Some("10.1.2.9".parse().unwrap());
    let admission = town
        .node(0)
        .admit(Signer::new(98).key(), next, &home("y"), now);
    assert!(matches!(admission, Admission::Later(_)));
    let admission = town
        .node(1)
        .admit(Signer::new(98).key(), None, &home("y"), now);
    assert!(matches!(admission, Admission::Ask(able) if able == [town.signers[0].key()]));
}
