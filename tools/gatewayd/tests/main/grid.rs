//! Storage servers of ours, each in a directory of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use guifi_tahoe::base32;
use openssl::x509::X509;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Longer than anything takes.
pub(crate) const SOON: Duration = Duration::from_secs(120);

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until something holds.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A storage server.
pub(crate) struct Server {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    pub(crate) fn new() -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
        // The tests' disk may be nearly full.
        let settings = format!(
            "standalone = true\nspace = '2G'\nreserved = 0\nlisten = ['127.0.0.1']\nport = {port}\n"
        );
        fs::write(dir.path().join("etc/guifi/storaged.toml"), settings).unwrap();
        let mut server = Self {
            dir,
            port,
            child: None,
        };
        server.start();
        server
    }

    pub(crate) fn start(&mut self) {
        let program =
            Path::new(env!("CARGO_BIN_EXE_guifi-gatewayd")).with_file_name("guifi-storaged");
        assert!(program.exists(), "first: cargo build -p guifi-storaged");
        let child = Command::new(program)
            .env("GUIFI_ROOT", self.dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        eventually("a storage server listens", || {
            TcpStream::connect(address).ok()
        });
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Its entry in a `servers.yaml`.
    pub(crate) fn entry(&self, number: usize) -> String {
        let state = self.dir.path().join("var/lib/guifi/storaged/keys.json");
        let keys: Value = serde_json::from_str(&fs::read_to_string(state).unwrap()).unwrap();
        let text = |name: &str| keys[name].as_str().unwrap().to_owned();
        let certificate = BASE64.decode(text("certificate").as_bytes()).unwrap();
        let key = X509::from_der(&certificate).unwrap().public_key().unwrap();
        let hash = BASE64URL_NOPAD.encode(&Sha256::digest(key.public_key_to_der().unwrap()));
        let (tubid, swissnum, port) = (text("tubid"), text("swissnum"), self.port);
        let id = base32::encode(&Sha256::digest(number.to_string()));
        format!(
            "  v0-{id}:\n    ann:\n      nickname: ours-{number}\n      \
             anonymous-storage-FURL: pb://{tubid}@tcp:127.0.0.1:{port}/{swissnum}\n      \
             anonymous-storage-NURLs:\n        - pb://{hash}@127.0.0.1:{port}/{swissnum}#v=1\n"
        )
    }

    /// The files of its shares.
    pub(crate) fn shares(&self) -> Vec<PathBuf> {
        files(&self.dir.path().join("var/lib/guifi/storaged/shares"))
    }
}

/// All files below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Several servers.
pub(crate) struct Grid {
    pub(crate) servers: Vec<Server>,
}

impl Grid {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            servers: (0..count).map(|_| Server::new()).collect(),
        }
    }

    pub(crate) fn yaml(&self) -> String {
        let entries = self.servers.iter().enumerate();
        let entries: String = entries
            .map(|(number, server)| server.entry(number))
            .collect();
        format!("storage:\n{entries}")
    }
}

/// Bytes that do not repeat soon, always the same.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
