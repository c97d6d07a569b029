//! `guifi-backup`: key, configuration and records of the box in one file, sealed with a
//! passphrase; and back.

mod archive;
mod gather;
mod lists;
mod place;
mod standing;
mod units;

use std::fs;
use std::path::Path;

use guifi_core::{Error, Root, write_atomic};
use serde_json::{Value, json};

use crate::cli::{Backup, BackupAction};
use crate::terminal::{print, say, tame};
use archive::{Archive, FORMAT, MAX_BYTES, Manifest};
use lists::Lists;
use place::Staged;
use standing::Standing;
use units::Units;

/// Octets that sealing and headers may add to the files.
const MARGIN: u64 = 32 << 20;

pub(crate) fn run(cli: &Backup) -> Result<(), Error> {
    let root = Root::from_env();
    let passphrase = |new| guifi_seal::passphrase(cli.passphrase_file.as_deref(), new);
    let (archive, text) = match &cli.action {
        BackupAction::Create { file } => {
            let archive = create(&root, file, &passphrase(true)?)?;
            let said = format!("{}: {}\n", file.display(), summary(&archive));
            (archive, said)
        }
        BackupAction::List { file } => {
            let archive = open(file, &passphrase(false)?, None)?;
            let said = table(&archive);
            (archive, said)
        }
        BackupAction::Restore { file, force } => {
            let lists = Lists::load(&root)?;
            let archive = open(file, &passphrase(false)?, Some(&lists))?;
            restore(&root, &lists, &archive, *force)?;
            let said = format!("put back: {}\n", summary(&archive));
            (archive, said)
        }
    };
    print(&if cli.json {
        format!("{}\n", document(&archive))
    } else {
        text
    })
}

fn create(root: &Root, file: &Path, passphrase: &str) -> Result<Archive, Error> {
    let lists = Lists::load(root)?;
    let files = gather::gather(root, &lists)?;
    if files.is_empty() {
        return Err(Error::failed("there is nothing to keep"));
    }
    let standing = Standing::ask().unwrap_or_else(|e| {
        say(&format!("{e}; the backup does not say whose it is"));
        Standing::default()
    });
    let manifest = Manifest {
        format: FORMAT,
        created_at: jiff::Timestamp::now()
            .round(jiff::Unit::Second)
            .unwrap_or_default()
            .to_string(),
        key: standing.key,
        name: standing.name,
        zone: standing.zone,
        community: standing.community,
        lists: lists.lines().map(str::to_owned).collect(),
    };
    let archive = Archive { manifest, files };
    let failed =
        |e: &dyn std::fmt::Display| Error::failed(format!("cannot write {}: {e}", file.display()));
    let plain = archive.write().map_err(|e| failed(&e))?;
    let sealed = guifi_seal::seal(&plain, passphrase).map_err(|e| failed(&e))?;
    write_atomic(file, &sealed, 0o600).map_err(|e| failed(&e))?;
    Ok(archive)
}

/// Opens a backup as a whole; nothing of it counts before all of it is known to be sound.
fn open(file: &Path, passphrase: &str, lists: Option<&Lists>) -> Result<Archive, Error> {
    let failed =
        |e: &dyn std::fmt::Display| Error::failed(format!("cannot open {}: {e}", file.display()));
    let size = fs::metadata(file).map_err(|e| failed(&e))?.len();
    if size > MAX_BYTES as u64 + MARGIN {
        return Err(failed(&"it is larger than any backup"));
    }
    let sealed = fs::read(file).map_err(|e| failed(&e))?;
    let plain = guifi_seal::open(&sealed, passphrase).map_err(|e| failed(&e))?;
    Archive::read(&plain, lists).map_err(|e| failed(&tame(&e)))
}

fn restore(root: &Root, lists: &Lists, archive: &Archive, force: bool) -> Result<(), Error> {
    if !force {
        admissible(&archive.manifest)?;
    }
    say(&warning(&archive.manifest));
    let kept = |path: &&str| !archive.files.iter().any(|file| file.path == *path);
    let gone = lists.common_state(&archive.manifest.lists).filter(kept);
    let staged = Staged::new(root, &archive.files, gone)?;
    let units = Units::wanted();
    // Whatever goes wrong from here on, the daemons are to run again.
    let stopped = units.stop();
    let done = stopped.and_then(|()| staged.commit());
    let started = units.start();
    done.and(started)
}

/// Refuses to make another box of one that is in a community.
fn admissible(manifest: &Manifest) -> Result<(), Error> {
    let refused = |why: String| {
        Err(Error::failed(format!("not put back: {why}"))
            .hint("guifi-leave first, or use --force: the key of this machine is lost then, so keep a backup of it"))
    };
    let standing = match Standing::ask() {
        Ok(standing) => standing,
        Err(e) => {
            return refused(format!(
                "nobody knows whether this machine is a box of a community: {e}"
            ));
        }
    };
    match &standing.community {
        Some(community) if standing.key.is_none() || standing.key != manifest.key => refused(
            format!("this machine is a box of {community}, with another key"),
        ),
        _ => Ok(()),
    }
}

/// What nobody can find out from here.
fn warning(manifest: &Manifest) -> String {
    let name = tame(manifest.name.as_deref().unwrap_or("the box"));
    let date = tame(&manifest.created_at);
    format!(
        "this machine becomes {name} as of {date}; if {name} still runs somewhere else, stop it \
         for good: two machines with one key take turns at being unreachable, and undo each \
         other's records"
    )
}

fn summary(archive: &Archive) -> String {
    let manifest = &archive.manifest;
    let or = |text: &Option<String>, other: &str| tame(text.as_deref().unwrap_or(other));
    let place = match &manifest.community {
        Some(community) => format!("of {}", tame(community)),
        None => "of no community".to_owned(),
    };
    format!(
        "{} {place}, {} files, {} bytes",
        or(&manifest.name, "a box"),
        archive.files.len(),
        bytes(archive)
    )
}

fn bytes(archive: &Archive) -> usize {
    archive.files.iter().map(|file| file.content.len()).sum()
}

fn table(archive: &Archive) -> String {
    let mut out = format!(
        "{}, made {}\n",
        summary(archive),
        tame(&archive.manifest.created_at)
    );
    for file in &archive.files {
        let owner = format!("{}:{}", file.user, file.group);
        out.push_str(&format!(
            "{:04o}  {:<34} {:>9}  {}\n",
            file.mode,
            tame(&owner),
            file.content.len(),
            tame(&file.path)
        ));
    }
    out
}

fn document(archive: &Archive) -> Value {
    let manifest = &archive.manifest;
    let files: Vec<Value> = archive
        .files
        .iter()
        .map(|file| {
            json!({
                "path": file.path, "mode": format!("{:04o}", file.mode), "user": file.user,
                "group": file.group, "size_bytes": file.content.len(),
            })
        })
        .collect();
    json!({
        "created_at": manifest.created_at, "key": manifest.key, "name": manifest.name,
        "zone": manifest.zone, "community": manifest.community, "files": files,
        "size_bytes": bytes(archive),
    })
}
