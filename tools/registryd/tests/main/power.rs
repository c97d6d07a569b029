//! Power cuts: the store and the daemon on a disk that forgets what was not synced.

mod disk;
mod mount;
mod writer;

use crate::town;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use disk::{Disk, Loss};
use guifi_registryd::record::{Draft, MAX_LIFE_MS, Record, RecordKey};
use guifi_registryd::store::Change;
use guifi_streams::Key;
use mount::Mount;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use writer::Writer;

/// Whether this test can run here; says aloud why not.
fn possible(test: &str) -> bool {
    let why = if !nix::unistd::geteuid().is_root() {
        "it mounts a file system: run it as root"
    } else if let Err(e) = File::options().read(true).write(true).open("/dev/fuse") {
        &format!("/dev/fuse: {e}")
    } else {
        return true;
    };
    // Past the harness, which would keep it to itself.
    let line = format!("{test} is skipped: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    false
}

/// Rounds in a usual run, and in a long one.
fn rounds(usual: u32) -> u32 {
    if std::env::var_os("GUIFI_LONG").is_some() {
        usual * 40
    } else {
        usual
    }
}

fn any_loss(luck: &mut StdRng) -> Loss {
    if luck.random() {
        Loss::All
    } else {
        Loss::Some(luck.random())
    }
}

type Held = BTreeMap<RecordKey, Arc<Record>>;

/// A disk with a store, what was acknowledged, and what has been seen on the way.
struct Trial {
    disk: Disk,
    luck: StdRng,
    version: u64,
    held: Held,
    /// What is held if the change under way at the cut was made.
    doubtful: Option<Held>,
    /// SQLite's `synchronous` of a careless writer; empty for the store itself.
    synchronous: &'static str,
    acknowledged: u32,
    torn: u32,
    cut_while_opening: u32,
}

impl Trial {
    fn new(seed: u64, synchronous: &'static str) -> Self {
        Self {
            disk: Disk::new(),
            luck: StdRng::seed_from_u64(seed),
            version: 0,
            held: Held::new(),
            doubtful: None,
            synchronous,
            acknowledged: 0,
            torn: 0,
            cut_while_opening: 0,
        }
    }

    /// Signatures are not the store's business.
    fn record(&mut self) -> Arc<Record> {
        self.version += 1;
        let body = json!({
            "version": self.version,
            "padding": "x".repeat(self.luck.random_range(0..2500)),
        });
        let draft = Draft {
            community: [7; 32],
            key: RecordKey {
                owner: Key([self.luck.random_range(0..4); 32]),
                kind: "service".to_owned(),
                name: format!("_x._tcp/{}", self.luck.random_range(0..60)),
            },
            version: self.version,
            expires: self.version + MAX_LIFE_MS,
            body: body.as_object().cloned(),
        };
        Arc::new(draft.sign(|_| Ok([9; 64])).unwrap())
    }

    /// Random changes, and what is held after them.
    fn changes(&mut self) -> (Vec<Change>, Held) {
        let mut held = self.held.clone();
        let many = if self.luck.random_ratio(1, 5) { 60 } else { 4 };
        let changes = (0..self.luck.random_range(1..=many)).map(|_| {
            let record = self.record();
            if self.luck.random_ratio(1, 4) {
                held.remove(&record.key);
                Change::Drop(record.key.clone())
            } else {
                held.insert(record.key.clone(), record.clone());
                Change::Put(record)
            }
        });
        (changes.collect(), held)
    }

    /// Opens the store and compares it with what must be there.
    fn open(&mut self, path: &Path) -> Result<Writer, String> {
        let (writer, found) = Writer::start(path, self.synchronous)?;
        let found: Held = found
            .into_iter()
            .map(|record| (record.key.clone(), Arc::new(record)))
            .collect();
        if self.doubtful.as_ref() == Some(&found) {
            self.held = found;
        } else if self.held != found {
            let lost = self.held.iter().filter(|(k, r)| found.get(k) != Some(r));
            return Err(format!(
                "of {} acknowledged records {} are lost or old, {} were found",
                self.held.len(),
                lost.count(),
                found.len()
            ));
        }
        self.doubtful = None;
        Ok(writer)
    }

    /// From power on to power cut.
    fn round(&mut self, at: &Path) -> Result<(), String> {
        let _mount = Mount::new(&self.disk, at);
        let path = at.join("registry.db");
        // As many cuts among the first operations as among the later thousands.
        let operations = 2_f64.powf(self.luck.random_range(0.0..12.0)) as u32;
        let loss = any_loss(&mut self.luck);
        self.disk.arm(operations, loss);
        let mut writer = self.open(&path)?;
        self.cut_while_opening += u32::from(self.disk.is_off());
        for _ in 0..self.luck.random_range(1..80) {
            if self.disk.is_off() {
                break;
            }
            if self.luck.random_ratio(1, 15) {
                // The last to close writes the log back and removes it.
                writer.close()?;
                writer = self.open(&path)?;
                continue;
            }
            let (changes, after) = self.changes();
            writer.apply(&changes)?;
            if self.disk.is_off() {
                self.torn += 1;
                self.doubtful = Some(after);
            } else {
                self.acknowledged += 1;
                self.held = after;
            }
        }
        if self.luck.random() {
            writer.close()?;
        } else {
            drop(writer);
        }
        self.disk.cut(loss);
        self.disk = self.disk.power_on();
        Ok(())
    }

    fn run(&mut self, rounds: u32) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        (0..rounds).try_for_each(|round| {
            self.round(dir.path())
                .map_err(|e| format!("round {round}: {e}"))
        })
    }
}

#[test]
#[ignore = "started by the other tests"]
fn the_writer() {
    writer::child();
}

#[test]
fn what_the_store_acknowledged_survives_power_cuts() {
    if !possible("what_the_store_acknowledged_survives_power_cuts") {
        return;
    }
    let mut trial = Trial::new(1, "");
    trial.run(rounds(60)).unwrap();
    // The cuts fell where they matter.
    assert!(trial.acknowledged > 100, "{}", trial.acknowledged);
    assert!(trial.torn > 10, "{}", trial.torn);
    assert!(trial.cut_while_opening > 3, "{}", trial.cut_while_opening);
}

#[test]
fn a_careless_writer_and_a_lying_disk_are_found_out() {
    if !possible("a_careless_writer_and_a_lying_disk_are_found_out") {
        return;
    }
    for synchronous in ["OFF", "NORMAL"] {
        let found = Trial::new(2, synchronous).run(30);
        assert!(found.is_err(), "synchronous = {synchronous} passes");
    }
    // With full care the same writer passes: it is the care that makes the difference.
    Trial::new(2, "FULL").run(10).unwrap();
    let mut lied_to = Trial::new(3, "");
    lied_to.disk.lie();
    assert!(lied_to.run(5).is_err(), "syncs that do nothing pass");
}

#[test]
fn the_disk_forgets_what_was_not_synced_and_nothing_else() {
    if !possible("the_disk_forgets_what_was_not_synced_and_nothing_else") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let mut disk = Disk::new();
    let mut mount = Some(Mount::new(&disk, dir.path()));
    let mut next = |loss: Loss| {
        disk.cut(loss);
        disk = disk.power_on();
        drop(mount.take());
        mount = Some(Mount::new(&disk, dir.path()));
    };
    let sync = |path: &Path| File::open(path).unwrap().sync_all().unwrap();

    fs::write(&a, "synced, but without a name").unwrap();
    sync(&a);
    next(Loss::All);
    assert!(!a.exists());

    fs::write(&a, vec![1; 2000]).unwrap();
    sync(&a);
    sync(dir.path());
    fs::write(&a, vec![2; 3000]).unwrap();
    fs::rename(&a, &b).unwrap();
    next(Loss::All);
    assert!(fs::read(&a).unwrap() == vec![1; 2000] && !b.exists());

    fs::rename(&a, &b).unwrap();
    sync(dir.path());
    next(Loss::All);
    assert!(fs::read(&b).unwrap() == vec![1; 2000] && !a.exists());

    // Sectors are old or new, each as a whole, and both happens.
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut file = File::options().write(true).open(&b).unwrap();
        file.write_all(&[seed; 1024]).unwrap();
        file.sync_data().unwrap();
        let mut file = File::options().write(true).open(&b).unwrap();
        file.write_all(&[100; 1024]).unwrap();
        drop(file);
        next(Loss::Some(seed.into()));
        let left = fs::read(&b).unwrap();
        assert_eq!(left.len(), 2000);
        for sector in left[..1024].chunks(512) {
            assert!(sector.iter().all(|b| *b == sector[0]));
            assert!(sector[0] == seed || sector[0] == 100);
        }
        assert!(left[1024..].iter().all(|b| *b == 1));
        seen.insert((left[0] == 100, left[512] == 100));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn what_the_daemon_acknowledged_survives_power_cuts() {
    if !possible("what_the_daemon_acknowledged_survives_power_cuts") {
        return;
    }
    let mut luck = StdRng::seed_from_u64(4);
    let mut place = town::Place::new();
    place.stop_registryd();
    let state = place.dir.path().join("var/lib/guifi/registryd");
    let mut disk = Disk::new();
    let mut mount = Mount::new(&disk, &state);
    place.start_registryd();
    place.ready();
    place.found("osona", "one");
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    let mut writes = 0;
    for round in 0..rounds(4) {
        // The first cut comes right after the joining, as the worst cut does.
        let loss = if round == 0 {
            Loss::All
        } else {
            any_loss(&mut luck)
        };
        disk.arm(luck.random_range(20..150), loss);
        let mut doubtful = held.clone();
        while round > 0 && !disk.is_off() {
            writes += 1;
            let name = format!("_x._tcp/{}", writes % 7);
            place.says(&["put", "service", &name, &format!(r#"{{"port":{writes}}}"#)]);
            doubtful.insert(name, writes);
            if !disk.is_off() {
                held = doubtful.clone();
            }
        }
        disk.cut(loss);
        place.kill_registryd();
        drop(mount);
        disk = disk.power_on();
        mount = Mount::new(&disk, &state);
        place.start_registryd();
        place.ready();
        assert_eq!(place.describe()["joined"], true);
        let found: BTreeMap<String, u64> = place
            .says(&["list", "service", "--json"])
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .map(|record: Value| {
                let name = record["name"].as_str().unwrap().to_owned();
                (name, record["body"]["port"].as_u64().unwrap())
            })
            .collect();
        assert!(
            found == held || found == doubtful,
            "round {round}: {found:?} is neither {held:?} nor {doubtful:?}"
        );
        held = found;
        for entry in fs::read_dir(&state).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().contains("damaged"), "{name:?}");
        }
        place.says(&["verify"]);
    }
    assert!(writes > 5, "{writes}");
    place.stop_registryd();
    drop(mount);
}
