//! The real guifi-backup on a tree of its own, with a registry and a systemctl of the test's.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use guifi_testing::bus::Bus;
use serde_json::{Value, json};
use zbus::interface;

const KEY: &str = "/var/lib/guifi/peerd/key";
const DATABASE: &str = "/var/lib/guifi/registryd/registry.db";

struct Registry(Value);

#[interface(name = "net.guifi.Registry1")]
impl Registry {
    fn describe(&self) -> String {
        self.0.to_string()
    }
}

/// A machine: a tree, a bus, perhaps a registry on it.
struct Machine {
    tree: tempfile::TempDir,
    bus: Bus,
    connection: Option<zbus::Connection>,
}

impl Machine {
    fn new(key: &str) -> Self {
        let machine = Self {
            tree: tempfile::tempdir().unwrap(),
            bus: Bus::new(),
            connection: None,
        };
        let lists =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/usr/lib/guifi/backup.d");
        for list in fs::read_dir(lists).unwrap() {
            let list = list.unwrap();
            let name = list.file_name().into_string().unwrap();
            let text = fs::read_to_string(list.path()).unwrap();
            machine.write(&format!("/usr/lib/guifi/backup.d/{name}"), &text);
        }
        machine.write(KEY, key);
        let calls = machine.path("/calls");
        let systemctl = format!(
            "#!/bin/sh\necho \"$*\" >>{}\ncase $1 in list-units) echo 'guifi-peerd.service loaded active running x' ;; esac\n",
            calls.display()
        );
        machine.write("/bin/systemctl", &systemctl);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(machine.path("/bin/systemctl"), executable).unwrap();
        machine.write("/passphrase", "correct horse\n");
        machine
    }

    /// With a registry that says who the box is.
    fn called(key: &str, state: Value) -> Self {
        let mut machine = Self::new(key);
        let address = machine.bus.address();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let connection = runtime.block_on(async {
            zbus::connection::Builder::address(address.as_str())
                .serve_at("/net/guifi/Registry1", Registry(state))
                .name("net.guifi.Registry1")
                .build()
                .await
                .unwrap()
        });
        // Drives the connection until the test ends.
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        machine.connection = Some(connection);
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.tree.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    fn run(&self, words: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new(env!("CARGO_BIN_EXE_guifi-backup"))
            .args(words)
            .arg("--passphrase-file")
            .arg(self.path("/passphrase"))
            .env("GUIFI_ROOT", self.tree.path())
            .env("PATH", format!("{}:{path}", self.path("/bin").display()))
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn backup(&self) -> PathBuf {
        let file = self.path("/vic-01.backup");
        let output = self.run(&["create", file.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        file
    }
}

fn vic() -> Value {
    json!({"joined": true, "key": "aaaa", "name": "vic-01", "zone": "vic", "community": {"name": "osona"}})
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_backup_of_one_machine_makes_a_fresh_one_the_same_box() {
    let old = Machine::called("secret", vic());
    old.write("/etc/guifi/services.d/web.toml", "# mine");
    let database = rusqlite::Connection::open({
        let path = old.path(DATABASE);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    })
    .unwrap();
    // Written and not yet in the file itself.
    database
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (42);")
        .unwrap();
    let file = old.backup();
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(!fs::read(&file).unwrap().windows(6).any(|w| w == b"secret"));

    let listed = old.run(&["list", file.to_str().unwrap(), "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(
        (&listed["name"], &listed["community"]),
        (&json!("vic-01"), &json!("osona"))
    );
    assert_eq!(listed["files"].as_array().unwrap().len(), 3);

    let new = Machine::called("another", json!({"joined": false, "key": "bbbb"}));
    new.write("/var/lib/guifi/registryd/community.json", "left over");
    let output = new.run(&["restore", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        said(&output).contains("if vic-01 still runs somewhere else"),
        "{output:?}"
    );
    assert_eq!(new.read(KEY), "secret");
    assert_eq!(new.read("/etc/guifi/services.d/web.toml"), "# mine");
    assert!(!new.path("/var/lib/guifi/registryd/community.json").exists());
    let kept: i64 = rusqlite::Connection::open(new.path(DATABASE))
        .unwrap()
        .query_row("SELECT x FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 42);
    let calls = new.read("/calls");
    let calls: Vec<&str> = calls.lines().collect();
    assert_eq!(
        &calls[1..],
        [
            "stop guifi-peerd.service",
            "reset-failed guifi-peerd.service",
            "restart guifi-peerd.service"
        ]
    );
}

#[test]
fn a_box_of_a_community_is_not_made_another_one_unless_forced() {
    let file = Machine::called("secret", vic());
    let backup = file.backup();
    let other =
        json!({"joined": true, "key": "cccc", "name": "tona-01", "community": {"name": "bages"}});
    let machine = Machine::called("another", other);
    let words = ["restore", backup.to_str().unwrap()];
    let refused = machine.run(&words);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("a box of bages, with another key"),
        "{refused:?}"
    );
    assert_eq!(
        (machine.read(KEY), machine.read("/calls")),
        ("another".into(), String::new())
    );
    assert!(
        machine
            .run(&[words[0], words[1], "--force"])
            .status
            .success()
    );
    assert_eq!(machine.read(KEY), "secret");
    // The same box may go back to what it was.
    file.write(KEY, "damaged");
    assert!(file.run(&words).status.success());
    assert_eq!(file.read(KEY), "secret");
    // Nobody knows: not without being told to.
    let silent = Machine::new("another");
    assert_eq!(silent.run(&words).status.code(), Some(1));
    assert_eq!(silent.read(KEY), "another");
}

#[test]
fn a_bad_file_changes_nothing_and_is_one_line() {
    let machine = Machine::called("secret", vic());
    let backup = machine.backup();
    let whole = fs::read(&backup).unwrap();
    machine.write(KEY, "since");
    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    for (content, words) in [
        (&whole[..whole.len() / 2], "damaged or incomplete"),
        (&whole[..10], "no sealed file"),
        (&b"hello"[..], "no sealed file"),
        (&altered[..], "damaged or incomplete"),
    ] {
        fs::write(&backup, content).unwrap();
        let output = machine.run(&["restore", backup.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            said(&output).contains(words) && said(&output).lines().count() == 1,
            "{output:?}"
        );
    }
    fs::write(&backup, &whole).unwrap();
    machine.write("/passphrase", "wrong");
    let output = machine.run(&["restore", backup.to_str().unwrap()]);
    assert!(
        said(&output).contains("the passphrase is another"),
        "{output:?}"
    );
    assert_eq!(said(&output).lines().count(), 1);
    assert_eq!(
        (machine.read(KEY), machine.read("/calls")),
        ("since".into(), String::new())
    );
}

#[test]
fn without_terminal_and_file_nobody_is_asked() {
    let output = Command::new(env!("CARGO_BIN_EXE_guifi-backup"))
        .args(["list", "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said(&output).contains("--passphrase-file"));
}
