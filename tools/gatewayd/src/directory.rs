//! Directories: read, changed entry by entry, walked by path.
//!
//! A change is a function of the entries: when somebody else changed the directory at the same
//! time it is applied anew to what is there then, so no entry of either is lost.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use guifi_tahoe::cap::{Cap, Format, Object, Write};
use guifi_tahoe::directory::{Access, Entries, Entry, normalize, pack, unpack};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::engine::{Engine, blocking};
use crate::problem::{Problem, Reason};
use crate::spool::Source;
use crate::{file, mutable, upload};

/// Names on a path, at most.
pub(crate) const MAX_DEPTH: usize = 256;

/// Whether an entry may take the place of another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Replace {
    /// Of any.
    Yes,
    /// Of none.
    No,
    /// Of a file, not of a directory.
    OnlyFiles,
}

/// A new entry.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) cap: Cap,
    /// Replaces the metadata, but for the times.
    pub(crate) metadata: Option<Map<String, Value>>,
}

/// What the cap of an entry gives: the strongest that is there.
pub(crate) fn cap(entry: &Entry) -> Option<&Cap> {
    entry.write.as_ref().or(entry.read.as_ref())
}

/// What keeps a directory.
///
/// # Errors
/// If the cap is of something else.
pub(crate) fn object(cap: &Cap) -> Result<&Object, Problem> {
    match cap {
        Cap::Directory(object) => Ok(object),
        Cap::File(_) => Err(Problem::bad("this is a file, not a directory")),
        Cap::Unknown(_) => Err(Problem::bad(
            "this is of a kind that is not known, not a directory",
        )),
    }
}

/// The entries.
///
/// # Errors
/// If it cannot be read, or is none.
pub(crate) async fn list(engine: &Engine, cap: &Cap) -> Result<Entries, Problem> {
    let object = object(cap)?;
    let limit = engine.settings.borrow().limits.mutable;
    let contents = file::whole(engine, object, limit).await?;
    let object = object.clone();
    blocking(move || open(&object, &contents)).await
}

fn open(object: &Object, contents: &[u8]) -> Result<Entries, Problem> {
    let access = match object {
        Object::Write(cap) => Access::Write(&cap.writekey),
        Object::Read(_) => Access::Read,
        _ => Access::Immutable,
    };
    Ok(unpack(contents, access)?)
}

/// Changes a directory.
///
/// # Errors
/// Those of `edit`, of reading and of writing; if it may not be written.
pub(crate) async fn edit<T: Send + 'static>(
    engine: &Engine,
    cap: &Cap,
    edit: impl Fn(&mut Entries) -> Result<T, Problem> + Send + Sync,
) -> Result<T, Problem> {
    let Object::Write(write) = object(cap)? else {
        return Err(Problem::new(
            Reason::Forbidden,
            "this directory may not be changed with this cap",
        ));
    };
    let limit = engine.settings.borrow().limits.mutable;
    mutable::modify(engine, write, |contents| {
        let access = Access::Write(&write.writekey);
        let mut entries = unpack(&contents, access)?;
        let before = entries.clone();
        let said = edit(&mut entries)?;
        if entries == before {
            return Ok((None, said));
        }
        let packed = pack(&entries, access)?;
        if packed.len() as u64 > limit {
            return Err(Problem::new(
                Reason::TooLong,
                "the directory would be too large",
            ));
        }
        Ok((Some(packed.into()), said))
    })
    .await
}

/// Makes an empty or filled directory.
///
/// # Errors
/// If too few servers take it.
pub(crate) async fn create(engine: &Engine, links: BTreeMap<String, Link>) -> Result<Cap, Problem> {
    let key = engine.keys.take().await?;
    let fill = |cap: &Write| {
        let mut entries = Entries::new();
        for (name, link) in links {
            put(&mut entries, &name, &link, Replace::No)?;
        }
        Ok(Bytes::from(pack(&entries, Access::Write(&cap.writekey))?))
    };
    let cap = mutable::create_with(engine, key, fill).await?;
    debug_assert!(cap.format == Format::Sdmf);
    Ok(Cap::Directory(Object::Write(cap)))
}

/// Makes a directory that never changes, nor anything in it.
///
/// # Errors
/// If something in it could change, or too few servers take it.
pub(crate) async fn create_immutable(
    engine: &Engine,
    links: BTreeMap<String, Link>,
) -> Result<Cap, Problem> {
    let mut entries = Entries::new();
    for (name, link) in links {
        let object = link.cap.object();
        if object.is_none_or(Object::is_mutable) {
            return Err(Problem::bad(format!(
                "'{name}' could change, so it cannot be in a directory that never changes"
            )));
        }
        put(&mut entries, &name, &link, Replace::No)?;
    }
    let packed = pack(&entries, Access::Immutable)?;
    let plan = engine.plan()?;
    let secret = &engine.secrets.convergence;
    let source = Source::from_memory(packed.into(), plan.encoding, secret).await?;
    match upload::upload(engine, source, plan).await? {
        Cap::File(object) => Ok(Cap::Directory(object)),
        other => Ok(other),
    }
}

/// Puts an entry into entries.
///
/// # Errors
/// If the name is taken and may not be replaced.
pub(crate) fn put(
    entries: &mut Entries,
    name: &str,
    link: &Link,
    replace: Replace,
) -> Result<(), Problem> {
    let name = checked(name)?;
    let old = entries.get(&name);
    if let Some(old) = old {
        let is_directory = matches!(cap(old), Some(Cap::Directory(_)));
        if replace == Replace::No || (replace == Replace::OnlyFiles && is_directory) {
            return Err(Problem::new(
                Reason::Conflict,
                format!("there is already something called '{name}'"),
            ));
        }
    }
    let metadata = metadata(old.map(|old| old.metadata.as_str()), link.metadata.clone());
    entries.insert(
        name,
        Entry {
            metadata,
            ..entry(&link.cap)
        },
    );
    Ok(())
}

/// An entry without metadata.
fn entry(cap: &Cap) -> Entry {
    let writes = cap.object().is_none_or(Object::may_write);
    let read = match cap {
        // What it is, nobody here knows: only who may write the directory sees it.
        Cap::Unknown(_) => None,
        known => known.to_readonly(),
    };
    Entry {
        write: writes.then(|| cap.clone()),
        read,
        metadata: String::new(),
    }
}

/// Metadata as clients of Tahoe keep it: the times of linking are ours, the rest the user's.
fn metadata(old: Option<&str>, new: Option<Map<String, Value>>) -> String {
    let old: Map<String, Value> = old
        .and_then(|old| serde_json::from_str(old).ok())
        .unwrap_or_default();
    let now = seconds(Timestamp::now());
    let created = old
        .get("tahoe")
        .and_then(|tahoe| tahoe.get("linkcrtime"))
        .cloned()
        .unwrap_or_else(|| json!(now));
    let mut all = new.unwrap_or(old);
    all.insert(
        "tahoe".into(),
        json!({"linkcrtime": created, "linkmotime": now}),
    );
    Value::Object(all).to_string()
}

/// Seconds since 1970, with their fraction, as JSON has times here.
fn seconds(time: Timestamp) -> f64 {
    time.as_microsecond() as f64 / 1e6
}

/// A name in the form in which it is kept.
///
/// # Errors
/// If there can be none such.
pub(crate) fn checked(name: &str) -> Result<String, Problem> {
    if name.is_empty() {
        return Err(Problem::bad("a name is empty"));
    }
    if name.len() > guifi_tahoe::directory::MAX_NAME || name.contains('/') {
        return Err(Problem::bad("a name is too long, or has a slash"));
    }
    Ok(normalize(name))
}

/// Takes an entry out.
///
/// # Errors
/// If there is none of that name.
pub(crate) fn take(entries: &mut Entries, name: &str) -> Result<Entry, Problem> {
    entries.remove(&checked(name)?).ok_or_else(|| missing(name))
}

/// There is nothing of this name.
pub(crate) fn missing(name: &str) -> Problem {
    Problem::new(
        Reason::NotFound,
        format!("there is nothing called '{name}'"),
    )
}

/// The entry of a name.
///
/// # Errors
/// If there is none, or the directory cannot be read.
pub(crate) async fn find(engine: &Engine, directory: &Cap, name: &str) -> Result<Entry, Problem> {
    let name = checked(name)?;
    let mut entries = list(engine, directory).await?;
    entries.remove(&name).ok_or_else(|| missing(&name))
}

/// The cap at the end of a path; of the directories on the way those that are missing are made
/// if `make` says so.
///
/// # Errors
/// If something on the way is missing or no directory.
pub(crate) fn walk<'a>(
    engine: &'a Engine,
    from: &'a Cap,
    path: &'a [String],
    make: bool,
) -> BoxFuture<'a, Result<Cap, Problem>> {
    Box::pin(async move {
        if path.len() > MAX_DEPTH {
            return Err(Problem::bad(format!(
                "a path has more than {MAX_DEPTH} names"
            )));
        }
        let mut here = from.clone();
        for name in path {
            here = match find(engine, &here, name).await {
                Ok(entry) => cap(&entry).cloned().ok_or_else(|| missing(name))?,
                Err(e) if make && e.reason == Reason::NotFound => {
                    make_in(engine, &here, name).await?
                }
                Err(e) => return Err(e),
            };
        }
        Ok(here)
    })
}

/// Makes a directory in another; one that somebody else made in the meantime is taken.
///
/// # Errors
/// If it cannot be made, or a file is in the way.
pub(crate) async fn make_in(engine: &Engine, parent: &Cap, name: &str) -> Result<Cap, Problem> {
    let new = create(engine, BTreeMap::new()).await?;
    let link = Link {
        cap: new.clone(),
        metadata: None,
    };
    let name = checked(name)?;
    edit(engine, parent, |entries| {
        match entries.get(&name).and_then(cap) {
            Some(Cap::Directory(object)) => Ok(Cap::Directory(object.clone())),
            Some(_) => Err(Problem::new(
                Reason::Conflict,
                format!("a file is in the way: '{name}'"),
            )),
            None => {
                put(entries, &name, &link, Replace::No)?;
                Ok(new.clone())
            }
        }
    })
    .await
}

/// Moves an entry within a directory or into another. It is linked at its new place before it
/// leaves the old one.
///
/// # Errors
/// If there is none, or its new name is taken and may not be replaced.
pub(crate) async fn relink(
    engine: &Engine,
    from: (&Cap, &str),
    to: (&Cap, &str),
    replace: Replace,
) -> Result<(), Problem> {
    let ((source, old), (target, new)) = ((from.0, checked(from.1)?), (to.0, checked(to.1)?));
    let same = source.storage_index() == target.storage_index();
    if same && old == new {
        return find(engine, source, &old).await.map(drop);
    }
    if same {
        return edit(engine, source, |entries| {
            let moved = entries.get(&old).cloned().ok_or_else(|| missing(&old))?;
            place(entries, &new, &moved, replace)?;
            entries.remove(&old);
            Ok(())
        })
        .await;
    }
    let moved = find(engine, source, &old).await?;
    edit(engine, target, |entries| {
        place(entries, &new, &moved, replace)
    })
    .await?;
    let gone = cap(&moved).map(ToString::to_string);
    edit(engine, source, |entries| {
        // What somebody put there meanwhile stays.
        let now = entries.get(&old).and_then(cap).map(ToString::to_string);
        if now == gone {
            entries.remove(&old);
        }
        Ok(())
    })
    .await
}

fn place(
    entries: &mut Entries,
    name: &str,
    moved: &Entry,
    replace: Replace,
) -> Result<(), Problem> {
    let link = Link {
        cap: cap(moved).cloned().ok_or_else(|| missing(name))?,
        metadata: serde_json::from_str(&moved.metadata).ok(),
    };
    put(entries, name, &link, replace)
}
