//! `guifi-store`.

use std::fs;

use serde_json::Value;

use crate::gateway::Gateway;
use crate::grid::{Grid, noise};

#[test]
fn trees_go_up_and_come_back() {
    let grid = Grid::new(2);
    let gateway = Gateway::new(&grid.yaml(), [1, 2, 2]);
    let local = gateway.path("tree");
    fs::create_dir_all(local.join("a/b")).unwrap();
    fs::create_dir(local.join("empty")).unwrap();
    fs::write(local.join("a/one"), noise(100_000, 1)).unwrap();
    fs::write(local.join("a/b/two"), "two").unwrap();
    fs::write(local.join("ü & <x>"), "").unwrap();
    let text = local.display().to_string();
    gateway.stored(&["alias", "create", "fam"]);
    assert_eq!(
        gateway.store(&["cp", &text, "fam:"]).status.code(),
        Some(2),
        "not without -r"
    );
    gateway.stored(&["cp", "-r", &text, "fam:"]);
    let back = gateway.path("back");
    gateway.stored(&["cp", "-r", "fam:tree", &back.display().to_string()]);
    let compare = |a: &std::path::Path, b: &std::path::Path| {
        std::process::Command::new("diff")
            .arg("-r")
            .args([a, b])
            .status()
            .unwrap()
            .success()
    };
    assert!(compare(&local, &back));
    // Again, with a change, into what is there.
    fs::write(local.join("a/b/two"), "two, changed").unwrap();
    fs::write(local.join("a/three"), "3").unwrap();
    gateway.stored(&["cp", "-r", &text, "fam:"]);
    fs::remove_dir_all(&back).unwrap();
    gateway.stored(&["cp", "-r", "fam:tree", &back.display().to_string()]);
    assert!(compare(&local, &back));
    gateway.stored(&["cp", "-r", "fam:tree", "fam:copy"]);
    gateway.stored(&["mv", "fam:copy/a", "fam:moved"]);
    assert_eq!(gateway.stored(&["get", "fam:moved/b/two"]), "two, changed");
    assert_eq!(gateway.store(&["rm", "fam:copy"]).status.code(), Some(2));
    gateway.stored(&["rm", "-r", "fam:copy"]);
    let listed = gateway.stored(&["--json", "ls", "fam:"]);
    let names: Vec<Value> = listed
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let names: Vec<&str> = names
        .iter()
        .map(|line| line["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["moved", "tree"]);
    let checked = gateway.stored(&["check", "--verify", "-r", "fam:"]);
    assert!(
        checked.lines().all(|line| line.contains(": healthy")),
        "{checked}"
    );
}

#[test]
fn exit_codes_tell_what_it_was() {
    let grid = Grid::new(1);
    let mut gateway = Gateway::new(&grid.yaml(), [1, 1, 1]);
    let code = |gateway: &Gateway, words: &[&str]| gateway.store(words).status.code().unwrap();
    gateway.stored(&["alias", "create", "fam"]);
    assert_eq!(code(&gateway, &["alias", "create", "fam"]), 1);
    assert_eq!(code(&gateway, &["ls", "nobody:"]), 2);
    assert_eq!(code(&gateway, &["get", "fam:nothing"]), 1);
    assert_eq!(
        code(&gateway, &["get", "fam:"]),
        1,
        "a directory is no file"
    );
    assert_eq!(code(&gateway, &["put", "/nonexistent", "fam:x"]), 1);
    let shared = gateway.stored(&["share", "fam:"]);
    assert!(shared.starts_with("URI:DIR2-RO:"));
    assert_eq!(code(&gateway, &["mkdir", &format!("{shared}/x")]), 77);
    let aliases = gateway.path("home/.config/guifi/store/aliases");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&aliases).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let status = gateway.stored(&["status"]);
    assert!(status.contains("nothing is redundant"), "{status}");
    gateway.kill();
    assert_eq!(code(&gateway, &["ls", "fam:"]), 69);
    fs::write(&aliases, "no colon\n").unwrap();
    assert_eq!(code(&gateway, &["ls", "fam:"]), 1);
}
