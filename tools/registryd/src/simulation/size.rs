//! What one box of a large community needs: memory and time to start.

use super::*;
use crate::store::Change;

/// Megabytes of memory that this process holds.
pub(super) fn resident_mb() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096 / 1_000_000
}

/// KiB of memory that programs may still take on this machine.
pub(super) fn available_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"));
    line.unwrap()
        .split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Members; each has eight records.
const SIZES: [usize; 2] = [1250, 12_500];

fn world(size: usize) -> World {
    let calm = Weather {
        loss: 0.0,
        delay_ms: (5, 5),
    };
    World::new(size, 1, 1, calm)
}

/// Fills a store; in a process of its own, so that its memory is not counted.
#[test]
fn fill() {
    let Some(path) = std::env::var_os("GUIFI_FILL") else {
        return;
    };
    let size = std::env::var("GUIFI_BOXES").unwrap().parse().unwrap();
    let records = world(size).records();
    let mut opened = Store::open(std::path::Path::new(&path)).unwrap();
    for part in records.chunks(1000) {
        let changes: Vec<Change> = part
            .iter()
            .map(|r| Change::Put(Arc::new(r.clone())))
            .collect();
        opened.store.apply(&changes).unwrap();
    }
}

/// The lines of RESULTS.md on memory.
#[test]
fn what_a_box_needs() {
    if std::env::var_os("GUIFI_LONG").is_none() {
        return;
    }
    for size in SIZES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        let filled = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "simulation::size::fill"])
            .env("GUIFI_FILL", &path)
            .env("GUIFI_BOXES", size.to_string())
            .stdout(std::process::Stdio::null())
            .status();
        assert!(filled.unwrap().success());
        let mut world = world(1);
        share::end();
        let (before, begin) = (resident_mb(), Instant::now());
        let opened = Store::open(&path).unwrap();
        let (count, read) = (opened.records.len(), begin.elapsed());
        let now = world.now(0);
        let site = &mut world.sites[0];
        let signer = Box::new(site.signer.clone());
        let home = Home::default();
        let founding = world.founding.clone();
        let node = Node::new(
            founding,
            site.signer.key(),
            opened,
            home,
            tuning(),
            1,
            signer,
            now,
        );
        let node = node.unwrap();
        let (started, running) = (begin.elapsed(), resident_mb());
        assert_eq!(node.book().view().len(), count + 1);
        let begin = Instant::now();
        let session = Session::new(node.community(), node.snapshot(), true).unwrap();
        println!(
            "{count} records: {} MB, and {} MB for a reconciliation; read in {read:?}, started in {started:?}, indexed in {:?}",
            running - before,
            resident_mb() - running,
            begin.elapsed(),
        );
        drop(session);
    }
}
