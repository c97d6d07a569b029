//! The recursor behind the forwarder: Debian's unbound, in a unit of its own, looks names up
//! from the root and validates them. Here is its configuration, made from ours.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use guifi_core::{Error, Kind, Root};

use crate::config::Settings;

/// The program.
pub const PROGRAM: &str = "/usr/sbin/unbound";
/// Lines that an administrator adds to its configuration.
pub const DROP_INS: &str = "/etc/guifi/dnsd-recursor.d";
/// The key of the root, of the package dns-root-data.
pub const ROOT_KEY: &str = "/usr/share/dns/root.key";

/// What does not depend on ours. Small caches: answers are kept by the forwarder, so that this
/// one needs to remember servers and keys above all.
const FIXED: &str = "  do-daemonize: no
  username: \"\"
  chroot: \"\"
  directory: \"\"
  pidfile: \"\"
  use-syslog: no
  logfile: \"\"
  log-time-ascii: no
  verbosity: 0
  num-threads: 1
  access-control: 127.0.0.0/8 allow
  msg-cache-size: 1m
  rrset-cache-size: 4m
  key-cache-size: 1m
  neg-cache-size: 512k
  edns-buffer-size: 1232
  qname-minimisation: yes
  aggressive-nsec: yes
  use-caps-for-id: yes
  harden-glue: yes
  harden-dnssec-stripped: yes
  harden-below-nxdomain: yes
  minimal-responses: yes
  hide-identity: yes
  hide-version: yes
";

/// Writes the configuration of the recursor into `file`; `false` if it is not wanted.
///
/// # Errors
/// [`Kind::Failed`] if it cannot be written, [`Kind::Config`] if its program is not there.
pub fn write(root: &Root, settings: &Settings, file: &Path) -> Result<bool, Error> {
    if settings.recursor.is_none() {
        return Ok(false);
    }
    if !root.join(PROGRAM).exists() {
        let text = "cannot look names up: upstream.mode is recursive, and there is no unbound";
        return Err(Error::new(Kind::Config, text).hint("apt install unbound"));
    }
    let text = configuration(root, settings);
    let written = fs::write(file, text);
    written.map_err(|e| Error::failed(format!("cannot write {}: {e}", file.display())))?;
    Ok(true)
}

/// The configuration.
fn configuration(root: &Root, settings: &Settings) -> String {
    let mut text = String::from("# Written by guifi-dnsd at each start.\nserver:\n");
    let key = root.join(ROOT_KEY);
    let modules = if settings.dnssec {
        "validator iterator"
    } else {
        "iterator"
    };
    // Into memory, which cannot fail.
    if let Some(address) = settings.recursor {
        let _ = writeln!(text, "  interface: {}@{}", address.ip(), address.port());
    }
    let _ = writeln!(text, "  module-config: \"{modules}\"");
    if settings.dnssec {
        let _ = writeln!(text, "  trust-anchor-file: \"{}\"", key.display());
    }
    text.push_str(FIXED);
    text.push_str("remote-control:\n  control-enable: no\n");
    // One by one: a pattern that fits no file is an error to unbound.
    for file in drop_ins(root) {
        let _ = writeln!(text, "include: \"{}\"", file.display());
    }
    text
}

/// The files of the administrator, by name.
fn drop_ins(root: &Root) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(DROP_INS)).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "conf"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::check(toml::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn it_is_written_only_if_it_is_wanted_and_can_be_run() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let file = directory.path().join("unbound.conf");
        assert!(!write(&root, &settings(""), &file).unwrap());
        let recursive = settings("[upstream]\nmode = 'recursive'");
        let error = write(&root, &recursive, &file).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(!file.exists());
        fs::create_dir_all(directory.path().join("usr/sbin")).unwrap();
        fs::write(directory.path().join("usr/sbin/unbound"), "").unwrap();
        assert!(write(&root, &recursive, &file).unwrap());
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("interface: 127.0.0.153@53\n"), "{text}");
        assert!(
            text.contains("\"validator iterator\"\n  trust-anchor-file: "),
            "{text}"
        );
        assert!(!text.contains("include"), "there is no such directory");
        let further = directory.path().join("etc/guifi/dnsd-recursor.d");
        fs::create_dir_all(&further).unwrap();
        for name in ["b.conf", "a.conf", "c.conf.old"] {
            fs::write(further.join(name), "").unwrap();
        }
        let text = configuration(&root, &recursive);
        let included = text.lines().filter(|line| line.starts_with("include"));
        let names: Vec<_> = included
            .filter_map(|line| line.rsplit('/').next())
            .collect();
        assert_eq!(names, ["a.conf\"", "b.conf\""]);
        let unchecked = settings("[upstream]\nmode = 'recursive'\ndnssec = false");
        let text = configuration(&root, &unchecked);
        assert!(text.contains("module-config: \"iterator\"\n") && !text.contains("anchor"));
    }
}
