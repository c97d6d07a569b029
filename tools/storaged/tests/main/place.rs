//! A daemon in a directory of its own, on a port of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::Value;

use crate::client::Client;

/// Longer than anything takes.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The daemon, killed at the end.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    daemon: Option<Child>,
    bus: String,
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Place {
    /// Serves in no community, with these lines in its configuration.
    pub(crate) fn new(settings: &str) -> Self {
        let mut place = Self::on_bus(
            "unix:path=/nonexistent/bus",
            &format!("standalone = true\n{settings}"),
        );
        place.start();
        place
    }

    /// Not started yet.
    pub(crate) fn on_bus(bus: &str, settings: &str) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
        let place = Self {
            dir,
            port,
            daemon: None,
            bus: bus.to_owned(),
        };
        place.configure(settings);
        place
    }

    pub(crate) fn configure(&self, settings: &str) {
        let text = format!("listen = ['127.0.0.1']\nport = {}\n{settings}", self.port);
        fs::write(self.dir.path().join("etc/guifi/storaged.toml"), text).unwrap();
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guifi-storaged"));
        command
            .env("GUIFI_ROOT", self.dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus);
        command
    }

    pub(crate) fn spawn(&mut self) {
        self.daemon = Some(self.command().stderr(Stdio::inherit()).spawn().unwrap());
    }

    /// Starts the daemon, and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.spawn();
        let end = Instant::now() + SOON;
        while std::net::TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < end, "it does not listen");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.daemon.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("var/lib/guifi/storaged")
    }

    pub(crate) fn keys(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.state().join("keys.json")).unwrap()).unwrap()
    }

    /// The server's certificate.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        let text = self.keys()["certificate"].as_str().unwrap().to_owned();
        BASE64.decode(text.as_bytes()).unwrap()
    }

    pub(crate) fn swissnum(&self) -> String {
        self.keys()["swissnum"].as_str().unwrap().to_owned()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address(), self.certificate(), &self.swissnum())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kill();
    }
}
