//! How a large community carries one more record, and what it costs to be one.

use serde_json::json;

use super::*;
use crate::node::{Reach, renewal_interval};

/// Services of each box.
const SERVICES: usize = 5;
/// Memory that a box of thousands takes with its store.
const BOX_KIB: u64 = 5 * 1024;
/// Between the starts of two boxes: what all say at once all would hold at once.
const START: Duration = Duration::from_millis(250);
/// New records, one after the other.
const ROUNDS: usize = 20;

/// Where all boxes are: nothing goes by it.
fn reach() -> Reach {
    Reach {
        addresses: vec![[10, 1, 2, 3].into()],
        port: 7656,
        ..Reach::default()
    }
}

impl World {
    /// A community of boxes that have long been members and know each other.
    fn grown(size: usize, weather: Weather) -> Self {
        let mut world = Self::new(size, 1, size as u64, weather);
        let records = world.records();
        // The disks hold what is new only: thousands of them have no room for all.
        let records: Vec<Arc<Record>> = records.into_iter().map(Record::shared).collect();
        assert!(records.iter().all(|r| r.verify()), "as when they came");
        for n in 0..size {
            world.boot_with(n, &records);
            // Where its record says: nobody has to learn that it has moved.
            let now = world.now(n);
            world.node(n).set_reach(reach(), now);
            world.run(START);
        }
        for n in 0..size {
            // As if they had started at other times: their turns come evenly.
            let wait = renewal_interval(size).mul_f64(n as f64 / size as f64);
            let now = world.now(n);
            world.node(n).renew_after(wait, now);
            world.settle(n);
        }
        world
    }

    /// What the members of a grown community have said.
    pub(super) fn records(&self) -> Vec<Record> {
        let community = self.founding.hash;
        let mut records = Vec::new();
        for n in 0..self.sites.len() {
            let site = &self.sites[n];
            if n > 0 {
                let body = json!({"key": site.signer.key()});
                let founder = &self.sites[0].signer;
                records.push(founder.record(
                    community,
                    "member",
                    &n.to_string(),
                    BEGIN_MS - 2,
                    body,
                ));
            }
            let name = format!("box{n}");
            let claim = json!({"space": "dns", "zone": "vic", "name": name, "time": BEGIN_MS - 1});
            let Reach {
                addresses, port, ..
            } = reach();
            let spine = json!({"spine": {"name": name, "zone": "vic", "addresses": addresses, "port": port,
                "neighbours": [], "software": "0"}});
            records.push(
                site.signer
                    .record(community, "claim", "dns/0", BEGIN_MS - 1, claim),
            );
            records.push(
                site.signer
                    .record(community, "box", "box", BEGIN_MS - 1, spine),
            );
            records.extend((0..SERVICES).map(|s| {
                let body = json!({"instance": "Photos of the summer", "type": "_http._tcp", "port": 80,
                    "txt": ["path=/album"], "n": s});
                site.signer.record(community, "service", &format!("_http._tcp/{s}"), BEGIN_MS - 1, body)
            }));
        }
        records
    }

    /// How many boxes have a service of `owner` with this name.
    fn holders(&self, owner: Key, name: &str) -> usize {
        let key = crate::record::RecordKey {
            owner,
            kind: "service".into(),
            name: name.into(),
        };
        let nodes = self.sites.iter().filter_map(|s| s.node.as_ref());
        nodes.filter(|node| node.book().get(&key).is_some()).count()
    }

    /// What all stores take, which may be memory as well.
    fn stored_bytes(&self) -> u64 {
        let dirs = self
            .sites
            .iter()
            .map(|s| std::fs::read_dir(&s.dir).unwrap());
        dirs.flatten()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    }

    /// What all have sent and received.
    fn bytes(&self) -> [u64; 2] {
        let sums = self.sites.iter().map(|s| [s.sent_bytes, s.received_bytes]);
        sums.fold([0, 0], |a, b| [a[0] + b[0], a[1] + b[1]])
    }

    /// What all have written, the reconciliations that they began, and the bytes of these.
    fn work(&self) -> [u64; 3] {
        let nodes = self.sites.iter().filter_map(|s| s.node.as_ref());
        let counters = nodes.map(Node::counters);
        let (written, syncs) = counters.fold((0, 0), |sum, c| {
            (sum.0 + c.records_written, sum.1 + c.syncs)
        });
        [
            written,
            syncs,
            self.sites.iter().map(|s| s.sync_bytes).sum(),
        ]
    }
}

/// What it costs a box to be one of many, in bytes.
struct Cost {
    boxes: f64,
    /// Sent and received in a second when nothing is new.
    idle: [f64; 2],
    /// Sent and received for one new record of anybody.
    record: [f64; 2],
}

/// Grows a community and prints a line about it.
fn measure(size: usize) -> Cost {
    let weather = Weather {
        loss: 0.01,
        delay_ms: (5, 40),
    };
    let begun = Instant::now();
    let mut world = World::grown(size, weather);
    world.run(MINUTE * 5);
    let (before, begin, work) = (world.bytes(), world.at, world.work());
    // So long that each box renews its record once, or of very many a part.
    world.run(renewal_interval(size).min(MINUTE * 40));
    let rate = |world: &World, before: [u64; 2], begin: Duration| {
        let boxes = size as f64 * (world.at - begin).as_secs_f64();
        let bytes = world.bytes();
        [0, 1].map(|way| (bytes[way] - before[way]) as f64 / boxes)
    };
    let idle = rate(&world, before, begin);
    let done = world.work();
    let [written, syncs, compared] = [0, 1, 2].map(|n| (done[n] - work[n]) as f64 / size as f64);
    println!(
        "{size:>6} boxes: at rest each wrote {written:.2} records in {:.0} s, and began {syncs:.1} \
         reconciliations of {:.0} B",
        (world.at - begin).as_secs_f64(),
        compared / 2.0 / syncs,
    );
    let renewals = written / (world.at - begin).as_secs_f64();
    let mut times = Vec::new();
    let mut missed = 0;
    let (before, flow, [already, ..]) = (world.bytes(), world.at, world.work());
    for round in 0..ROUNDS {
        let n = (round * 37) % size;
        let (now, name) = (world.now(n), format!("_new._tcp/{round}"));
        let body = json!({"n": round}).as_object().unwrap().clone();
        world
            .node(n)
            .put("service", &name, body, Duration::ZERO, now)
            .unwrap();
        world.settle(n);
        let (begin, owner) = (world.at, world.key(n));
        while world.holders(owner, &name) < size && world.at < begin + SECOND * 5 {
            world.run(Duration::from_millis(50));
        }
        missed += size - world.holders(owner, &name);
        times.push(world.at - begin);
        world.run(SECOND * 5);
    }
    let busy = rate(&world, before, flow);
    // What was said more than in as long a time at rest has cost what was sent more.
    let took = (world.at - flow).as_secs_f64();
    let more = (world.work()[0] - already) as f64 - renewals * size as f64 * took;
    let record = [0, 1].map(|way| (busy[way] - idle[way]).max(0.0) * took / more);
    times.sort();
    world.run(MINUTE * 3);
    let late: usize = (0..ROUNDS)
        .map(|round| {
            let owner = world.key((round * 37) % size);
            size - world.holders(owner, &format!("_new._tcp/{round}"))
        })
        .sum();
    println!(
        "{size:>6} boxes: {:.2} s median, {:.2} s longest, {missed} copies missing after 5 s, {late} after \
         repair; each box {:.0} B/s sent and {:.0} B/s received at rest, {:.0} and {:.0} B for \
         each new record; {} MB and {} MB of files, {:.0} s",
        times[ROUNDS / 2].as_secs_f64(),
        times[ROUNDS - 1].as_secs_f64(),
        idle[0],
        idle[1],
        record[0],
        record[1],
        size::resident_mb(),
        world.stored_bytes() / 1_000_000,
        begun.elapsed().as_secs_f64(),
    );
    assert_eq!(late, 0, "records missing after repair");
    Cost {
        boxes: size as f64,
        idle,
        record,
    }
}

/// What a box of 20,000 sends and receives, from two sizes above 150 boxes. From there on boxes
/// renew their records ever more rarely, so that only reconciliations grow, by as much with
/// every doubling; and each of the services is written anew every 15 days.
fn project(small: &Cost, large: &Cost) {
    const BOXES: f64 = 20_000.0;
    let doublings = (BOXES / large.boxes).log2();
    let measured = (large.boxes / small.boxes).log2();
    let renewals = BOXES * SERVICES as f64 / (15.0 * 86_400.0);
    let all = [0, 1].map(|way| {
        let growth = (large.idle[way] - small.idle[way]) / measured;
        large.idle[way] + doublings * growth.max(0.0) + renewals * large.record[way]
    });
    println!(
        "20000 boxes, projected: {:.0} B/s sent and {:.0} B/s received by each",
        all[0], all[1]
    );
}

#[test]
fn a_record_reaches_everybody() {
    measure(40);
}

/// The table of RESULTS.md: `GUIFI_LONG=1 cargo test --release … -- --nocapture growth`;
/// `GUIFI_BOXES=500,1000` names other sizes.
#[test]
fn the_cost_of_being_many() {
    if std::env::var_os("GUIFI_LONG").is_some() {
        let sizes = std::env::var("GUIFI_BOXES");
        let sizes = sizes.as_deref().unwrap_or("125,250,500,2000").split(',');
        let sizes = sizes.map(|size| size.parse().unwrap());
        let costs: Vec<Cost> = sizes.filter(|n| has_room(*n)).map(measure).collect();
        if let [.., small, large] = &costs[..] {
            project(small, large);
        }
    }
}

/// Whether so many boxes find room in memory; says so if not.
fn has_room(boxes: usize) -> bool {
    let needed = boxes as u64 * BOX_KIB;
    let free = size::available_kib();
    if free < needed {
        println!(
            "{boxes:>6} boxes: left out, they need {needed} KiB of memory and {free} are free"
        );
    }
    free >= needed
}
