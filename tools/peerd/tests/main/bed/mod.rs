//! Boxes for tests: real daemons in temporary trees, each with a port of its own.
#![allow(clippy::print_stderr)] // what is left out is said aloud

pub(crate) mod avahi;
pub(crate) mod mad;

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use guifi_streams::{Client, Configuration, Key, Member, RelayPorts};
use guifi_testing::bus::Bus;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Long enough for anything that should happen at all.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// Where everything runs that does not say otherwise.
pub(crate) const LOCAL: [u8; 4] = [127, 0, 0, 1];
/// The community of the tests.
pub(crate) const COMMUNITY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A daemon and its tree.
pub(crate) struct Box {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    pub(crate) relay_port: u16,
    pub(crate) child: Child,
    before: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Box {
    /// A fresh box, not joined.
    pub(crate) fn new() -> Self {
        Self::with("", &[], &[])
    }

    /// A fresh box with more lines in its configuration, a command to run it under, and
    /// environment variables.
    pub(crate) fn with(more: &str, before: &[&str], environment: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, relay_port) = (free_port(), free_port());
        fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
        fs::write(
            dir.path().join("etc/guifi/peerd.toml"),
            format!("port = {port}\nrelay_port = {relay_port}\n{more}"),
        )
        .unwrap();
        let before: Vec<String> = before.iter().map(|s| (*s).to_owned()).collect();
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect::<Vec<_>>();
        let child = spawn(&dir, &before, &environment);
        Self {
            dir,
            port,
            relay_port,
            child,
            before,
            environment,
        }
    }

    /// Starts the daemon again after [`Box::kill`].
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.dir, &self.before, &self.environment);
    }

    /// Kills the daemon as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the daemon as the service manager would, and checks that it ends well.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("run/guifi/peerd.sock")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket()).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Private memory of the daemon, in KiB.
    pub(crate) fn private_kib(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .filter(|l| l.starts_with("Private_Dirty:") || l.starts_with("Swap:"))
            .map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two boxes that are members of one community, and their clients.
pub(crate) fn pair() -> (Box, Client, Box, Client) {
    let (a, b) = (Box::new(), Box::new());
    let (ca, cb) = (a.client(), b.client());
    join(&[(&a, &ca), (&b, &cb)]);
    (a, ca, b, cb)
}

/// Makes these boxes members of one community.
pub(crate) fn join(boxes: &[(&Box, &Client)]) {
    let members: Vec<_> = boxes
        .iter()
        .map(|(place, client)| member(client.own_key(), vec![place.address()]))
        .collect();
    for (_, client) in boxes {
        client.configure(&community(members.clone())).unwrap();
    }
}

pub(crate) fn member(key: Key, addresses: Vec<SocketAddr>) -> Member {
    Member::new(key, addresses)
}

pub(crate) fn community(members: Vec<Member>) -> Configuration {
    Configuration {
        community: Some(COMMUNITY.to_owned()),
        name: "osona".to_owned(),
        members,
        banned: Vec::new(),
    }
}

/// As many descriptors for this process as it may have.
pub(crate) fn raise_own_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// What the box on this bus says of itself.
pub(crate) fn stats(bus: &Bus) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_guifi-peer"))
        .args(["stats", "--json"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a box relays with, as its record would say.
pub(crate) fn relay_of(place: &Box) -> RelayPorts {
    let path = place.dir.path().join("var/lib/guifi/peerd/relay.crt");
    RelayPorts {
        udp: place.relay_port,
        tcp: place.relay_port,
        certificate: Key(Sha256::digest(fs::read(path).unwrap()).into()).to_string(),
    }
}

/// Waits until `check` gives something.
pub(crate) fn until<T>(what: &str, wait: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + wait;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {wait:?}");
        // Polling another process: there is no event to wait for.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Whether the tests run as root; says aloud what is left out if not.
pub(crate) fn root_or_skip(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: {test} needs root");
    }
    root
}

#[allow(clippy::zombie_processes)] // the box that it is given to waits for it
fn spawn(dir: &TempDir, before: &[String], environment: &[(String, String)]) -> Child {
    let path = dir.path().join("notify");
    let _ = fs::remove_file(&path);
    let notify = UnixDatagram::bind(&path).unwrap();
    notify.set_read_timeout(Some(SOON)).unwrap();
    // Figures are taken with a release build named by this variable.
    let daemon = std::env::var("PEERD_BINARY")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_guifi-peerd").to_owned());
    let mut words = before.to_vec();
    words.push(daemon);
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env("GUIFI_ROOT", dir.path())
        .env("NOTIFY_SOCKET", &path)
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .stdin(Stdio::null());
    if std::env::var_os("GUIFI_LOG").is_none() {
        command.env("GUIFI_LOG", "error");
    }
    command.envs(environment.iter().map(|(k, v)| (k, v)));
    let child = command.spawn().unwrap();
    let mut buffer = [0; 256];
    loop {
        let length = notify.recv(&mut buffer).expect("the daemon is not ready");
        if buffer[..length].starts_with(b"READY=1") {
            return child;
        }
    }
}

/// A port that nobody uses, for UDP and TCP. Test processes run side by side, so each begins
/// elsewhere.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + (std::process::id() % 200) as u16 * 100;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        let all = SocketAddr::from(([0, 0, 0, 0], port));
        if UdpSocket::bind(all).is_ok() && TcpListener::bind(all).is_ok() {
            return port;
        }
    }
}

/// Reads to the end, whatever the end is.
pub(crate) fn rest(stream: &guifi_streams::Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.socket.set_read_timeout(Some(SOON * 3)).unwrap();
    // An error ends it too.
    let _ = (&stream.socket).read_to_end(&mut bytes);
    bytes
}
