//! A bus of the test's own, and what a daemon introspects there.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=SOCKET</listen><servicedir>SERVICES</servicedir><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*" eavesdrop="true"/><allow receive_sender="*"/></policy></busconfig>"#;

/// A bus daemon of the test's own, on which everything is allowed.
pub struct Bus {
    dir: TempDir,
    child: Child,
}

impl Bus {
    /// Starts one.
    #[must_use]
    #[allow(clippy::new_without_default)] // a process is no default
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let services = dir.path().join("services");
        std::fs::create_dir(&services).unwrap();
        let config = CONFIG
            .replace("SOCKET", &dir.path().join("bus").to_string_lossy())
            .replace("SERVICES", &services.to_string_lossy());
        std::fs::write(dir.path().join("bus.conf"), config).unwrap();
        let child = start(&dir);
        Self { dir, child }
    }

    /// Its address, for `DBUS_SYSTEM_BUS_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:path={}", self.dir.path().join("bus").display())
    }

    /// Has it start a service for the name; the file that is returned appears then.
    #[must_use]
    pub fn activatable(&self, name: &str) -> PathBuf {
        let flag = self.dir.path().join(name);
        let service = format!(
            "[D-BUS Service]\nName={name}\nExec=/bin/sh -c \"touch {}; exec sleep 60\"\n",
            flag.display()
        );
        let file = self.dir.path().join(format!("services/{name}.service"));
        std::fs::write(file, service).unwrap();
        flag
    }

    /// A connection to it.
    pub async fn connect(&self) -> zbus::Connection {
        let address = self.address();
        zbus::connection::Builder::address(address.as_str())
            .build()
            .await
            .unwrap()
    }

    /// What the object `path` of the bus name `name` introspects.
    pub async fn introspect(&self, name: &'static str, path: &'static str) -> String {
        zbus::fdo::IntrospectableProxy::builder(&self.connect().await)
            .destination(name)
            .path(path)
            .build()
            .await
            .unwrap()
            .introspect()
            .await
            .unwrap()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Left behind by the killed daemon; the next one wants the path.
        let _ = std::fs::remove_file(self.dir.path().join("bus"));
    }

    /// Starts it again at the same address.
    pub fn restart(&mut self) {
        self.child = start(&self.dir);
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(dir: &TempDir) -> Child {
    let config = dir.path().join("bus.conf");
    let mut child = Command::new("dbus-daemon")
        .args(["--nofork", "--print-address"])
        .arg(format!("--config-file={}", config.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The address is printed once it listens.
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut String::new())
        .unwrap();
    child
}

/// Interface, member and arguments of everything of ours in an introspection document, for a
/// comparison that does not mind the order.
#[must_use]
pub fn contract(xml: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut interface, mut member, mut position) = (String::new(), String::new(), 0);
    let attribute = |tag: &str, name: &str| {
        tag.split_once(&format!(" {name}=\""))
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap_or_default()
            .to_owned()
    };
    for tag in xml.split('<').skip(1) {
        let name = attribute(tag, "name");
        match tag.split([' ', '>', '/']).next() {
            Some("interface") => interface = name,
            Some("method" | "signal" | "property") => {
                (member, position) = (name, 0);
                // A property has these, a method and a signal do not.
                let (kind, access) = (attribute(tag, "type"), attribute(tag, "access"));
                found.insert(format!("{interface} {member} {kind} {access}"));
            }
            Some("arg") => {
                position += 1;
                let (kind, direction) = (attribute(tag, "type"), attribute(tag, "direction"));
                found.insert(format!(
                    "{interface} {member} {position} {name} {kind} {direction}"
                ));
            }
            _ => {}
        }
    }
    found.retain(|line| line.starts_with("net.guifi."));
    found
}
