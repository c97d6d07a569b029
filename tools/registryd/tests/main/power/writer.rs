//! What writes to the disk: a child process that has the store open. It is a process of its own
//! because SQLite maps its index into memory: whoever serves the file system and faults on it in
//! the same process waits for itself.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use guifi_registryd::record::Record;
use guifi_registryd::store::{Change, Store};
use rusqlite::{Connection, params};

const PATH: &str = "GUIFI_TEST_STORE";
const SYNCHRONOUS: &str = "GUIFI_TEST_SYNCHRONOUS";
/// The test of the harness that is the child.
const NAME: &str = "power::the_writer";

/// The store's own table, written with another degree of care.
struct Careless(Connection);

impl Careless {
    fn apply(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        for change in changes {
            match change {
                Change::Put(record) => transaction.execute(
                    "INSERT OR REPLACE INTO record (owner, kind, name, encoded) VALUES (?1, ?2, ?3, ?4)",
                    params![
                        record.key.owner.0,
                        record.key.kind,
                        record.key.name,
                        record.encode()
                    ],
                )?,
                Change::Drop(key) => transaction.execute(
                    "DELETE FROM record WHERE owner = ?1 AND kind = ?2 AND name = ?3",
                    params![key.owner.0, key.kind, key.name],
                )?,
            };
        }
        transaction.commit()
    }
}

/// A store in a child; killed when dropped.
pub(crate) struct Writer {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Writer {
    /// Opens the store at `path` and reads it; then goes on with it, or, if `synchronous` is
    /// not empty, with a connection that has this degree of care.
    pub(crate) fn start(path: &Path, synchronous: &str) -> Result<(Self, Vec<Record>), String> {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([NAME, "--exact", "--ignored", "--nocapture", "--quiet"])
            .env(PATH, path)
            .env(SYNCHRONOUS, synchronous)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut writer = Self {
            orders: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        let mut records = Vec::new();
        loop {
            let line = writer.answer()?;
            if line == "open" {
                return Ok((writer, records));
            }
            let record = HEXLOWER.decode(line.as_bytes()).unwrap();
            records.push(Record::decode(&record).unwrap());
        }
    }

    /// The next line of the child, less its sign; the harness has said something before.
    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        while self.answers.read_line(&mut line).unwrap() > 0 {
            match line.trim_end().split_at_checked(1) {
                Some(("@", answer)) => return Ok(answer.to_owned()),
                Some(("!", why)) => return Err(why.to_owned()),
                _ => line.clear(),
            }
        }
        Err("the writer has died".to_owned())
    }

    /// Changes all or nothing; acknowledged when it returns.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Result<(), String> {
        let mut order = String::new();
        for change in changes {
            match change {
                Change::Put(record) => order += &HEXLOWER.encode(&record.encode()),
                Change::Drop(key) => order += &format!("-{} {} {}", key.owner, key.kind, key.name),
            }
            order.push('\n');
        }
        order += "apply\n";
        let mut orders = self.orders.as_ref().unwrap();
        orders.write_all(order.as_bytes()).unwrap();
        self.answer().map(|_| ())
    }

    /// Closes the store in order.
    pub(crate) fn close(mut self) -> Result<(), String> {
        drop(self.orders.take());
        let closed = self.answer();
        closed.map(|_| ())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child: reads orders until there are no more.
pub(crate) fn child() {
    let Some(path) = env::var_os(PATH) else {
        return;
    };
    let say = |line: &str| {
        io::stdout()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap()
    };
    let opened = match Store::open(Path::new(&path)) {
        Ok(opened) => opened,
        Err(e) => return say(&format!("!{e}")),
    };
    if let Some(aside) = opened.set_aside {
        return say(&format!("!damaged: {}", aside.display()));
    }
    for record in &opened.records {
        say(&format!("@{}", HEXLOWER.encode(&record.encode())));
    }
    let synchronous = env::var(SYNCHRONOUS).unwrap();
    let (mut store, mut careless) = if synchronous.is_empty() {
        (Some(opened.store), None)
    } else {
        drop(opened.store);
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!("PRAGMA synchronous = {synchronous}"))
            .unwrap();
        (None, Some(Careless(connection)))
    };
    say("@open");
    let mut changes = Vec::new();
    for line in io::stdin().lines() {
        let line = line.unwrap();
        if line == "apply" {
            let done = match (&mut store, &mut careless) {
                (Some(store), _) => store.apply(&changes),
                (None, Some(careless)) => careless.apply(&changes).map_err(|e| e.to_string()),
                (None, None) => unreachable!("one of them is open"),
            };
            changes.clear();
            match done {
                Ok(()) => say("@done"),
                Err(e) => say(&format!("!{e}")),
            }
        } else if let Some(key) = line.strip_prefix('-') {
            let mut words = key.splitn(3, ' ');
            let mut word = || words.next().unwrap().to_owned();
            changes.push(Change::Drop(guifi_registryd::record::RecordKey {
                owner: word().parse().unwrap(),
                kind: word(),
                name: word(),
            }));
        } else {
            let encoded = HEXLOWER.decode(line.as_bytes()).unwrap();
            changes.push(Change::Put(Arc::new(Record::decode(&encoded).unwrap())));
        }
    }
    drop((store, careless));
    say("@closed");
}
