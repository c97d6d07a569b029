//! What is worth keeping: `/usr/lib/guifi/backup.d/NAME.list`, each from the package of a tool,
//! with one absolute path a line. A path that ends in `/` means all below it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path};

use guifi_core::{Error, Kind, Root};

const DIRECTORY: &str = "/usr/lib/guifi/backup.d";
/// State of the daemons, as opposed to what people write.
const STATE: &str = "/var/lib/guifi/";

/// All paths of all lists.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lists(BTreeSet<String>);

impl Lists {
    /// Reads the lists of the installed packages.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the file and the line, [`Kind::Failed`] if there is none.
    pub(crate) fn load(root: &Root) -> Result<Self, Error> {
        let directory = root.join(DIRECTORY);
        let failed = |path: &Path, e: std::io::Error| {
            Error::failed(format!("cannot read {}: {e}", path.display()))
        };
        let mut lists = Self::default();
        for file in fs::read_dir(&directory).map_err(|e| failed(&directory, e))? {
            let path = file.map_err(|e| failed(&directory, e))?.path();
            if path.extension().is_none_or(|extension| extension != "list") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|e| failed(&path, e))?;
            lists.read(&text).map_err(|number| {
                let place = format!("cannot read {}: line {number}", path.display());
                Error::new(Kind::Config, format!("{place}: not an absolute path"))
            })?;
        }
        if lists.0.is_empty() {
            let message = format!("no tool has a list in {}", directory.display());
            return Err(Error::failed(message));
        }
        Ok(lists)
    }

    /// Adds the lines of one list; a wrong one is named by its number.
    pub(crate) fn read(&mut self, text: &str) -> Result<(), usize> {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !is_plain(line.strip_suffix('/').unwrap_or(line)) {
                return Err(number + 1);
            }
            self.0.insert(line.to_owned());
        }
        Ok(())
    }

    /// Every line, in order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether a path may be kept and put back.
    pub(crate) fn cover(&self, path: &str) -> bool {
        is_plain(path)
            && self.lines().any(|line| {
                if line.ends_with('/') {
                    path.len() > line.len() && path.starts_with(line)
                } else {
                    path == line
                }
            })
    }

    /// Files of the daemons' state that are named here and in `others`.
    pub(crate) fn common_state(&self, others: &[String]) -> impl Iterator<Item = &str> {
        let named = |line: &&str| others.iter().any(|other| other == line);
        self.lines()
            .filter(|line| line.starts_with(STATE) && !line.ends_with('/'))
            .filter(named)
    }
}

/// Absolute, and each part is a name: nothing climbs, nothing is written in two ways.
fn is_plain(path: &str) -> bool {
    let Some(below) = path.strip_prefix('/') else {
        return false;
    };
    let named = |part: Component<'_>| matches!(part, Component::Normal(_));
    !below.is_empty()
        && !path.contains('\0')
        && below
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
        && Path::new(below).components().all(named)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn lists(text: &str) -> Lists {
        let mut lists = Lists::default();
        lists.read(text).unwrap();
        lists
    }

    #[test]
    fn lines_name_files_and_trees() {
        let lists = lists("# of peerd\n/var/lib/guifi/peerd/key\n\n/etc/guifi/peerd.d/\n");
        for path in ["/var/lib/guifi/peerd/key", "/etc/guifi/peerd.d/a/b.toml"] {
            assert!(lists.cover(path), "{path}");
        }
        for path in [
            "/var/lib/guifi/peerd/key2",
            "/var/lib/guifi/peerd/key/x",
            "/etc/guifi/peerd.d",
            "/etc/guifi/peerd.d/",
            "/etc/guifi/peerd.d/../shadow",
            "/etc/guifi/peerd.d//x",
            "/etc/guifi/peerd.d/./x",
            "etc/guifi/peerd.d/x",
            "",
            "/",
        ] {
            assert!(!lists.cover(path), "{path}");
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        for line in ["etc", "/", "//", "/a/../b", "/a//", "/a/.", "x /etc"] {
            let text = format!("/etc/good\n{line}\n");
            assert_eq!(Lists::default().read(&text), Err(2), "{line}");
        }
    }

    #[test]
    fn the_lists_of_the_packages_are_read_and_keep_the_key() {
        let mut found = Lists::default();
        let directory =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/usr/lib/guifi/backup.d");
        for file in fs::read_dir(directory).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            found.read(&text).unwrap();
        }
        assert!(found.cover("/var/lib/guifi/peerd/key"));
        assert!(found.cover("/var/lib/guifi/registryd/registry.db"));
    }

    proptest! {
        #[test]
        fn no_path_leaves_its_tree(path in "[/.a-c]{0,20}") {
            let lists = lists("/a/\n/b/c\n");
            if lists.cover(&path) {
                prop_assert!(path == "/b/c" || path.starts_with("/a/"));
                prop_assert!(!path.split('/').any(|part| part == ".." || part == "."));
            }
        }
    }
}
