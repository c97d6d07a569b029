//! The daemon in a directory of its own, and its clients.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use guifi_bus::{GatewayProxy, block_on};
use serde_json::Value;

use crate::grid::{eventually, free_port};

/// A gateway.
pub(crate) struct Gateway {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    bus: String,
    child: Option<Child>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The text of an answer that says yes.
    pub(crate) fn ok(&self) -> String {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text()
        );
        self.text()
    }
}

impl Gateway {
    /// One that knows these servers; shares needed, happy and made.
    pub(crate) fn new(yaml: &str, encoding: [u16; 3]) -> Self {
        Self::on_bus("unix:path=/nonexistent/bus", yaml, encoding)
    }

    pub(crate) fn on_bus(bus: &str, yaml: &str, encoding: [u16; 3]) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        for name in ["etc/guifi", "var/lib/guifi/gatewayd", "home"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let [needed, happy, total] = encoding;
        let settings = format!(
            "listen = '127.0.0.1:{port}'\n[encoding]\nneeded = {needed}\nhappy = {happy}\ntotal = {total}\n"
        );
        fs::write(dir.path().join("etc/guifi/gatewayd.toml"), settings).unwrap();
        fs::write(dir.path().join("var/lib/guifi/gatewayd/servers.yaml"), yaml).unwrap();
        let mut gateway = Self {
            dir,
            port,
            bus: bus.to_owned(),
            child: None,
        };
        gateway.start();
        gateway
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("GUIFI_ROOT", self.dir.path())
            .env("HOME", self.dir.path().join("home"))
            .env_remove("XDG_CONFIG_HOME")
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus);
        command
    }

    pub(crate) fn start(&mut self) {
        let child = self
            .command(env!("CARGO_BIN_EXE_guifi-gatewayd"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        let address = self.address();
        eventually("the gateway listens", || TcpStream::connect(address).ok());
        if !self.bus.contains("nonexistent") {
            let named = || block_on(self.is_on_bus()).ok();
            eventually("the gateway is on the bus", named);
        }
    }

    async fn is_on_bus(&self) -> Result<(), guifi_core::Error> {
        let failed = |e: zbus::Error| guifi_bus::error("not yet", e);
        let builder = zbus::connection::Builder::address(self.bus.as_str());
        let connection = builder.build().await.map_err(failed)?;
        let proxy = GatewayProxy::new(&connection).await.map_err(failed)?;
        proxy.describe().await.map(drop).map_err(failed)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `guifi-store`.
    pub(crate) fn store(&self, words: &[&str]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_guifi-store"));
        command.args(words).stdin(Stdio::null()).output().unwrap()
    }

    /// The same, which must do it; its output.
    pub(crate) fn stored(&self, words: &[&str]) -> String {
        let done = self.store(words);
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.ask_with(method, path, "", body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, b"")
    }

    /// Stores bytes; gives the cap.
    pub(crate) fn put(&self, bytes: &[u8]) -> String {
        self.ask("PUT", "/uri", bytes).ok()
    }

    /// Sends a request; `headers` end with CR LF each.
    pub(crate) fn ask_with(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        exchange(self.address(), method, path, headers, body)
    }
}

/// Sends a request to a web interface.
pub(crate) fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    let host = if headers.contains("Host:") {
        ""
    } else {
        "Host: 127.0.0.1\r\n"
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    // A refusal may come before all is sent.
    let _ = socket.write_all(body);
    let mut all = Vec::new();
    let _ = socket.read_to_end(&mut all);
    read(&all)
}

/// Takes an answer apart.
fn read(all: &[u8]) -> Answer {
    let end = all
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or(all.len());
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let body = all.get(end + 4..).unwrap_or_default();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    Answer {
        status,
        head,
        body: if chunked {
            unchunk(body)
        } else {
            body.to_vec()
        },
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let length = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap();
        if length == 0 {
            break;
        }
        all.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
    all
}
