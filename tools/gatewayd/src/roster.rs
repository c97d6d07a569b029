//! The list of servers: those of a file, and those of the community.

use std::fs;
use std::io;
use std::path::PathBuf;

use guifi_core::{Error, Kind, Root, write_atomic};

use crate::daemon::STATE;
use crate::engine::Engine;
use crate::grid::{About, MAX_BYTES, parse};

/// Servers that an administrator imported, in Tahoe's form.
const FILE: &str = "servers.yaml";

fn path(root: &Root) -> PathBuf {
    root.join(STATE).join(FILE)
}

/// Reads the file again, if there is one.
///
/// # Errors
/// [`Kind::Config`] if it is not such a file.
pub(crate) fn load(engine: &Engine, root: &Root) -> Result<(), Error> {
    let path = path(root);
    let wrong = |e: &dyn std::fmt::Display| {
        Error::new(Kind::Config, format!("cannot read {}: {e}", path.display()))
    };
    let known = match fs::metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(wrong(&e)),
        Ok(about) if about.len() > MAX_BYTES as u64 => {
            return Err(wrong(&format!("longer than {MAX_BYTES} bytes")));
        }
        Ok(_) => {
            let text = fs::read_to_string(&path).map_err(|e| wrong(&e))?;
            parse(&text).map_err(|e| wrong(&e))?
        }
    };
    engine.roster.send_modify(|roster| roster.imported = known);
    settle(engine);
    Ok(())
}

/// Keeps a list of servers in place of the one there is; gives how many it has.
///
/// # Errors
/// If it is no such list, or cannot be kept: then the old one stays.
pub(crate) fn import(engine: &Engine, root: &Root, text: &str) -> Result<usize, Error> {
    let known = parse(text).map_err(|e| e.context("cannot import the servers"))?;
    let path = path(root);
    // It has what gives access to the servers.
    write_atomic(&path, text.as_bytes(), 0o600)
        .map_err(|e| Error::failed(format!("cannot write {}: {e}", path.display())))?;
    let count = known.len();
    engine.roster.send_modify(|roster| roster.imported = known);
    settle(engine);
    Ok(count)
}

/// Takes what the registry says.
pub(crate) fn community(engine: &Engine, servers: Vec<About>) {
    engine
        .roster
        .send_modify(|roster| roster.community = servers);
    settle(engine);
}

/// Servers by where they are known from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    imported: Vec<About>,
    community: Vec<About>,
}

fn settle(engine: &Engine) {
    let roster = engine.roster.borrow().clone();
    let with_registry = engine.settings.borrow().registry;
    let community = roster.community.into_iter().filter(|_| with_registry);
    // What the registry says of a server is newer.
    engine
        .grid
        .replace(community.chain(roster.imported).collect());
}
