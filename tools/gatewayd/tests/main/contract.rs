//! The daemon and the command against their contract: interface and manuals.

use std::fs;
use std::process::Command;

use clap::CommandFactory as _;
use guifi_bus::{GATEWAY, GatewayAdminProxy, GatewayProxy, block_on};
use guifi_gatewayd::{cli, config};
use guifi_testing::bus::{Bus, contract};
use guifi_testing::{command_faults, document_faults, interface, key_faults, member_faults, page};
use serde_json::Value;

use crate::gateway::Gateway;
use crate::grid::Grid;

#[test]
fn the_daemon_introspects_its_interface_and_every_proxy_method_answers() {
    let (bus, grid) = (Bus::new(), Grid::new(1));
    let gateway = Gateway::on_bus(&bus.address(), &grid.yaml(), [1, 1, 1]);
    block_on(async {
        let connection = bus.connect().await;
        let seen = bus.introspect(GATEWAY.name, GATEWAY.path).await;
        assert_eq!(contract(&seen), contract(&interface("net.guifi.Gateway1")));
        let reads = GatewayProxy::new(&connection).await.unwrap();
        let document: Value = serde_json::from_str(&reads.describe().await.unwrap()).unwrap();
        let faults = document_faults(&page("net.guifi.Gateway1.5"), &document);
        assert!(faults.is_empty(), "{faults:#?}");
        assert_eq!(document["servers"].as_array().unwrap().len(), 1);
        let admin = GatewayAdminProxy::new(&connection).await.unwrap();
        let exported = admin.export_servers().await.unwrap();
        assert!(exported.contains("ours-0"), "{exported}");
        assert_eq!(admin.import_servers(&exported).await.unwrap(), 1);
        assert!(admin.import_servers("nonsense").await.is_err());
        Ok(())
    })
    .unwrap();
    // The command says the same.
    let said: Value = serde_json::from_str(&gateway.stored(&["--json", "status"])).unwrap();
    assert_eq!(said["servers"][0]["state"], "up");
    let faults = document_faults(&page("net.guifi.Gateway1.5"), &said);
    assert!(faults.is_empty(), "{faults:#?}");
    let exported = gateway.stored(&["grid", "export"]);
    let file = gateway.path("servers.yaml");
    fs::write(&file, exported).unwrap();
    gateway.stored(&["grid", "import", &file.display().to_string()]);
    fs::write(&file, "storage: [").unwrap();
    assert!(
        !gateway
            .store(&["grid", "import", &file.display().to_string()])
            .status
            .success()
    );
    gateway.stored(&["alias", "create", "fam"]);
    gateway.stored(&["mkdir", "fam:x"]);
    let line: Value = serde_json::from_str(&gateway.stored(&["--json", "ls", "fam:"])).unwrap();
    assert!(document_faults(&page("guifi-store.1"), &line).is_empty());
}

#[test]
fn the_manuals_name_every_option_key_and_member() {
    let mut faults = Vec::new();
    for (name, command) in [
        ("guifi-gatewayd.8", cli::Cli::command()),
        ("guifi-store.1", cli::Command::command()),
    ] {
        let found = command_faults(&page(name), &command);
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    faults.extend(key_faults(&page("guifi-gatewayd.toml.5"), config::KEYS));
    faults.extend(member_faults(
        &page("net.guifi.Gateway1.5"),
        &interface("net.guifi.Gateway1"),
    ));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_wrong_configuration_and_a_wrong_list_of_servers_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let check = || {
        Command::new(env!("CARGO_BIN_EXE_guifi-gatewayd"))
            .arg("--check")
            .env("GUIFI_ROOT", dir.path())
            .output()
            .unwrap()
    };
    assert_eq!(check().status.code(), Some(0));
    fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
    fs::write(dir.path().join("etc/guifi/gatewayd.toml"), "prot = 1\n").unwrap();
    assert_eq!(check().status.code(), Some(78));
}
