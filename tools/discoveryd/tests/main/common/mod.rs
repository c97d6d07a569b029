//! A machine with the real Avahi, and the daemon or not, in a network namespace: alone on its
//! link, or with others.
#![allow(unreachable_pub)]

pub mod community;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use guifi_bus::DiscoveryProxy;
use guifi_testing::bus::Bus;
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for anything that should happen at all.
pub const SOON: Duration = Duration::from_secs(30);

/// A link on which nobody else is; /run is the namespace's own, for Avahi's socket.
const ALONE: &str = "ip link set lo up
ip link add guifi0 type veth peer name guifi1
ip address add 192.0.2.7/24 dev guifi0
ip link set guifi0 up
ip link set guifi1 up
mount -t tmpfs tmpfs /run
echo ready
cat";

/// A link to which machines are connected.
const SWITCH: &str = "ip link add link0 type bridge mcast_snooping 0 forward_delay 0
ip link set link0 up
echo ready
cat";

/// One machine of such a link.
const TOGETHER: &str = "ip link set lo up
ip link add guifi0 type veth peer name portNUMBER netns SWITCH
ip address add 192.0.2.NUMBER/24 dev guifi0
ip link set guifi0 up
nsenter --target=SWITCH --net -- ip link set portNUMBER master link0 up
mount -t tmpfs tmpfs /run
echo ready
cat";

const AVAHI: &str = "[server]
host-name=HOST
allow-interfaces=guifi0
use-ipv4=yes
use-ipv6=no
enable-dbus=warn
[publish]
publish-workstation=no
publish-hinfo=no
";

/// Ends with its value.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A machine with Avahi, and a box if it has the daemon.
pub struct Place {
    discoveryd: Option<Running>,
    avahi: Running,
    pub bus: Bus,
    pub dir: TempDir,
    namespace: Running,
}

/// Says past the harness, which would keep it to itself, why a test does not run.
pub fn skip(test: &str, why: &str) {
    let line = format!("{test} is skipped: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

pub fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(SOON, task).await.unwrap() })
}

/// Waits until `done` holds, looking now and then.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen in {SOON:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn namespace(script: &str) -> Result<Running, String> {
    let mut child = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-ec", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("unshare: {e}"))?;
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.as_mut().unwrap());
    said.read_line(&mut line).unwrap();
    let namespace = Running(child);
    if line == "ready\n" {
        Ok(namespace)
    } else {
        Err("no network namespace with a link can be made here".to_owned())
    }
}

impl Place {
    /// A box whose services.d holds `declared`; none where there cannot be one.
    pub fn new(test: &str, declared: &str) -> Option<Self> {
        let namespace = can_make(test, ALONE)?;
        let mut place = Self::within(namespace, "tester");
        if !declared.is_empty() {
            fs::write(place.path("etc/guifi/services.d/test.toml"), declared).unwrap();
        }
        place.start_discoveryd();
        place.settled();
        Some(place)
    }

    /// A machine in a namespace, without the daemon.
    fn within(namespace: Running, host: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in [
            "etc/guifi/services.d",
            "run/guifi",
            "var/lib/guifi/discoveryd",
        ] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let config = AVAHI.replace("HOST", host);
        fs::write(dir.path().join("avahi.conf"), config).unwrap();
        let bus = Bus::new();
        let avahi = start_avahi(|words| inside(&namespace, &bus, &dir, words), &dir);
        Self {
            discoveryd: None,
            avahi,
            bus,
            dir,
            namespace,
        }
    }

    pub fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    pub fn start_discoveryd(&mut self) {
        let command = self.inside(&[env!("CARGO_BIN_EXE_guifi-discoveryd")]);
        self.discoveryd = Some(start(command));
    }

    pub fn kill_discoveryd(&mut self) {
        self.discoveryd = None;
    }

    pub fn discoveryd_pid(&self) -> String {
        self.discoveryd.as_ref().unwrap().0.id().to_string()
    }

    pub fn inside(&self, words: &[&str]) -> Command {
        inside(&self.namespace, &self.bus, &self.dir, words)
    }

    /// Waits until the daemon has found Avahi.
    pub fn settled(&self) {
        until("the daemon and Avahi have met", || {
            self.try_describe()
                .is_some_and(|d| d["avahi"]["running"] == true)
        });
    }

    pub fn try_describe(&self) -> Option<Value> {
        let address = self.bus.address();
        block_on(async {
            let connection = zbus::connection::Builder::address(address.as_str())
                .build()
                .await
                .ok()?;
            let proxy = DiscoveryProxy::new(&connection).await.ok()?;
            serde_json::from_str(&proxy.describe().await.ok()?).ok()
        })
    }

    /// How the service `name` is shown on the link, says `Describe`.
    pub fn shown_as(&self, name: &str) -> Option<String> {
        let services = self.try_describe()?["services"].take();
        let mut services = services.as_array()?.iter();
        let service = services.find(|s| s["name"] == name)?;
        service["shown_as"].as_str().map(ToOwned::to_owned)
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.inside(words).output().unwrap()
    }

    /// What a command prints when it succeeds.
    pub fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        // While Avahi starts again nothing is on the link; who waits for it asks once more.
        let restarting = output.stderr.ends_with(b"Daemon not running\n");
        assert!(
            output.status.success() || restarting,
            "{words:?}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn publish(&self, words: &[&str]) -> Value {
        let command = [
            env!("CARGO_BIN_EXE_guifi-publish"),
            "--json",
            "--check=none",
        ];
        serde_json::from_str(&self.says(&[&command, words].concat())).unwrap()
    }

    /// The services of a type that a program sees that knows nothing of us: name, host,
    /// address, port and TXT.
    pub fn seen(&self, kind: &str) -> Vec<[String; 5]> {
        let lines = self.says(&[
            "avahi-browse",
            "--resolve",
            "--parsable",
            "--terminate",
            kind,
        ]);
        let found = lines.lines().filter_map(|line| {
            let fields: Vec<&str> = line.splitn(10, ';').collect();
            match fields[..] {
                ["=", _, "IPv4", name, _, _, host, address, port, txt] => {
                    Some([name, host, address, port, txt].map(unescape))
                }
                _ => None,
            }
        });
        found.collect()
    }

    pub fn names(&self, kind: &str) -> Vec<String> {
        let mut names: Vec<String> = self.seen(kind).into_iter().map(|[n, ..]| n).collect();
        names.sort();
        names
    }

    /// The names of a type without a look at where they are: of hundreds that takes its time.
    pub fn listed(&self, kind: &str) -> Vec<String> {
        let lines = self.says(&["avahi-browse", "--parsable", "--terminate", kind]);
        let found = lines
            .lines()
            .filter_map(|l| l.strip_prefix("+;guifi0;IPv4;"));
        let mut names: Vec<String> = found
            .filter_map(|l| l.split(';').next())
            .map(unescape)
            .collect();
        names.sort();
        names
    }

    /// What guifi-browse finds on the link.
    pub fn browse(&self, kind: &str) -> Vec<Value> {
        let command = env!("CARGO_BIN_EXE_guifi-browse");
        self.says(&[command, "--scope=local", "--json", kind])
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub fn kill_avahi(&mut self) {
        self.avahi.0.kill().unwrap();
        self.avahi.0.wait().unwrap();
    }

    /// A program that knows nothing of us announces a service.
    pub fn announce(&self, name: &str, kind: &str, port: u16) -> Running {
        let port = port.to_string();
        let mut command = self.inside(&["avahi-publish", "-s", name, kind, &port, "path=/guest"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        start(command)
    }

    /// Everything stops at once, and says goodbye to nobody.
    pub fn power_off(&mut self) {
        let down = self.inside(&["ip", "link", "set", "guifi0", "down"]);
        assert!({ down }.status().unwrap().success());
        self.kill_avahi();
        self.kill_discoveryd();
        let up = self.inside(&["ip", "link", "set", "guifi0", "up"]);
        assert!({ up }.status().unwrap().success());
    }

    pub fn start_avahi(&mut self) {
        self.avahi = start_avahi(|words| self.inside(words), &self.dir);
    }
}

/// A box without Avahi, alone on a bus of its own.
pub struct Quiet {
    pub bus: Bus,
    dir: TempDir,
    _discoveryd: Running,
}

impl Quiet {
    pub fn new(number: u8, community: &community::Community) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("var/lib/guifi/discoveryd")).unwrap();
        let bus = Bus::new();
        community.serve(number, &bus);
        let daemon = env!("CARGO_BIN_EXE_guifi-discoveryd");
        let discoveryd = start(on_bus(Command::new(daemon), &bus, &dir));
        Self {
            bus,
            dir,
            _discoveryd: discoveryd,
        }
    }

    /// What guifi-browse finds in the community; nothing while the daemon starts.
    pub fn browse(&self, words: &[&str]) -> Vec<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guifi-browse"));
        command.args(["--scope=community", "--json"]).args(words);
        let output = on_bus(command, &self.bus, &self.dir).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }
}

/// A link with several machines.
pub struct Link(Running);

impl Link {
    pub fn new(test: &str) -> Option<Self> {
        can_make(test, SWITCH).map(Self)
    }

    /// A machine on the link, at 192.0.2.NUMBER, without the daemon.
    pub fn machine(&self, number: u8) -> Place {
        let script = TOGETHER
            .replace("NUMBER", &number.to_string())
            .replace("SWITCH", &self.0.0.id().to_string());
        let place = Place::within(namespace(&script).unwrap(), &format!("machine-{number}"));
        until("Avahi runs", || {
            let asked = place.run(&["avahi-browse", "--terminate", "_none._tcp"]);
            asked.status.success()
        });
        place
    }

    /// A box on the link.
    pub fn boxed(&self, number: u8, community: &community::Community, config: &str) -> Place {
        let mut place = self.machine(number);
        fs::write(place.path("etc/guifi/discoveryd.toml"), config).unwrap();
        community.serve(number, &place.bus);
        place.start_discoveryd();
        place.settled();
        place
    }
}

/// A namespace made by a script; none where there cannot be one.
fn can_make(test: &str, script: &str) -> Option<Running> {
    if !nix::unistd::geteuid().is_root() {
        skip(test, "it makes a network namespace: run it as root");
        return None;
    }
    if Command::new("avahi-daemon")
        .arg("--version")
        .output()
        .is_err()
    {
        skip(test, "avahi-daemon is not installed");
        return None;
    }
    match namespace(script) {
        Ok(namespace) => Some(namespace),
        Err(why) => {
            skip(test, &why);
            None
        }
    }
}

/// A command in the namespace and on the bus of a place.
fn inside(namespace: &Running, bus: &Bus, dir: &TempDir, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--target={}", namespace.0.id()))
        .args(["--net", "--mount", "--"])
        .args(words);
    on_bus(command, bus, dir)
}

fn on_bus(mut command: Command, bus: &Bus, dir: &TempDir) -> Command {
    command
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .env("GUIFI_ROOT", dir.path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

pub fn start(mut command: Command) -> Running {
    Running(command.spawn().unwrap())
}

pub fn start_avahi(inside: impl Fn(&[&str]) -> Command, dir: &TempDir) -> Running {
    let config = dir.path().join("avahi.conf");
    let mut command = inside(&[
        "avahi-daemon",
        "--no-rlimits",
        "--no-chroot",
        "--no-drop-root",
    ]);
    command.arg("-f").arg(config).stderr(Stdio::null());
    start(command)
}

/// Undoes what avahi-browse does to names: `\.` and `\032`.
pub fn unescape(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        rest = more;
        match (first, more) {
            (b'\\', [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..]) => {
                let digit = |d: &u8| u32::from(d - b'0');
                bytes.push((digit(a) * 100 + digit(b) * 10 + digit(c)) as u8);
                rest = &more[3..];
            }
            (b'\\', [escaped, ..]) => {
                bytes.push(*escaped);
                rest = &more[1..];
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).unwrap()
}
