#![allow(clippy::unwrap_used)]
use super::*;

/// The account that runs the test owns everything.
fn file(path: &str, mode: u32, content: &[u8]) -> File {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    File {
        path: path.to_owned(),
        mode,
        user: User::from_uid(user).unwrap().unwrap().name,
        group: Group::from_gid(group).unwrap().unwrap().name,
        modified: 0,
        content: content.to_vec(),
    }
}

fn system() -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path());
    fs::create_dir_all(root.join("/etc/guifi")).unwrap();
    fs::write(root.join("/etc/guifi/old"), "old").unwrap();
    (directory, root)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn files_take_their_places_with_mode_and_directory() {
    let (_directory, root) = system();
    let files = [
        file("/etc/guifi/old", 0o640, b"new"),
        file("/var/lib/guifi/peerd/key", 0o600, b"key"),
    ];
    let staged = Staged::new(&root, &files, std::iter::empty()).unwrap();
    assert_eq!(fs::read(root.join("/etc/guifi/old")).unwrap(), b"old");
    staged.commit().unwrap();
    assert_eq!(fs::read(root.join("/etc/guifi/old")).unwrap(), b"new");
    assert_eq!(mode(&root.join("/etc/guifi/old")), 0o640);
    assert_eq!(mode(&root.join("/var/lib/guifi")), 0o755);
    assert_eq!(mode(&root.join("/var/lib/guifi/peerd")), 0o700);
    assert_eq!(fs::read_dir(root.join("/etc/guifi")).unwrap().count(), 1);
}

#[test]
fn an_unknown_account_changes_nothing() {
    let (_directory, root) = system();
    let mut foreign = file("/etc/guifi/second", 0o644, b"x");
    foreign.user = "nobody-has-this-name".to_owned();
    let files = [file("/etc/guifi/old", 0o644, b"new"), foreign];
    let error = Staged::new(&root, &files, std::iter::empty())
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("nobody-has-this-name"),
        "{error}"
    );
    assert_eq!(fs::read(root.join("/etc/guifi/old")).unwrap(), b"old");
    assert_eq!(fs::read_dir(root.join("/etc/guifi")).unwrap().count(), 1);
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let (directory, root) = system();
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("/etc/guifi/dnsd.d")).unwrap();
    let files = [file("/etc/guifi/dnsd.d/x", 0o644, b"x")];
    assert!(Staged::new(&root, &files, std::iter::empty()).is_err());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // The last part may be one: the link goes, what it points to stays.
    std::os::unix::fs::symlink(root.join("/etc/guifi/old"), root.join("/etc/guifi/link")).unwrap();
    let files = [file("/etc/guifi/link", 0o644, b"x")];
    let staged = Staged::new(&root, &files, std::iter::empty()).unwrap();
    staged.commit().unwrap();
    assert_eq!(fs::read(root.join("/etc/guifi/old")).unwrap(), b"old");
    assert_eq!(fs::read(root.join("/etc/guifi/link")).unwrap(), b"x");
}

#[test]
fn the_log_of_the_old_database_goes_and_so_does_what_is_named() {
    let (_directory, root) = system();
    for name in ["db", "db-wal", "db-shm", "community.json"] {
        fs::write(root.join(format!("/etc/guifi/{name}")), "of before").unwrap();
    }
    let files = [file("/etc/guifi/db", 0o600, b"SQLite format 3\0...")];
    let gone = ["/etc/guifi/community.json", "/etc/guifi/never-there"];
    let staged = Staged::new(&root, &files, gone.into_iter()).unwrap();
    staged.commit().unwrap();
    let mut left: Vec<_> = fs::read_dir(root.join("/etc/guifi"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["db", "old"]);
}
