//! The commands against their manuals, and without a bus.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output, Stdio};

use clap::CommandFactory as _;
use guifi_box::cli::{Backup, Join, Leave, Status};
use guifi_testing::{command_faults, page};

#[test]
fn the_manuals_name_every_option() {
    let mut faults = command_faults(&page("guifi-join.1"), &Join::command());
    faults.extend(command_faults(&page("guifi-leave.1"), &Leave::command()));
    faults.extend(command_faults(&page("guifi-backup.1"), &Backup::command()));
    faults.extend(command_faults(&page("guifi-status.1"), &Status::command()));
    assert!(faults.is_empty(), "{faults:#?}");
}

fn run(binary: &str, words: &[&str]) -> Output {
    Command::new(binary)
        .args(words)
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn without_a_bus_they_say_so() {
    let join = run(env!("CARGO_BIN_EXE_guifi-join"), &["osona", "--create"]);
    assert_eq!(join.status.code(), Some(69), "{join:?}");
    assert!(
        String::from_utf8(join.stderr)
            .unwrap()
            .starts_with("guifi-join: cannot reach the system bus")
    );
    let status = run(env!("CARGO_BIN_EXE_guifi-status"), &["--json"]);
    assert_eq!(status.status.code(), Some(69));
    let said: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&said["state"], &said["parts"][0]["part"]),
        (&"down".into(), &"bus".into())
    );
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for words in [
        &["--create", "--seed", "x", "osona"][..],
        &["--domain", "x"],
        &["--nonsense"],
    ] {
        let output = run(env!("CARGO_BIN_EXE_guifi-join"), words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty());
    }
}
