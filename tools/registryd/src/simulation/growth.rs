//! How a large community carries one more record, and what it costs to be one.

use serde_json::json;

use super::*;
use crate::store::Change;

/// Services of each box.
const SERVICES: usize = 5;

impl World {
    /// A community of boxes that have long been members and know each other.
    fn grown(size: usize, weather: Weather) -> Self {
        let mut world = Self::new(size, 1, size as u64, weather);
        let community = world.founding.hash;
        let mut records = Vec::new();
        for n in 0..size {
            let site = &world.sites[n];
            if n > 0 {
                let body = json!({"key": site.signer.key()});
                let founder = &world.sites[0].signer;
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
            let spine = json!({"spine": {"name": name, "zone": "vic", "addresses": ["10.1.2.3"], "port": 7656,
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
        let changes: Vec<Change> = records.into_iter().map(|r| Change::Put(r.into())).collect();
        for n in 0..size {
            std::fs::create_dir_all(&world.sites[n].dir).unwrap();
            let mut opened = Store::open(&world.sites[n].dir.join("registry.db")).unwrap();
            opened.store.apply(&changes).unwrap();
        }
        (0..size).for_each(|n| world.boot(n));
        world
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

    fn bytes(&self) -> (u64, u64) {
        let sums = self.sites.iter().map(|s| (s.sent_bytes, s.received_bytes));
        sums.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    }
}

/// Grows a community and prints a line about it.
fn measure(size: usize) {
    let weather = Weather {
        loss: 0.01,
        delay_ms: (5, 40),
    };
    let mut world = World::grown(size, weather);
    world.run(MINUTE * 5);
    let before = world.bytes();
    // So long that each box renews its record once.
    let round = SECOND * (size as u32 * 4).max(600);
    world.run(round);
    let idle = world.bytes();
    let rate = |b: u64, a: u64| (b - a) as f64 / round.as_secs_f64() / size as f64;
    let (sent, received) = (rate(idle.0, before.0), rate(idle.1, before.1));
    let mut times = Vec::new();
    let mut missed = 0;
    for round in 0..20 {
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
    times.sort();
    world.run(MINUTE * 3);
    let late: usize = (0..20)
        .map(|round| {
            size - world.holders(
                world.key((round * 37) % size),
                &format!("_new._tcp/{round}"),
            )
        })
        .sum();
    println!(
        "{size:>6} boxes: {:>5.2} s median, {:>5.2} s longest, {missed} copies missing after 5 s, {late} after repair; \
         {sent:.0} B/s sent, {received:.0} B/s received by each box when nothing is new",
        times[10].as_secs_f64(),
        times[19].as_secs_f64(),
    );
    assert_eq!(late, 0, "records missing after repair");
}

#[test]
fn a_record_reaches_everybody() {
    measure(40);
}

/// The table of RESULTS.md: `GUIFI_LONG=1 cargo test --release … -- --nocapture growth`.
#[test]
fn the_cost_of_being_many() {
    if std::env::var_os("GUIFI_LONG").is_some() {
        [125, 250, 500].into_iter().for_each(measure);
    }
}
