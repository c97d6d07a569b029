//! Garbage for every method on the bus: the daemon lives, and answers after it.

use std::fs;
use std::process::{Child, Command, Stdio};

use guifi_testing::bus::Bus;
use guifi_testing::fuzz::{Target, calls, inputs};
use guifi_testing::interface;

/// Ends with its value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only if it is dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_call_ends_the_daemon() {
    let (dir, bus) = (tempfile::tempdir().unwrap(), Bus::new());
    for sub in ["etc/guifi", "run/guifi", "var/lib/guifi/discoveryd"] {
        fs::create_dir_all(dir.path().join(sub)).unwrap();
    }
    let _daemon = Daemon(
        Command::new(env!("CARGO_BIN_EXE_guifi-discoveryd"))
            .env("GUIFI_ROOT", dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let target = Target {
        name: guifi_bus::DISCOVERY.name,
        path: guifi_bus::DISCOVERY.path,
        interface: &interface("net.guifi.Discovery1"),
        without: &[],
        slow: &[],
        samples: &[
            "Photos",
            "Fotos d'en Pere",
            "_http._tcp",
            "_ipp._tcp",
            "path=/album",
            "check",
            "none",
            "http:/album",
            "global",
            "host",
            "printer",
            "addresses",
            "10.1.0.9",
            "community",
            "local",
            "link",
            "vic",
        ],
    };
    calls(&bus.address(), target, inputs());
}
