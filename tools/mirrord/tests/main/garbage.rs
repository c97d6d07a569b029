//! Garbage for every method on the bus: the daemon lives, and answers after it.

use crate::repository;

use std::fs;
use std::process::Command;

use guifi_bus::MIRROR;
use guifi_testing::bus::Bus;
use guifi_testing::fuzz::{Target, calls, inputs};
use guifi_testing::interface;
use repository::{Killed, fixture, free_port, make};

#[test]
fn no_call_ends_the_daemon() {
    let (bus, dir) = (Bus::new(), tempfile::tempdir().unwrap());
    make("one", &["a", "b"], &dir.path().join("upstream"));
    fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
    fs::copy(fixture("keyring.gpg"), dir.path().join("etc/keyring.gpg")).unwrap();
    let settings = format!(
        "upstream = ['file:{}']\nkeyring = '/etc/keyring.gpg'\nlisten = ['127.0.0.1']\nport = {}\n",
        dir.path().join("upstream").display(),
        free_port()
    );
    fs::write(dir.path().join("etc/guifi/mirrord.toml"), settings).unwrap();
    let _daemon = Killed::spawn(
        Command::new(env!("CARGO_BIN_EXE_guifi-mirrord"))
            .env("GUIFI_ROOT", dir.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address()),
    );
    let target = Target {
        name: MIRROR.name,
        path: MIRROR.path,
        interface: &interface("net.guifi.Mirror1"),
        without: &[],
        slow: &["Update"],
        samples: &["guifi"],
    };
    calls(&bus.address(), target, inputs());
}
