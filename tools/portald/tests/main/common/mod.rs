//! The real daemon on a directory and a bus of its own, and a stand-in for the portal.
#![allow(unreachable_pub)]

mod portal;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use guifi_bus::{PortalAdminProxy, PortalProxy};
use guifi_testing::bus::Bus;
pub use portal::{MockPortal, Reply};
use serde_json::Value;

/// Long enough for anything that should happen at all.
pub const SOON: Duration = Duration::from_secs(40);

pub const DETAIL: &str = include_str!("../../../../../tests/fixtures/portal/detail.xml");
pub const DOMAINS: &str = include_str!("../../../../../tests/fixtures/portal/domains.xml");
pub const IPS: &str = include_str!("../../../../../tests/fixtures/portal/ips.xml");
pub const PROXIES: &str = include_str!("../../../../../tests/fixtures/portal/csvproxy.csv");
pub const FEDERATION: &str = include_str!("../../../../../tests/fixtures/portal/federation.txt");

/// Waits until `check` gives something.
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

pub fn block_on<T>(task: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, task).await.unwrap() })
}

/// The daemon; killed with the test.
pub struct Place {
    pub bus: Bus,
    pub dir: tempfile::TempDir,
    process: Option<Child>,
}

impl Place {
    /// Starts it with this configuration, and waits until it is ready.
    pub fn start(configuration: &str) -> Self {
        let mut place = Self {
            bus: Bus::new(),
            dir: tempfile::tempdir().unwrap(),
            process: None,
        };
        place.configure(configuration);
        place.run();
        place
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn configure(&self, text: &str) {
        self.write("etc/guifi/portald.toml", text);
    }

    pub fn run(&mut self) {
        let notify = self.path("notify");
        let _ = fs::remove_file(&notify);
        let socket = UnixDatagram::bind(&notify).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_guifi-portald"))
            .env("GUIFI_ROOT", self.dir.path())
            .env("GUIFI_LOG", "debug")
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())
            .env("NOTIFY_SOCKET", &notify)
            .env("SSL_CERT_FILE", self.path("trusted.pem"))
            .env_remove("SSL_CERT_DIR")
            .env_remove("http_proxy")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let mut message = [0; 100];
        let length = socket.recv(&mut message).expect("not ready in time");
        assert_eq!(&message[..length], b"READY=1");
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Ends it with a signal, and gives its exit code if it had the choice.
    pub fn end(&mut self, signal: &str) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        let pid = process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        process.wait().unwrap().code()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub fn portal(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_guifi-portal"))
            .args(words)
            .env("GUIFI_ROOT", self.dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What a command prints, if it succeeds.
    pub fn says(&self, words: &[&str]) -> String {
        let done = self.portal(words);
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    pub fn json(&self, words: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(words);
        serde_json::from_str(&self.says(&all)).unwrap()
    }

    /// The entry of `Describe` for a source.
    pub fn source(&self, what: &str, id: u64) -> Option<Value> {
        let document = self.json(&["status"]);
        let all = document["sources"].as_array().unwrap();
        let fits = |s: &&Value| s["what"] == what && s["id"] == id;
        all.iter().find(fits).cloned()
    }

    /// Waits until a source has data and no error.
    pub fn fetched(&self, what: &str, id: u64) -> Value {
        until(&format!("{what}/{id} is fetched"), || {
            self.source(what, id)
                .filter(|s| !s["checked"].is_null() && s["error"].is_null())
        })
    }

    /// Waits until a source has failed again, with these words.
    pub fn failed(&self, what: &str, id: u64, words: &str) -> Value {
        until(
            &format!("{what}/{id} fails with '{words}': {}", self.log()),
            || {
                self.source(what, id)
                    .filter(|s| s["error"].as_str().is_some_and(|e| e.contains(words)))
            },
        )
    }

    /// Runs a task with the clients of both tiers.
    pub fn bus<T, F: Future<Output = T>>(
        &self,
        task: impl FnOnce(PortalProxy<'static>, PortalAdminProxy<'static>) -> F,
    ) -> T {
        block_on(async {
            let connection = self.bus.connect().await;
            let reads = PortalProxy::new(&connection).await.unwrap();
            let admin = PortalAdminProxy::new(&connection).await.unwrap();
            task(reads, admin).await
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Fails only if it is dead already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
