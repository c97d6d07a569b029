//! Which local user may write which kind of record: the files
//! `/usr/lib/guifi/kinds.d/*.toml`, each shipped by the package that owns the kinds in it.

use std::collections::BTreeMap;
use std::fs;

use guifi_core::{Error, Kind, Root};
use serde::Deserialize;

use crate::kinds;

const DIRECTORY: &str = "/usr/lib/guifi/kinds.d";
const MAX_FILE_BYTES: u64 = 64 << 10;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    kind: BTreeMap<String, Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Entry {
    users: Vec<String>,
    part: BTreeMap<String, Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    users: Vec<String>,
}

/// Who may write what.
#[derive(Debug, Default)]
pub struct Rights {
    kinds: BTreeMap<String, Entry>,
}

impl Rights {
    /// Reads all files; one that is broken is an error.
    ///
    /// # Errors
    /// [`Kind::Config`] naming the file.
    pub fn load(root: &Root) -> Result<Self, Error> {
        let mut rights = Self::default();
        let Ok(entries) = fs::read_dir(root.join(DIRECTORY)) else {
            return Ok(rights);
        };
        let mut paths: Vec<_> = entries
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| p.extension().is_some_and(|x| x == "toml"))
            .collect();
        paths.sort();
        for path in paths {
            let wrong = |why: &dyn std::fmt::Display| {
                Error::new(
                    Kind::Config,
                    format!("cannot read {}: {why}", path.display()),
                )
            };
            if fs::metadata(&path).map_err(|e| wrong(&e))?.len() > MAX_FILE_BYTES {
                return Err(wrong(&"too large"));
            }
            let text = fs::read_to_string(&path).map_err(|e| wrong(&e))?;
            let file: File = toml::from_str(&text).map_err(|e| wrong(&e.message()))?;
            for (kind, entry) in file.kind {
                let held = rights.kinds.entry(kind).or_default();
                held.users.extend(entry.users);
                for (part, entry) in entry.part {
                    held.part.entry(part).or_default().users.extend(entry.users);
                }
            }
        }
        Ok(rights)
    }

    /// Whether `user` may write whole records of `kind`.
    #[must_use]
    pub fn allows(&self, user: &str, kind: &str) -> bool {
        !is_reserved(kind)
            && self
                .kinds
                .get(kind)
                .is_some_and(|e| e.users.iter().any(|u| u == user))
    }

    /// Whether `user` may write `part` of records of `kind`.
    #[must_use]
    pub fn allows_part(&self, user: &str, kind: &str, part: &str) -> bool {
        !kinds::is_spine(kind)
            && part != "spine"
            && self
                .kinds
                .get(kind)
                .and_then(|e| e.part.get(part))
                .is_some_and(|p| p.users.iter().any(|u| u == user))
    }
}

/// Kinds that no file can give away: the registry writes them by its own rules.
#[must_use]
pub fn is_reserved(kind: &str) -> bool {
    kinds::is_spine(kind) || kind == "box"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rights(text: &str) -> Result<Rights, Error> {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        fs::create_dir_all(root.join(DIRECTORY)).unwrap();
        fs::write(root.join(DIRECTORY).join("a.toml"), text).unwrap();
        Rights::load(&root)
    }

    #[test]
    fn a_kind_is_its_users_and_the_registrys_own_kinds_are_nobodys() {
        let rights = rights(
            "[kind.service]\nusers = ['a']\n[kind.member]\nusers = ['a']\n[kind.box.part.dns]\nusers = ['b']\n",
        )
        .unwrap();
        assert!(rights.allows("a", "service") && !rights.allows("b", "service"));
        assert!(!rights.allows("a", "member") && !rights.allows("a", "video"));
        assert!(rights.allows_part("b", "box", "dns") && !rights.allows_part("a", "box", "dns"));
        assert!(!rights.allows("b", "box"));
    }

    #[test]
    fn a_broken_file_is_named() {
        assert!(
            rights("[kind.x]\nuser = 1\n")
                .unwrap_err()
                .to_string()
                .contains("a.toml")
        );
    }
}
