//! Configuration: one main file and its drop-ins, merged key by key, checked as one type.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::{Error, Kind, Root};

/// The largest configuration file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Directories that hold drop-ins, the strongest last.
const LAYERS: [&str; 3] = ["/usr/lib/guifi", "/run/guifi", "/etc/guifi"];

/// Loads the configuration of `tool` (`peerd`, …): `/etc/guifi/TOOL.toml`, then the drop-ins
/// `TOOL.d/*.toml` of `/etc/guifi`, `/run/guifi` and `/usr/lib/guifi` in the order of their
/// names; of several files with one name only that of the strongest directory counts. Later
/// keys win, tables are merged. No file at all gives the defaults.
///
/// `T` must refuse unknown keys (`#[serde(deny_unknown_fields)]`).
///
/// # Errors
/// [`Kind::Config`] naming file, line and cause.
pub fn load<T: DeserializeOwned + Default>(root: &Root, tool: &str) -> Result<T, Error> {
    let mut merged = Table::new();
    let mut any = false;
    for path in files(root, tool)? {
        let Some(text) = read(&path)? else { continue };
        // Each file is checked by itself first, so that the message can name it.
        toml::from_str::<T>(&text).map_err(|e| wrong(&path, &text, &e))?;
        let table: Table = toml::from_str(&text).map_err(|e| wrong(&path, &text, &e))?;
        merge(&mut merged, table);
        any = true;
    }
    if !any {
        return Ok(T::default());
    }
    Value::Table(merged)
        .try_into()
        .map_err(|e: toml::de::Error| {
            Error::new(
                Kind::Config,
                format!(
                    "cannot use the merged configuration of {tool}: {}",
                    e.message()
                ),
            )
        })
}

/// The files that make up the configuration of `tool`, the weakest first.
fn files(root: &Root, tool: &str) -> Result<Vec<PathBuf>, Error> {
    let mut dropins: BTreeMap<std::ffi::OsString, PathBuf> = BTreeMap::new();
    for layer in LAYERS {
        let directory = root.join(format!("{layer}/{tool}.d"));
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(unreadable(&directory, &e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| unreadable(&directory, &e))?;
            if Path::new(&entry.file_name())
                .extension()
                .is_some_and(|x| x == "toml")
            {
                dropins.insert(entry.file_name(), entry.path());
            }
        }
    }
    let main = root.join(format!("/etc/guifi/{tool}.toml"));
    Ok(std::iter::once(main).chain(dropins.into_values()).collect())
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::metadata(path) {
        Ok(m) if m.len() > MAX_FILE_BYTES => Err(Error::new(
            Kind::Config,
            format!(
                "cannot read {}: over {MAX_FILE_BYTES} bytes",
                path.display()
            ),
        )),
        Ok(_) => fs::read_to_string(path)
            .map(Some)
            .map_err(|e| unreadable(path, &e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(path, &e)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::new(
        Kind::Config,
        format!("cannot read {}: {error}", path.display()),
    )
}

fn wrong(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let line = error
        .span()
        .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map(|l| format!("line {l}: ")).unwrap_or_default();
    let cause = error.message().lines().next().unwrap_or("not valid TOML");
    Error::new(
        Kind::Config,
        format!("cannot read {}: {place}{cause}", path.display()),
    )
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Written {
        port: u16,
        names: Vec<String>,
        limit: Limit,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Limit {
        streams: u32,
        seconds: u32,
    }

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::new(dir.path());
        (dir, root)
    }

    #[test]
    fn no_file_gives_the_defaults() {
        let (_dir, root) = tree(&[]);
        assert_eq!(load::<Written>(&root, "peerd").unwrap(), Written::default());
    }

    #[test]
    fn drop_ins_win_by_name_and_etc_hides_usr_lib() {
        let (_dir, root) = tree(&[
            (
                "etc/guifi/peerd.toml",
                "port = 1\n[limit]\nstreams = 5\nseconds = 9\n",
            ),
            ("usr/lib/guifi/peerd.d/20-a.toml", "port = 2\n"),
            (
                "usr/lib/guifi/peerd.d/10-b.toml",
                "port = 3\nnames = ['x']\n",
            ),
            ("etc/guifi/peerd.d/20-a.toml", "[limit]\nstreams = 6\n"),
        ]);
        let got = load::<Written>(&root, "peerd").unwrap();
        assert_eq!(got.port, 3);
        assert_eq!(got.names, ["x"]);
        assert_eq!(
            got.limit,
            Limit {
                streams: 6,
                seconds: 9
            }
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_file_and_line() {
        let (_dir, root) = tree(&[("etc/guifi/peerd.toml", "port = 1\n\nprot = 2\n")]);
        let error = load::<Written>(&root, "peerd").unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        let text = error.to_string();
        assert!(
            text.contains("peerd.toml: line 3: unknown field `prot`"),
            "{text}"
        );
    }
}
