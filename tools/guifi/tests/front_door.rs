//! The binary on a file system root of its own.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn guifi(root: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guifi"))
        .args(arguments)
        .env("GUIFI_ROOT", root)
        .output()
        .unwrap()
}

fn root() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("usr/bin");
    fs::create_dir_all(&bin).unwrap();
    let script = bin.join("guifi-demo");
    fs::write(&script, "#!/bin/sh\necho \"demo $*\"\nexit 75\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let manuals = dir.path().join("usr/share/man/man1");
    fs::create_dir_all(&manuals).unwrap();
    fs::write(
        manuals.join("guifi-demo.1"),
        ".Nm guifi-demo\n.Nd show how it is done\n",
    )
    .unwrap();
    dir
}

#[test]
fn alone_it_lists_what_is_installed() {
    let dir = root();
    let output = guifi(dir.path(), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.contains("  demo  show how it is done\n"), "{text}");
}

#[test]
fn a_command_runs_with_its_arguments_and_exit_code() {
    let dir = root();
    let output = guifi(dir.path(), &["demo", "a", "b c"]);
    assert_eq!(output.stdout, b"demo a b c\n");
    assert_eq!(output.status.code(), Some(75));
}

#[test]
fn an_unknown_command_is_a_usage_error_on_standard_error() {
    let dir = root();
    for name in ["nothing", "../demo", "-x"] {
        let output = guifi(dir.path(), &[name]);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .contains("there is no command")
        );
    }
}
