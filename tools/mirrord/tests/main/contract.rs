//! The daemon and the commands against their contract: interface, manuals, and the registry.

use crate::repository;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::CommandFactory as _;
use guifi_bus::{MIRROR, MirrorAdminProxy, MirrorProxy, REGISTRY};
use guifi_mirrord::{cli, config};
use guifi_testing::bus::{Bus, contract};
use guifi_testing::{command_faults, document_faults, interface, key_faults, member_faults, page};
use repository::{Killed, SOON, block_on, fixture, free_port, make, package, path};
use serde_json::{Value, json};
use zbus::{OwnedFd, interface as bus_interface};

type Records = Arc<Mutex<HashMap<String, Value>>>;

struct Reads(Records);

#[bus_interface(name = "net.guifi.Registry1")]
impl Reads {
    fn describe(&self) -> String {
        json!({"joined": true, "key": "own", "zone": "vic"}).to_string()
    }

    #[allow(clippy::needless_pass_by_value)] // the shape of the bus interface
    fn list(
        &self,
        kinds: Vec<String>,
        _filter: HashMap<String, String>,
        _epoch: String,
        _sequence: u64,
    ) -> (String, u64, bool, OwnedFd) {
        assert_eq!(kinds, ["mirror"]);
        let line = |(name, body): (&String, &Value)| {
            json!({"owner": "own", "owner_name": "vic-01", "owner_zone": "vic", "kind": "mirror",
                "name": name, "state": "live", "own": true, "body": body})
            .to_string()
                + "\n"
        };
        let text: String = self.0.lock().unwrap().iter().map(line).collect();
        (
            "1".into(),
            1,
            true,
            guifi_bus::sealed_file(text.as_bytes()).unwrap(),
        )
    }
}

struct Provider(Records);

#[bus_interface(name = "net.guifi.Registry1.Provider")]
impl Provider {
    #[allow(clippy::needless_pass_by_value)] // the shape of the bus interface
    fn put(&self, kind: &str, name: String, body: &str, _lifetime: u32) -> u64 {
        assert_eq!(kind, "mirror");
        self.0
            .lock()
            .unwrap()
            .insert(name, serde_json::from_str(body).unwrap());
        1
    }

    fn remove(&self, _kind: &str, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}

/// The daemon on a bus of its own, with a stand-in for the registry.
struct Place {
    bus: Bus,
    records: Records,
    dir: tempfile::TempDir,
    port: u16,
    daemon: Killed,
    _registry: std::thread::JoinHandle<()>,
}

impl Place {
    fn new() -> Self {
        let (bus, records, dir, port) = (
            Bus::new(),
            Records::default(),
            tempfile::tempdir().unwrap(),
            free_port(),
        );
        make("one", &["a", "b"], &dir.path().join("upstream"));
        fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
        fs::copy(fixture("keyring.gpg"), dir.path().join("etc/keyring.gpg")).unwrap();
        let settings = format!(
            "upstream = ['file:{}']\nkeyring = '/etc/keyring.gpg'\nlisten = ['127.0.0.1']\nport = {port}\n",
            dir.path().join("upstream").display()
        );
        fs::write(dir.path().join("etc/guifi/mirrord.toml"), settings).unwrap();
        let registry = registry(bus.address(), records.clone());
        let daemon = Killed::spawn(
            Command::new(env!("CARGO_BIN_EXE_guifi-mirrord"))
                .env("GUIFI_ROOT", dir.path())
                .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address()),
        );
        Self {
            bus,
            records,
            dir,
            port,
            daemon,
            _registry: registry,
        }
    }

    fn mirror(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_guifi-mirror"))
            .args(words)
            .env("GUIFI_ROOT", self.dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())
            .output()
            .unwrap()
    }

    fn announced(&self) -> Option<Value> {
        self.records.lock().unwrap().get("guifi").cloned()
    }

    fn describe(&self) -> Value {
        block_on(async {
            let connection = self.bus.connect().await;
            let proxy = MirrorProxy::new(&connection).await.unwrap();
            serde_json::from_str(&proxy.describe().await.unwrap()).unwrap()
        })
    }

    fn wait<T>(&self, what: &str, probe: impl Fn(&Self) -> Option<T>) -> T {
        let end = Instant::now() + SOON;
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            assert!(Instant::now() < end, "not in time: {what}");
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }

    fn tree(&self) -> std::path::PathBuf {
        self.dir.path().join("var/lib/guifi/mirrord/tree")
    }
}

fn registry(address: String, records: Records) -> std::thread::JoinHandle<()> {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let _connection = zbus::connection::Builder::address(address.as_str())
                .serve_at(REGISTRY.path, Reads(records.clone()))
                .serve_at(REGISTRY.path, Provider(records))
                .name(REGISTRY.name)
                .build()
                .await
                .unwrap();
            tell.send(()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv_timeout(SOON).unwrap();
    thread
}

#[test]
fn it_mirrors_announces_repairs_and_withdraws() {
    let place = Place::new();
    let record = place.wait("the record", Place::announced);
    assert_eq!(record["date"], "2026-11-20T10:00:00Z");
    assert_eq!(
        (&record["port"], &record["path"]),
        (&json!(place.port), &json!("/"))
    );

    // A newer repository, and damage, at once.
    fs::write(place.tree().join(path("a")), package("a").to_uppercase()).unwrap();
    make("two", &["a", "c"], &place.dir.path().join("upstream"));
    let done = place.mirror(&["update", "--json"]);
    assert!(done.status.success(), "{done:?}");
    let document: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(document["tree"]["date"], "2026-11-22T10:00:00Z");
    assert_eq!(
        fs::read_to_string(place.tree().join(path("a"))).unwrap(),
        package("a")
    );
    place.wait("the new record", |p| {
        p.announced()
            .filter(|r| r["date"] == "2026-11-22T10:00:00Z")
    });
    let faults = document_faults(
        &(page("net.guifi.Mirror1.5") + &page("guifi-mirrord-apt.8")),
        &document,
    );
    assert!(faults.is_empty(), "{faults:#?}");

    // The source has gone back: said, and not taken.
    make("one", &["a", "b"], &place.dir.path().join("upstream"));
    let done = place.mirror(&["update"]);
    assert_eq!(done.status.code(), Some(1));
    let words = String::from_utf8(done.stderr).unwrap();
    assert!(words.contains("older than the one held"), "{words}");

    let listed = place.mirror(&["list", "--json"]);
    let line: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(
        (&line["box"], &line["own"]),
        (&json!("vic-01"), &json!(true))
    );
    assert!(document_faults(&page("guifi-mirror.1"), &line).is_empty());

    // Damage that no source repairs: no longer announced.
    fs::remove_dir_all(place.dir.path().join("upstream")).unwrap();
    fs::write(place.tree().join(path("c")), "short").unwrap();
    assert!(!place.mirror(&["update"]).status.success());
    assert_eq!(place.announced(), None);
    assert_eq!(place.describe()["tree"]["state"], "damaged");
    make("two", &["a", "c"], &place.dir.path().join("upstream"));
    assert!(place.mirror(&["update"]).status.success());
    place.wait("the record again", Place::announced);

    let kill = Command::new("kill")
        .arg(place.daemon.0.id().to_string())
        .status()
        .unwrap();
    assert!(kill.success());
    place.wait("no record", |p| p.announced().is_none().then_some(()));
}

#[test]
fn the_daemon_introspects_its_interface_and_every_proxy_method_answers() {
    let place = Place::new();
    place.wait("the record", Place::announced);
    let seen = block_on(place.bus.introspect(MIRROR.name, MIRROR.path));
    assert_eq!(contract(&seen), contract(&interface("net.guifi.Mirror1")));
    block_on(async {
        let connection = place.bus.connect().await;
        let admin = MirrorAdminProxy::new(&connection).await.unwrap();
        assert!(admin.update().await.unwrap().starts_with('{'));
    });
    let status = place.mirror(&["status", "--json"]);
    let document: Value = serde_json::from_slice(&status.stdout).unwrap();
    let faults = document_faults(&page("guifi-mirrord-apt.8"), &document["updates"]);
    assert!(faults.is_empty(), "{faults:#?}");
    let text = String::from_utf8(place.mirror(&["status"]).stdout).unwrap();
    assert!(
        text.starts_with("tree       ok\n") && text.contains("\npending "),
        "{text}"
    );
}

#[test]
fn the_manuals_name_every_option_key_and_member() {
    let mut faults = Vec::new();
    for (name, command) in [
        ("guifi-mirrord.8", cli::Cli::command()),
        ("guifi-mirror.1", cli::Command::command()),
        ("guifi-mirrord-apt.8", cli::Apt::command()),
    ] {
        let found = command_faults(&page(name), &command);
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    faults.extend(key_faults(&page("guifi-mirrord.toml.5"), config::KEYS));
    faults.extend(member_faults(
        &page("net.guifi.Mirror1.5"),
        &interface("net.guifi.Mirror1"),
    ));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn without_a_bus_and_with_a_wrong_configuration_they_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = |program: &str, words: &[&str]| {
        Command::new(program)
            .args(words)
            .env("GUIFI_ROOT", dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .output()
            .unwrap()
    };
    let code = |output: Output| output.status.code().unwrap();
    let (daemon, command) = (
        env!("CARGO_BIN_EXE_guifi-mirrord"),
        env!("CARGO_BIN_EXE_guifi-mirror"),
    );
    assert_eq!(code(run(command, &["list"])), 69);
    assert_eq!(code(run(command, &["nonsense"])), 2);
    assert_eq!(code(run(daemon, &["--check"])), 0);
    let etc: &Path = &dir.path().join("etc/guifi");
    fs::create_dir_all(etc).unwrap();
    fs::write(etc.join("mirrord.toml"), "prot = 1\n").unwrap();
    assert_eq!(code(run(daemon, &["--check"])), 78);
}
