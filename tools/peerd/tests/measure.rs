//! Figures, not checks: run with `PEERD_BINARY=…/release/guifi-peerd cargo test --release -p
//! guifi-peerd --test measure -- --ignored --nocapture`.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr)] // its purpose

mod bed;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use bed::*;

fn figure(place: &Box, path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{path}", place.child.id())).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(|n| n.parse::<u64>().unwrap())
        .sum()
}

fn idle(place: &Box, what: &str) {
    std::thread::park_timeout(Duration::from_secs(3));
    let wakes = || figure(place, "status", "voluntary_ctxt_switches:");
    let before = wakes();
    std::thread::park_timeout(Duration::from_secs(20));
    eprintln!(
        "{what}: RSS {} KiB, private dirty {} KiB, private clean {} KiB, {:.2} wake-ups/s",
        figure(place, "smaps_rollup", "Rss:"),
        figure(place, "smaps_rollup", "Private_Dirty:"),
        figure(place, "smaps_rollup", "Private_Clean:"),
        (wakes() - before) as f64 / 20.0
    );
}

fn cpu(place: &Box) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", place.child.id())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[test]
#[ignore = "takes a minute and prints figures"]
fn figures() {
    let bus = guifi_testing::bus::Bus::new();
    let a = Box::with("", &[], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus.address())]);
    let b = Box::new();
    idle(&a, "not joined");
    let (ca, cb) = (a.client(), b.client());
    join(&[(&a, &ca), (&b, &cb)]);
    idle(&a, "joined, no connection");
    let listener = cb.listen("sync", 64).unwrap();
    let mut ours = ca.open(cb.own_key(), "sync", &[], SOON).unwrap();
    let mut theirs = listener.accept_within(SOON).unwrap();
    idle(&a, "one connection, one quiet stream");
    let mut buffer = vec![1; 100];
    let mut trips = Vec::new();
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 100];
        for _ in 0..5000 {
            theirs.read_exact(&mut buffer).unwrap();
            theirs.write_all(&buffer).unwrap();
        }
        theirs
    });
    for _ in 0..5000 {
        let begin = Instant::now();
        ours.write_all(&buffer).unwrap();
        ours.read_exact(&mut buffer).unwrap();
        trips.push(begin.elapsed());
    }
    trips.sort_unstable();
    eprintln!("round trip, 100 bytes: median {:?}", trips[trips.len() / 2]);
    let mut theirs = echo.join().unwrap();
    const TOTAL: usize = 2 << 30;
    let before = cpu(&a) + cpu(&b);
    let begin = Instant::now();
    let writer = std::thread::spawn(move || {
        let block = vec![5; 256 << 10];
        for _ in 0..TOTAL / block.len() {
            ours.write_all(&block).unwrap();
        }
        ours
    });
    let mut block = vec![0; 256 << 10];
    let mut left = TOTAL;
    while left > 0 {
        left -= theirs.read(&mut block).unwrap();
    }
    let took = begin.elapsed().as_secs_f64();
    eprintln!(
        "bulk: {:.0} Mbit/s, {:.2} s CPU/GB in the daemons",
        TOTAL as f64 * 8.0 / took / 1e6,
        (cpu(&a) + cpu(&b) - before) / (TOTAL as f64 / 1e9)
    );
    drop(writer.join().unwrap());
    let begin = Instant::now();
    let mut opens = Vec::new();
    for _ in 0..2000 {
        let one = Instant::now();
        let mut ours = ca.open(cb.own_key(), "sync", &[], SOON).unwrap();
        let mut theirs = listener.accept_within(SOON).unwrap();
        ours.write_all(&[1; 100]).unwrap();
        theirs.read_exact(&mut [0; 100]).unwrap();
        theirs.write_all(&[1; 100]).unwrap();
        ours.read_exact(&mut [0; 100]).unwrap();
        opens.push(one.elapsed());
    }
    opens.sort_unstable();
    eprintln!(
        "small streams: {:.0}/s, median {:?}",
        2000.0 / begin.elapsed().as_secs_f64(),
        opens[1000]
    );
    idle(&a, "after it all");
}
