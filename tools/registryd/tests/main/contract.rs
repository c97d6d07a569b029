//! The daemon and the command against their contract: interface, manuals, configuration.

use crate::town;

use clap::CommandFactory as _;
use guifi_core::Root;
use guifi_registryd::{cli, config};
use guifi_testing::{
    bus, command_faults, document_faults, example, interface, key_faults, member_faults, page,
};
use town::{Place, block_on};

#[test]
fn the_daemon_introspects_exactly_its_contract() {
    let place = Place::new();
    let registry = guifi_bus::REGISTRY;
    let seen = block_on(place.bus.introspect(registry.name, registry.path));
    assert_eq!(
        bus::contract(&seen),
        bus::contract(&interface("net.guifi.Registry1"))
    );
}

#[test]
fn the_manuals_name_every_option_key_and_member() {
    let mut faults = command_faults(&page("guifi-registryd.8"), &cli::Cli::command());
    faults.extend(command_faults(
        &page("guifi-registry.1"),
        &cli::Command::command(),
    ));
    faults.extend(command_faults(
        &page("guifi-invite.1"),
        &cli::Invite::command(),
    ));
    faults.extend(key_faults(&page("guifi-registryd.toml.5"), config::KEYS));
    let bus_page = page("net.guifi.Registry1.5");
    faults.extend(member_faults(&bus_page, &interface("net.guifi.Registry1")));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_manual_shows_every_member_of_the_described_document() {
    let place = Place::new();
    place.found("osona", "one");
    let faults = document_faults(&page("net.guifi.Registry1.5"), &place.describe());
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_example_configuration_is_the_defaults() {
    let written = example("registryd");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("etc/guifi/registryd.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, &written).unwrap();
    let loaded: config::Written = guifi_core::load(&Root::new(dir.path()), "registryd").unwrap();
    assert_eq!(loaded, config::Written::default());
    for key in config::KEYS {
        let key = key.rsplit('.').next().unwrap();
        assert!(
            written.lines().any(|l| l.starts_with(&format!("{key} = "))),
            "{key} is not shown"
        );
    }
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_starts() {
    for (text, why) in [
        ("[sync]\ninterval_seconds = 1\n", "sync.interval_seconds"),
        ("[sponsors]\n", "unknown field"),
        ("[write]\nburst = 0\n", "write.burst"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
        std::fs::write(dir.path().join("etc/guifi/registryd.toml"), text).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_guifi-registryd"))
            .arg("--check")
            .env("GUIFI_ROOT", dir.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why), "{said}");
    }
}
