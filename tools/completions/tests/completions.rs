//! Every command has completions, and the shells understand them.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // what is left out is said aloud

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The commands of all tools: their binaries without daemons, helpers and the front door.
fn built() -> BTreeSet<String> {
    let binaries = fs::read_dir(root().join("tools"))
        .unwrap()
        .filter_map(|tool| fs::read_dir(tool.unwrap().path().join("src/bin")).ok())
        .flatten()
        .map(|file| file.unwrap().path())
        .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    binaries
        .filter(|name| {
            let noun = name.strip_prefix("guifi-").unwrap_or_default();
            let daemon = noun.ends_with('d') || noun.contains("d-");
            !daemon && !noun.is_empty() && noun != "completions"
        })
        .collect()
}

#[test]
fn every_command_of_the_tools_is_there() {
    let named: BTreeSet<_> = guifi_completions::commands()
        .iter()
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(named, built());
}

#[test]
fn the_shells_read_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_guifi-completions"))
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(status.success());
    let by_hand = root().join("debian/completions");
    for shell in ["bash", "zsh", "fish"] {
        let found = Command::new(shell)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if found.is_err() {
            eprintln!("SKIPPED: {shell} is not installed");
            continue;
        }
        for place in [directory.path(), &by_hand] {
            let files = fs::read_dir(place.join(shell)).unwrap();
            for file in files.map(|f| f.unwrap().path()) {
                let read = Command::new(shell).arg("-n").arg(&file).output().unwrap();
                assert!(read.status.success(), "{}: {read:?}", file.display());
            }
        }
    }
}

#[test]
fn bash_completes_the_front_door_and_hands_on_to_its_commands() {
    let directory = tempfile::tempdir().unwrap();
    guifi_completions::write(directory.path()).unwrap();
    let commands = directory.path().join("usr/bin");
    fs::create_dir_all(&commands).unwrap();
    for name in ["guifi-join", "guifi-dns"] {
        fs::write(commands.join(name), "").unwrap();
    }
    let generated = directory.path().join("bash");
    let complete = |line: &str| {
        // What the shell does on TAB, without a terminal.
        let script = format!(
            "source {front}; source {generated}/guifi-join; source {generated}/guifi-dns; \
             COMP_WORDS=({line} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _guifi guifi '' \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\"",
            front = root().join("debian/completions/bash/guifi").display(),
            generated = generated.display(),
        );
        let output = Command::new("bash")
            .args(["--norc", "-c", &script])
            .env("GUIFI_ROOT", directory.path())
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("guifi"), "dns join");
    let words = complete("guifi dns");
    for word in ["status", "zones", "query", "--json"] {
        assert!(words.split(' ').any(|w| w == word), "{word}: {words}");
    }
    assert!(complete("guifi join").contains("--create"));
    assert_eq!(complete("guifi nonsense"), "");
}
