//! A stand-in for the registry, an upstream server that answers what it
//! is told to, and the real daemon on a directory of its own.
#![allow(unreachable_pub)]

mod primary;
mod registry;
mod upstream;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guifi_dnsd::name::Name;
use guifi_dnsd::tsig::{Algorithm, Key};
pub use guifi_testing::bus::Bus;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
pub use primary::{AXFR, IXFR, SOA, Script, StandInPrimary, Step, soa};
pub use registry::Registry;
use serde_json::Value;
pub use upstream::{Upstream, serve};

/// How long anything may take that happens at once on an idle machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until `check` gives something.
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in {SOON:?}: {what}");
        // Polled at the pace of the clock of a test, not of the machine.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// The daemon.
pub struct Daemon {
    process: Option<Child>,
    pub directory: tempfile::TempDir,
    pub port: u16,
    bus: String,
    log: PathBuf,
}

impl Daemon {
    /// Starts it with `configuration` beside the port, and waits until it is ready.
    pub fn start(bus: &Bus, configuration: &str) -> Self {
        Self::start_with(bus, configuration, &[])
    }

    /// The same, with further files.
    pub fn start_with(bus: &Bus, configuration: &str, files: &[(&str, &str)]) -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut daemon = Self {
            process: None,
            directory,
            port,
            bus: bus.address(),
            log,
        };
        daemon.write(
            "/etc/guifi/dnsd.toml",
            &format!("port = {port}\n{configuration}"),
        );
        daemon.write("/var/lib/guifi/dnsd/.keep", "");
        for (path, text) in files {
            daemon.write(path, text);
        }
        daemon.run();
        daemon
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.directory.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("GUIFI_ROOT", self.directory.path())
            .env("GUIFI_LOG", "debug")
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus);
        command
    }

    pub fn run(&mut self) {
        let notify = self.directory.path().join("notify");
        let _ = fs::remove_file(&notify);
        let socket = UnixDatagram::bind(&notify).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let process = self
            .command(env!("CARGO_BIN_EXE_guifi-dnsd"))
            .env("NOTIFY_SOCKET", &notify)
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let mut message = [0; 100];
        let length = socket.recv(&mut message).expect("not ready in time");
        assert_eq!(&message[..length], b"READY=1");
    }

    pub fn signal(&self, name: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        let killed = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .unwrap();
        assert!(killed.success());
    }

    /// Ends it and gives the exit code, if it had one.
    pub fn stop(&mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.process.take().unwrap().wait().unwrap().code()
    }

    /// Octets of memory that it had at most.
    pub fn peak(&self) -> usize {
        let pid = self.process.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.unwrap().split_whitespace().nth(1).unwrap();
        number.parse::<usize>().unwrap() << 10
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs `guifi-dns` with arguments.
    pub fn dns(&self, arguments: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_guifi-dns"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Makes a key by `guifi-dns key add NAME` with these options.
    pub fn key(&self, name: &str, options: &[&str]) -> Arc<Key> {
        let made = self.dns(&[&["--json", "key", "add", name], options].concat());
        assert!(made.status.success(), "{made:?}");
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let text = |word: &str| made[word].as_str().unwrap();
        let secret = data_encoding::BASE64.decode(text("secret").as_bytes());
        let algorithm: Algorithm = text("algorithm").parse().unwrap();
        let name = Name::parse(text("name")).unwrap();
        Arc::new(Key::new(&name, algorithm, &secret.unwrap()))
    }

    pub fn describe(&self) -> Value {
        let output = self.dns(&["--json", "status"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Asks by UDP; `None` if there is no answer.
    pub fn ask(&self, name: &str, kind: RecordType) -> Option<Message> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(6)))
            .unwrap();
        socket.send_to(&query(name, kind), self.address()).unwrap();
        let mut buffer = [0; 2000];
        let length = socket.recv(&mut buffer).ok()?;
        Some(Message::from_vec(&buffer[..length]).unwrap())
    }

    /// Asks several questions on one TCP connection.
    pub fn ask_tcp(&self, questions: &[(&str, RecordType)]) -> Vec<Message> {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        for (name, kind) in questions {
            let query = query(name, *kind);
            let length = u16::try_from(query.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &query].concat()).unwrap();
        }
        let mut read = || {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer).unwrap();
            Message::from_vec(&answer).unwrap()
        };
        questions.iter().map(|_| read()).collect()
    }

    /// The data of an answer as text, sorted.
    pub fn data(&self, name: &str, kind: RecordType) -> Vec<String> {
        let message = self.ask(name, kind).unwrap();
        let mut data: Vec<_> = message.answers.iter().map(guifi_dnsd::text::data).collect();
        data.sort();
        data
    }

    /// Waits until a name has data.
    pub fn wait_for(&self, name: &str, kind: RecordType) -> Vec<String> {
        until(name, || {
            Some(self.data(name, kind)).filter(|data| !data.is_empty())
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprint(&self.log());
        }
    }
}

fn eprint(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let wire = Name::parse(name).unwrap();
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    bytes.extend_from_slice(wire.wire());
    bytes.extend_from_slice(&u16::from(kind).to_be_bytes());
    bytes.extend_from_slice(&[0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// A port that is free for UDP and TCP on the loopback.
pub fn free_port() -> u16 {
    until("a free port", || {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        // Outside the range from which others are given ports by chance.
        let port = 10_000 + port % 20_000;
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        free.then_some(port)
    })
}
