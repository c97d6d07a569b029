//! The daemon with the real Avahi, on a link of their own in a network namespace.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use guifi_bus::DiscoveryProxy;
use guifi_testing::bus::Bus;
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for anything that should happen at all.
const SOON: Duration = Duration::from_secs(30);

/// A link on which nobody else is; /run is the namespace's own, for Avahi's socket.
const LINK: &str = "ip link set lo up
ip link add guifi0 type veth peer name guifi1
ip address add 192.0.2.7/24 dev guifi0
ip link set guifi0 up
ip link set guifi1 up
mount -t tmpfs tmpfs /run
echo ready
cat";

const AVAHI: &str = "[server]
host-name=tester
allow-interfaces=guifi0
use-ipv4=yes
use-ipv6=no
enable-dbus=warn
[publish]
publish-workstation=no
publish-hinfo=no
";

/// Ends with its value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A box with Avahi.
struct Place {
    discoveryd: Running,
    avahi: Running,
    bus: Bus,
    dir: TempDir,
    namespace: Running,
}

/// Says past the harness, which would keep it to itself, why a test does not run.
fn skip(test: &str, why: &str) {
    let line = format!("{test} is skipped: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(SOON, task).await.unwrap() })
}

/// Waits until `done` holds, looking now and then.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen in {SOON:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn namespace() -> Result<Running, String> {
    let mut child = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-ec", LINK])
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
    fn new(test: &str, declared: &str) -> Option<Self> {
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
        let namespace = match namespace() {
            Ok(namespace) => namespace,
            Err(why) => {
                skip(test, &why);
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        for sub in [
            "etc/guifi/services.d",
            "run/guifi",
            "var/lib/guifi/discoveryd",
        ] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        if !declared.is_empty() {
            fs::write(dir.path().join("etc/guifi/services.d/test.toml"), declared).unwrap();
        }
        fs::write(dir.path().join("avahi.conf"), AVAHI).unwrap();
        let bus = Bus::new();
        let inside = |words: &[&str]| inside(&namespace, &bus, &dir, words);
        let avahi = start_avahi(inside, &dir);
        let discoveryd = start(inside(&[env!("CARGO_BIN_EXE_guifi-discoveryd")]));
        let place = Self {
            discoveryd,
            avahi,
            bus,
            dir,
            namespace,
        };
        place.settled();
        Some(place)
    }

    fn inside(&self, words: &[&str]) -> Command {
        inside(&self.namespace, &self.bus, &self.dir, words)
    }

    /// Waits until the daemon has found Avahi.
    fn settled(&self) {
        until("the daemon and Avahi have met", || {
            self.try_describe()
                .is_some_and(|d| d["avahi"]["running"] == true)
        });
    }

    fn try_describe(&self) -> Option<Value> {
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
    fn shown_as(&self, name: &str) -> Option<String> {
        let services = self.try_describe()?["services"].take();
        let mut services = services.as_array()?.iter();
        let service = services.find(|s| s["name"] == name)?;
        service["shown_as"].as_str().map(ToOwned::to_owned)
    }

    fn run(&self, words: &[&str]) -> Output {
        self.inside(words).output().unwrap()
    }

    /// What a command prints when it succeeds.
    fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        // While Avahi starts again nothing is on the link; who waits for it asks once more.
        let restarting = output.stderr.ends_with(b"Daemon not running\n");
        assert!(
            output.status.success() || restarting,
            "{words:?}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn publish(&self, words: &[&str]) -> Value {
        let command = [
            env!("CARGO_BIN_EXE_guifi-publish"),
            "--json",
            "--check=none",
        ];
        serde_json::from_str(&self.says(&[&command, words].concat())).unwrap()
    }

    /// The services of a type that a program sees that knows nothing of us: name, host,
    /// address, port and TXT.
    fn seen(&self, kind: &str) -> Vec<[String; 5]> {
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

    fn names(&self, kind: &str) -> Vec<String> {
        let mut names: Vec<String> = self.seen(kind).into_iter().map(|[n, ..]| n).collect();
        names.sort();
        names
    }

    /// What guifi-browse finds on the link.
    fn browse(&self, kind: &str) -> Vec<Value> {
        let command = env!("CARGO_BIN_EXE_guifi-browse");
        self.says(&[command, "--scope=local", "--json", kind])
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn kill_avahi(&mut self) {
        self.avahi.0.kill().unwrap();
        self.avahi.0.wait().unwrap();
    }

    fn start_avahi(&mut self) {
        self.avahi = start_avahi(|words| self.inside(words), &self.dir);
    }
}

/// A command in the namespace and on the bus of a place.
fn inside(namespace: &Running, bus: &Bus, dir: &TempDir, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--target={}", namespace.0.id()))
        .args(["--net", "--mount", "--"])
        .args(words)
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .env("GUIFI_ROOT", dir.path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

fn start(mut command: Command) -> Running {
    Running(command.spawn().unwrap())
}

fn start_avahi(inside: impl Fn(&[&str]) -> Command, dir: &TempDir) -> Running {
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
fn unescape(text: &str) -> String {
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

#[test]
fn a_service_is_seen_by_other_programs_and_by_ours_until_it_is_unpublished() {
    let test = "a_service_is_seen_by_other_programs_and_by_ours_until_it_is_unpublished";
    let Some(place) = Place::new(test, "") else {
        return;
    };
    let name = "Fotos d'en \"Pere\" v1.2 📷";
    let answer = place.publish(&[name, "_http._tcp", "8080", "path=/àlbum", "empty="]);
    assert_eq!(answer["seen_by"], "this link", "{answer}");
    until("Avahi announces it", || place.names("_http._tcp") == [name]);
    let [_, host, address, port, txt] = place.seen("_http._tcp").remove(0);
    assert_eq!(
        [host.as_str(), &address, &port],
        ["tester.local", "192.0.2.7", "8080"]
    );
    assert!(
        txt.contains("path=/àlbum") && txt.contains("empty="),
        "{txt}"
    );
    let found = place.browse("_http._tcp");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["name"], name);
    assert_eq!(found[0]["port"], 8080);
    assert_eq!(found[0]["own"], true);
    assert_eq!(found[0]["txt"].as_array().unwrap().len(), 2);
    place.says(&[env!("CARGO_BIN_EXE_guifi-unpublish"), name]);
    until("it is gone", || place.names("_http._tcp").is_empty());
    until("our own look sees that too", || place.browse("").is_empty());
}

#[test]
fn a_service_of_another_machine_is_announced_with_its_address() {
    let test = "a_service_of_another_machine_is_announced_with_its_address";
    let Some(place) = Place::new(test, "") else {
        return;
    };
    // Two services of one machine: both need its address.
    place.publish(&["--host=192.0.2.9", "Printer", "_ipp._tcp", "631"]);
    place.publish(&["--host=192.0.2.9", "Printer's page", "_http._tcp", "80"]);
    for kind in ["_ipp._tcp", "_http._tcp"] {
        until("the other machine's service is announced", || {
            place
                .seen(kind)
                .first()
                .is_some_and(|[_, host, address, ..]| {
                    host == "host-192-0-2-9.local" && address == "192.0.2.9"
                })
        });
    }
    // One of them goes: the other keeps the address.
    place.says(&[env!("CARGO_BIN_EXE_guifi-unpublish"), "Printer"]);
    until("it is gone", || place.names("_ipp._tcp").is_empty());
    let [_, _, address, ..] = place.seen("_http._tcp").remove(0);
    assert_eq!(address, "192.0.2.9");
}

#[test]
fn a_taken_name_gives_way_to_another_which_describe_shows() {
    let test = "a_taken_name_gives_way_to_another_which_describe_shows";
    let Some(mut place) = Place::new(test, "") else {
        return;
    };
    let first = start(place.inside(&["avahi-publish", "-s", "Photos", "_http._tcp", "9000"]));
    until("the first is announced", || {
        place.names("_http._tcp") == ["Photos"]
    });
    place.publish(&["Photos", "_http._tcp", "8080"]);
    until("the second has another name", || {
        place.names("_http._tcp") == ["Photos", "Photos #2"]
    });
    let shown = || place.shown_as("Photos");
    assert_eq!(shown().as_deref(), Some("Photos #2"));
    let ports = place.seen("_http._tcp").into_iter();
    let mut ports: Vec<String> = ports.map(|[n, _, _, p, _]| format!("{n} {p}")).collect();
    ports.sort();
    assert_eq!(ports, ["Photos #2 8080", "Photos 9000"]);
    // When everything begins anew without the other, the name is free again.
    drop(first);
    place.kill_avahi();
    until("the daemon notices", || place.shown_as("Photos").is_none());
    place.start_avahi();
    until("it has its own name", || {
        place.names("_http._tcp") == ["Photos"]
    });
    assert_eq!(place.shown_as("Photos").as_deref(), Some("Photos"));
}

#[test]
fn services_are_announced_again_whatever_restarts() {
    let test = "services_are_announced_again_whatever_restarts";
    let declared =
        "[[service]]\nname = 'Declared'\ntype = '_http._tcp'\nport = 81\ncheck = 'none'\n";
    let Some(mut place) = Place::new(test, declared) else {
        return;
    };
    place.publish(&["Commanded", "_http._tcp", "80"]);
    let both = |place: &Place, what: &str| {
        until(what, || {
            place.names("_http._tcp") == ["Commanded", "Declared"]
        });
        for name in ["Commanded", "Declared"] {
            assert_eq!(place.shown_as(name).as_deref(), Some(name));
        }
        assert_eq!(place.browse("_http._tcp").len(), 2);
    };
    both(&place, "both are announced");
    place.kill_avahi();
    until("the daemon notices", || {
        place.try_describe().unwrap()["avahi"]["running"] == false
    });
    // Published meanwhile: announced when Avahi is back.
    let answer = place.publish(&["Late", "_ipp._tcp", "631"]);
    assert_eq!(answer["seen_by"], "nobody until Avahi runs");
    place.start_avahi();
    both(&place, "both are announced after Avahi's restart");
    until("the third is too", || place.names("_ipp._tcp") == ["Late"]);
    place.discoveryd.0.kill().unwrap();
    place.discoveryd.0.wait().unwrap();
    until("Avahi forgets its dead client", || {
        place.names("_http._tcp").is_empty()
    });
    place.discoveryd = start(place.inside(&[env!("CARGO_BIN_EXE_guifi-discoveryd")]));
    both(&place, "both are announced after the daemon's restart");
    place.bus.kill();
    place.bus.restart();
    place.settled();
    both(&place, "both are announced after the bus's restart");
    until("the third is too", || place.names("_ipp._tcp") == ["Late"]);
}

#[test]
fn declared_services_come_and_go_with_their_file() {
    let test = "declared_services_come_and_go_with_their_file";
    let declare = |name: &str, port: u16| {
        format!(
            "[[service]]\nname = '{name}'\ntype = '_http._tcp'\nport = {port}\ncheck = 'none'\n"
        )
    };
    let Some(place) = Place::new(test, &declare("One", 81)) else {
        return;
    };
    until("it is announced", || place.names("_http._tcp") == ["One"]);
    let reload = |text: &str| {
        fs::write(
            place.dir.path().join("etc/guifi/services.d/test.toml"),
            text,
        )
        .unwrap();
        let pid = place.discoveryd.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", "HUP", &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    reload(&format!("{}{}", declare("One", 82), declare("Two", 83)));
    until("one is changed and one is new", || {
        let mut seen: Vec<String> = place
            .seen("_http._tcp")
            .into_iter()
            .map(|[name, _, _, port, _]| format!("{name} {port}"))
            .collect();
        seen.sort();
        seen == ["One 82", "Two 83"]
    });
    reload(&declare("Two", 83));
    until("the first is gone", || place.names("_http._tcp") == ["Two"]);
}
