//! Boxes for tests: each with a bus, a real guifi-peerd and a real guifi-registryd of its own.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use guifi_bus::{RegistryAdminProxy, RegistryProxy};
use guifi_testing::bus::Bus;
use serde_json::Value;
use tempfile::TempDir;
use zbus::{OwnedVariant, Variant};

/// Long enough for anything that should happen at all.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// One box.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) bus: Bus,
    pub(crate) port: u16,
    peerd: Child,
    registryd: Child,
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A binary of the workspace, beside our own.
fn binary(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_guifi-registryd")).with_file_name(name)
}

pub(crate) fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(SOON, task).await.unwrap() })
}

/// Waits until `done` holds, looking now and then.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen in {SOON:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        for sub in [
            "etc/guifi",
            "run/guifi",
            "var/lib/guifi/peerd",
            "var/lib/guifi/registryd",
        ] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        fs::write(
            dir.path().join("etc/guifi/peerd.toml"),
            format!("port = {port}\n"),
        )
        .unwrap();
        // All boxes of a test are in one network.
        fs::write(
            dir.path().join("etc/guifi/registryd.toml"),
            "[sponsor]\nper_network = 100\n",
        )
        .unwrap();
        let bus = Bus::new();
        let peerd = start(&dir, &bus, "guifi-peerd");
        let registryd = start(&dir, &bus, "guifi-registryd");
        let place = Self {
            dir,
            bus,
            port,
            peerd,
            registryd,
        };
        place.ready();
        place
    }

    /// Waits for registryd on the bus and its connection to peerd.
    pub(crate) fn ready(&self) {
        until("the registry is ready", || {
            self.try_describe().is_some_and(|d| d["peerd"] == true)
        });
    }

    pub(crate) async fn connect(&self) -> zbus::Connection {
        self.bus.connect().await
    }

    fn try_describe(&self) -> Option<Value> {
        block_on(async {
            let connection = self.connect().await;
            let proxy = RegistryProxy::new(&connection).await.ok()?;
            serde_json::from_str(&proxy.describe().await.ok()?).ok()
        })
    }

    pub(crate) fn describe(&self) -> Value {
        self.try_describe().unwrap()
    }

    pub(crate) fn join(
        &self,
        options: &[(&'static str, Variant<'_>)],
    ) -> Result<Value, zbus::Error> {
        let options: HashMap<&str, OwnedVariant> = options
            .iter()
            .map(|(key, value)| (*key, value.try_clone().unwrap().try_into().unwrap()))
            .collect();
        block_on(async {
            let connection = self.connect().await;
            let admin = RegistryAdminProxy::new(&connection).await?;
            Ok(serde_json::from_str(&admin.join(options).await?).unwrap())
        })
    }

    pub(crate) fn found(&self, community: &str, name: &str) -> Value {
        self.join(&[
            ("community", Variant::from(community.to_owned())),
            ("create", Variant::from(true)),
            ("name", Variant::from(name.to_owned())),
        ])
        .unwrap()
    }

    pub(crate) fn enter(&self, seed: &Self, name: &str) -> Result<Value, zbus::Error> {
        self.join(&[
            (
                "seeds",
                Variant::from(vec![format!("127.0.0.1:{}", seed.port)]),
            ),
            ("name", Variant::from(name.to_owned())),
        ])
    }

    /// Runs guifi-registry.
    pub(crate) fn registry(&self, words: &[&str]) -> Output {
        self.runs("guifi-registry", words)
    }

    /// Runs a command.
    pub(crate) fn runs(&self, command: &str, words: &[&str]) -> Output {
        Command::new(binary(command))
            .args(words)
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())
            .env("GUIFI_ROOT", self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What guifi-registry prints when it succeeds.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        let output = self.registry(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Names of the records of a kind that this box sees.
    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        self.says(&["list", kind, "--json"])
            .lines()
            .map(|l| {
                serde_json::from_str::<Value>(l).unwrap()["name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    pub(crate) fn kill_registryd(&mut self) {
        self.registryd.kill().unwrap();
        self.registryd.wait().unwrap();
    }

    pub(crate) fn start_registryd(&mut self) {
        self.registryd = start(&self.dir, &self.bus, "guifi-registryd");
    }

    pub(crate) fn kill_peerd(&mut self) {
        self.peerd.kill().unwrap();
        self.peerd.wait().unwrap();
    }

    pub(crate) fn start_peerd(&mut self) {
        self.peerd = start(&self.dir, &self.bus, "guifi-peerd");
    }

    /// Stops registryd as the service manager does.
    pub(crate) fn stop_registryd(&mut self) {
        let pid = self.registryd.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", "TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.registryd.wait().unwrap().success());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for child in [&mut self.registryd, &mut self.peerd] {
            // Fails only if it is dead already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(dir: &TempDir, bus: &Bus, name: &str) -> Child {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.path().join(format!("{name}.log")))
        .unwrap();
    Command::new(binary(name))
        .env("GUIFI_ROOT", dir.path())
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {name}: {e}; build the whole workspace"))
}
