//! Boxes that die, sleep, lose each other and their clocks, among villains, for an hour or two
//! months; then the network heals and the checker looks.

use serde_json::{Map, Value, json};

use super::checker::Ledger;
use super::villain::{TRICKS, Trick};
use super::*;
use crate::rules::broken::{Fault, break_rules};

/// A run: boxes, villains, what was promised, and all that was ever said.
struct Story {
    world: World,
    honest: usize,
    villains: Vec<Signer>,
    ledger: Ledger,
    said: Vec<Record>,
    banned: Vec<Key>,
    /// Everybody may have slept for longer than a box is remembered.
    slept: bool,
    /// What went wrong on the way, whether it heals or not.
    wrong: Vec<String>,
    /// What happened, for whoever wants to know why.
    log: Vec<String>,
}

impl Story {
    fn begin(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let honest = dice.random_range(5..=9);
        let calm = Weather {
            loss: 0.0,
            delay_ms: (5, 30),
        };
        let mut world = World::new(honest, 3, seed, calm);
        (0..honest).for_each(|n| world.boot(n));
        // All know the founding record; founders are members from the start.
        (1..3).for_each(|n| world.reconcile_now(n, 0));
        (3..honest).for_each(|n| world.admit(n, 0));
        let villains: Vec<Signer> = (0..2).map(|n| Signer::numbered(900_000 + n)).collect();
        let community = world.founding.hash;
        for (n, villain) in villains.iter().enumerate() {
            let slot = (60_000 + n).to_string();
            let founder = world.sites[1].signer.clone();
            let body = json!({"key": villain.key()});
            let mut records = vec![founder.record(community, "member", &slot, BEGIN_MS, body)];
            let name = format!("member/{}", villain.key());
            records.push(founder.record(community, "confirm", &name, BEGIN_MS, json!({})));
            world.node_merge(0, records);
        }
        world.run(MINUTE);
        Self {
            world,
            honest,
            villains,
            ledger: Ledger::new(),
            said: Vec::new(),
            banned: Vec::new(),
            slept: false,
            wrong: Vec::new(),
            log: Vec::new(),
        }
    }

    fn note(&mut self, what: String) {
        self.log.push(format!("{:?} {what}", self.world.at));
    }

    /// Remembers what can be seen now, for replays.
    fn listen(&mut self) {
        let running: Vec<usize> = self.world.running().collect();
        for n in running {
            let records: Vec<Record> = self
                .world
                .node(n)
                .snapshot()
                .filter(|r| r.key.kind == "service")
                .map(|r| (*r).clone())
                .collect();
            self.said.extend(records);
        }
        self.said.sort_by_key(|r| r.hash);
        self.said.dedup_by_key(|r| r.hash);
    }

    fn write(&mut self, n: usize) {
        let name = format!("_http._tcp/{}", self.world.rng.random_range(0..4));
        let remove = self.world.rng.random_bool(0.3);
        let value = self.world.rng.random_range(0..1_000_000);
        let now = self.world.now(n);
        let body: Map<String, Value> = json!({"n": value}).as_object().unwrap().clone();
        let node = self.world.node(n);
        let newest = |node: &Node| {
            let own = node.book().of_owner(node.own()).map(|r| r.version);
            own.max().unwrap_or(0)
        };
        let last = newest(node);
        let done = if remove {
            node.remove("service", &name, now).is_ok()
        } else {
            node.put("service", &name, body, Duration::ZERO, now)
                .is_ok()
        };
        // Whatever others have said: a version is the time, or one more than the box's last.
        let (version, time) = (newest(node), node.community_time(now));
        if done && version > time.max(last + 1) {
            let ahead = version - time;
            self.wrong
                .push(format!("box {n} has written {ahead} ms ahead of time"));
        }
        if done {
            let value = (!remove).then_some(value);
            self.note(format!("box {n}: {name} = {value:?}"));
            self.ledger.insert((n, name), value);
        }
        self.world.settle(n);
    }

    fn step(&mut self) {
        let dice = self.world.rng.random_range(0..100);
        let n = self.world.rng.random_range(0..self.honest);
        let up = self.world.sites[n].node.is_some();
        match dice {
            0..45 if up => self.write(n),
            45..55 => {
                self.note(format!("box {n} {}", if up { "dies" } else { "starts" }));
                if up {
                    self.world.kill(n)
                } else {
                    self.world.boot(n)
                }
            }
            55..65 => {
                let island = self.world.rng.random_range(0..3);
                self.note(format!("box {n} is on island {island}"));
                self.world.strand(n, island);
            }
            65..72 => {
                let skew = [
                    0,
                    90_000,
                    -90_000,
                    86_400_000,
                    -86_400_000,
                    -10 * 31_536_000_000,
                ];
                let skew = skew[self.world.rng.random_range(0..skew.len())];
                self.note(format!("the clock of box {n} is off by {skew} ms"));
                self.world.sites[n].skew_ms = skew;
                self.world.sites[n].drift_ppm = self.world.rng.random_range(-200..200);
            }
            72..92 => {
                let trick = TRICKS[self.world.rng.random_range(0..TRICKS.len())];
                let villain = self.villains[self.world.rng.random_range(0..2)].clone();
                self.listen();
                let said = std::mem::take(&mut self.said);
                if self.world.running().next().is_some() {
                    self.note(format!("{trick:?}"));
                    self.world.play(trick, &villain, &said);
                }
                self.said = said;
            }
            92..94 if self.world.sites[0].node.is_some() => {
                let key = self.villains[0].key();
                let now = self.world.now(0);
                let done = self.world.node(0).put(
                    "ban",
                    &key.to_string(),
                    Map::new(),
                    Duration::ZERO,
                    now,
                );
                if done.is_ok() {
                    self.note("a villain is banned".to_owned());
                    self.banned = vec![key];
                    // It speaks on where that has not been heard yet.
                    let villain = self.villains[0].clone();
                    self.world.play(Trick::BackDate, &villain, &[]);
                }
                self.world.settle(0);
            }
            94..96 => {
                let days = self.world.rng.random_range(20..70);
                self.note(format!("box {n} sleeps, {days} days pass"));
                self.world.kill(n);
                self.world.leap(DAY * days);
                self.slept = true;
            }
            _ => {}
        }
        let pause = self.world.rng.random_range(0..60_000);
        self.world.run(Duration::from_millis(pause));
    }

    fn heal(&mut self) {
        self.world.weather = Weather {
            loss: 0.0,
            delay_ms: (5, 50),
        };
        for n in 0..self.honest {
            let site = &mut self.world.sites[n];
            (site.island, site.skew_ms, site.drift_ppm) = (0, 0, 0);
            if site.node.is_none() {
                self.world.boot(n);
            }
        }
        self.world.run(MINUTE * 15);
        // Boxes whose records have all ended find together by asking the silent members one by
        // one, and there may be a hundred puppets among these.
        let mut patience = if self.slept { 16 } else { 0 };
        while patience > 0 && !self.world.is_whole(self.honest) {
            self.world.run(MINUTE * 15);
            patience -= 1;
        }
        // Nobody is starved: whoever writes now is heard.
        for n in 0..self.honest {
            self.write(n);
        }
        self.world.run(MINUTE * 2);
    }
}

/// One run; what is broken at its end, and what happened.
fn run(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut story = Story::begin(seed);
    story.world.weather = Weather {
        loss: [0.0, 0.01, 0.05][story.world.rng.random_range(0..3)],
        delay_ms: (5, [30, 300, 2000][story.world.rng.random_range(0..3)]),
    };
    for _ in 0..40 {
        story.step();
    }
    story.heal();
    let mut faults = Vec::new();
    // Boxes renew records and gather sponsors all the time: a word may be under way.
    for _ in 0..3 {
        let (world, honest) = (&mut story.world, story.honest);
        let found = world.faults(honest, &story.ledger, &story.banned);
        faults = [&story.wrong[..], &found[..]].concat();
        if found.is_empty() {
            break;
        }
        world.run(MINUTE);
    }
    (faults, story.log)
}

/// Which runs: few with each change, many in a long test, or those that `GUIFI_SEEDS` names,
/// as in `GUIFI_SEEDS=100..200`.
fn seeds() -> std::ops::Range<u64> {
    if let Ok(seeds) = std::env::var("GUIFI_SEEDS") {
        let (first, end) = seeds.split_once("..").unwrap();
        return first.parse().unwrap()..end.parse().unwrap();
    }
    match std::env::var_os("GUIFI_LONG") {
        Some(_) => 0..1000,
        None => 0..25,
    }
}

#[test]
fn every_community_heals() {
    let begin = Instant::now();
    let mut failed = Vec::new();
    for seed in seeds() {
        let (faults, log) = run(seed);
        if !faults.is_empty() {
            println!("seed {seed}: {faults:#?}\n{}", log.join("\n"));
            failed.push(seed);
        }
    }
    let runs = seeds().count();
    assert!(
        failed.is_empty(),
        "{failed:?} of {runs} runs broke an invariant"
    );
    println!(
        "{runs} runs, every invariant held, in {:?}",
        begin.elapsed()
    );
}

#[test]
fn broken_rules_are_noticed() {
    for fault in [
        Fault::ClaimsByArrival,
        Fault::RemovalForgets,
        Fault::VersionsMerged,
        Fault::QuotaByArrival,
        Fault::BanLifted,
    ] {
        break_rules(Some(fault));
        let noticed = (0..200).find_map(|seed| Some((seed, run(seed).0.into_iter().next()?)));
        break_rules(None);
        let (seed, how) = noticed.unwrap_or_else(|| panic!("{fault:?} is not noticed"));
        println!("{fault:?} is noticed in run {seed}: {how}");
    }
}
