//! Systems of each kind, as directories.
#![allow(clippy::unwrap_used)]
use super::*;

struct System(tempfile::TempDir, Root);

impl System {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        let root = Root::new(dir.path());
        Self(dir, root)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.1.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.1.join(path)).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![self.0.path().to_path_buf()];
        while let Some(path) = todo.pop() {
            for entry in fs::read_dir(path).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.is_symlink() {
                    todo.push(path);
                } else {
                    found.push(path.display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

#[test]
fn a_plain_file_is_kept_and_put_back() {
    let system = System::new();
    let text = "search lan\nnameserver 192.168.1.1\noptions edns0\n";
    system.write(RESOLV_CONF, text);
    let before = system.files();
    for _ in 0..2 {
        up(&system.1).unwrap();
        let now = system.read(RESOLV_CONF);
        assert!(now.starts_with(MARK) && now.contains("\nnameserver 127.0.0.1\nsearch lan\n"));
        assert!(!now.contains("192.168"), "{now}");
        assert_eq!(system.read(SAVED), text);
    }
    down(&system.1).unwrap();
    down(&system.1).unwrap();
    assert_eq!(system.read(RESOLV_CONF), text);
    assert_eq!(system.files(), before);
}

#[test]
fn a_dangling_link_and_no_file_at_all_come_back_as_they_were() {
    let system = System::new();
    symlink("../run/elsewhere/resolv.conf", system.1.join(RESOLV_CONF)).unwrap();
    up(&system.1).unwrap();
    assert!(system.read(RESOLV_CONF).starts_with(MARK));
    down(&system.1).unwrap();
    let target = fs::read_link(system.1.join(RESOLV_CONF)).unwrap();
    assert_eq!(target, Path::new("../run/elsewhere/resolv.conf"));
    let system = System::new();
    up(&system.1).unwrap();
    assert!(system.1.join(RESOLV_CONF).exists());
    down(&system.1).unwrap();
    assert!(system.files().is_empty());
}

#[test]
fn systemd_resolved_gets_a_drop_in_and_keeps_its_file() {
    let system = System::new();
    symlink(
        "../run/systemd/resolve/stub-resolv.conf",
        system.1.join(RESOLV_CONF),
    )
    .unwrap();
    up(&system.1).unwrap();
    up(&system.1).unwrap();
    assert!(
        system
            .read(RESOLVED_DROP_IN)
            .ends_with("DNS=127.0.0.1\nDomains=~.\n")
    );
    assert!(system.1.join(RESOLV_CONF).is_symlink());
    down(&system.1).unwrap();
    assert!(!system.1.join(RESOLVED_DROP_IN).exists());
}

#[test]
fn resolvconf_gets_a_block_in_its_head() {
    let system = System::new();
    let head = "# Dynamic resolv.conf(5)\n# as resolvconf has it\n";
    system.write(RESOLVCONF_HEAD, head);
    symlink("../run/resolvconf/resolv.conf", system.1.join(RESOLV_CONF)).unwrap();
    up(&system.1).unwrap();
    up(&system.1).unwrap();
    let text = system.read(RESOLVCONF_HEAD);
    assert_eq!(text.matches("nameserver 127.0.0.1").count(), 1, "{text}");
    down(&system.1).unwrap();
    assert_eq!(system.read(RESOLVCONF_HEAD), head);
}

#[test]
fn what_another_wrote_meanwhile_stays() {
    let system = System::new();
    system.write(RESOLV_CONF, "nameserver 192.168.1.1\n");
    up(&system.1).unwrap();
    system.write(RESOLV_CONF, "nameserver 10.0.0.1\n");
    down(&system.1).unwrap();
    assert_eq!(system.read(RESOLV_CONF), "nameserver 10.0.0.1\n");
}

#[test]
fn dhclient_and_network_manager_are_told() {
    let system = System::new();
    system.write("/etc/dhcp/dhclient-enter-hooks.d/debug", "");
    system.write("/etc/NetworkManager/NetworkManager.conf", "");
    up(&system.1).unwrap();
    assert!(system.read(DHCLIENT).contains("make_resolv_conf()"));
    assert!(system.read(NETWORK_MANAGER).contains("dns=none"));
    down(&system.1).unwrap();
    assert!(!system.1.join(DHCLIENT).exists() && !system.1.join(NETWORK_MANAGER).exists());
}
