//! Names that a user has for directories: `~/.config/guifi/store/aliases`, in Tahoe's form.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use guifi_core::terminal::print;
use guifi_core::{Error, write_atomic};
use guifi_tahoe::cap::Cap;
use hyper::Method;
use serde_json::json;

use super::Session;
use crate::cli::AliasAction;

/// The longest file of aliases, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The longest cap on standard input, in bytes.
const MAX_CAP: u64 = 8 << 10;

/// The aliases of a user.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases(BTreeMap<String, String>);

fn path() -> Result<PathBuf, Error> {
    let directory = super::config_directory();
    let directory =
        directory.ok_or_else(|| Error::failed("HOME is not set: no place for aliases"))?;
    Ok(directory.join("aliases"))
}

impl Aliases {
    /// Reads those of the user; none is as good as an empty file.
    pub(super) fn of_user() -> Result<Self, Error> {
        let Ok(path) = path() else {
            return Ok(Self::default());
        };
        let failed = |e: &dyn std::fmt::Display| {
            Error::failed(format!("cannot read {}: {e}", path.display()))
        };
        match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(failed(&e)),
            Ok(about) if about.len() > MAX_BYTES => return Err(failed(&"longer than 1 MiB")),
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(|e| failed(&e))?;
        Self::parse(&text).map_err(|e| failed(&e))
    }

    /// Reads `NAME: CAP` lines.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut all = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, cap) = line
                .split_once(':')
                .filter(|(name, _)| is_name(name))
                .ok_or_else(|| Error::failed(format!("line {}: not NAME: CAP", number + 1)))?;
            all.insert(name.to_owned(), cap.trim().to_owned());
        }
        Ok(Self(all))
    }

    /// The cap of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn write(&self) -> Result<(), Error> {
        let path = path()?;
        let failed = |e: io::Error| Error::failed(format!("cannot write {}: {e}", path.display()));
        if let Some(directory) = path.parent() {
            let mut builder = DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(failed)?;
        }
        let lines = self.0.iter().map(|(name, cap)| format!("{name}: {cap}\n"));
        // Who reads it has all that is in the directories.
        write_atomic(&path, lines.collect::<String>().as_bytes(), 0o600).map_err(failed)
    }
}

fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= 255 && text != "URI" && text.chars().all(is_plain)
}

/// Adds a name; one that there is stays.
fn add(mut aliases: Aliases, name: &str, cap: &str) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Error::usage(format!("'{name}' is no name for an alias"))
            .hint("letters, digits, '-', '_' and '.'"));
    }
    if aliases.get(name).is_some() {
        return Err(Error::failed(format!("there is an alias '{name}' already"))
            .hint(format!("guifi-store alias remove {name}")));
    }
    aliases.0.insert(name.to_owned(), cap.to_owned());
    aliases.write()
}

pub(super) async fn run(session: &Session, action: &AliasAction) -> Result<(), Error> {
    let mut aliases = session.aliases.clone();
    match action {
        AliasAction::List => {
            let lines = aliases.0.iter().map(|(name, cap)| {
                if session.json {
                    format!("{}\n", json!({"alias": name, "cap": cap}))
                } else {
                    format!("{name}: {}\n", guifi_core::terminal::tame(cap))
                }
            });
            print(&lines.collect::<String>())
        }
        AliasAction::Create { name } => {
            // Nothing is made for a name that cannot be had.
            if !is_name(name) || aliases.get(name).is_some() {
                return add(aliases, name, "");
            }
            let cap = session.client.text(Method::POST, "/uri?t=mkdir").await?;
            add(aliases, name, &cap)
        }
        AliasAction::Add { name, cap } => {
            let cap = match cap {
                Some(cap) => cap.clone(),
                None => read_cap()?,
            };
            match cap.trim().parse() {
                Ok(known @ Cap::Directory(_)) => add(aliases, name, &known.to_string()),
                Ok(_) => Err(Error::usage("this is not the cap of a directory")),
                Err(e) => Err(Error::usage(e.to_string())),
            }
        }
        AliasAction::Remove { name } => {
            if aliases.0.remove(name).is_none() {
                return Err(Error::failed(format!("there is no alias '{name}'")));
            }
            aliases.write()
        }
    }
}

fn read_cap() -> Result<String, Error> {
    let mut text = String::new();
    io::stdin()
        .take(MAX_CAP)
        .read_to_string(&mut text)
        .map_err(|e| Error::failed(format!("cannot read the cap: {e}")))?;
    Ok(text)
}
