//! Requests that change what is at a cap and path.

use std::collections::BTreeMap;

use bytes::Bytes;
use guifi_tahoe::cap::{Cap, Object};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};

use super::reply::{self, Reply};
use super::request::{Arguments, cap};
use super::route::Target;
use super::{body, json, unlinked};
use crate::directory::{self, Link, Replace};
use crate::engine::Engine;
use crate::mutable;
use crate::problem::{Problem, Reason};

/// The longest form, in bytes.
const MAX_FORM: u64 = 1 << 20;
/// The longest cap in a body, in bytes.
const MAX_CAP: u64 = 8 << 10;

impl Target {
    /// The last name, and the directory that has it; those on the way are made if they are missing.
    async fn parent(&self, engine: &Engine, make: bool) -> Result<(Cap, &str), Problem> {
        let Some((name, path)) = self.path.split_last() else {
            return Err(Problem::bad("a name below the directory is missing"));
        };
        let parent = directory::walk(engine, &self.root, path, make).await?;
        Ok((parent, name))
    }

    /// What is there.
    async fn found(&self, engine: &Engine) -> Result<Cap, Problem> {
        directory::walk(engine, &self.root, &self.path, false).await
    }
}

/// `PUT`: a file, a cap or a directory at a place.
///
/// # Errors
/// Those of what it does.
pub(crate) async fn put(
    engine: &Engine,
    target: &Target,
    request: Request<Incoming>,
    arguments: &Arguments,
) -> Result<Reply, Problem> {
    let replace = arguments.replace()?;
    if request.headers().contains_key("content-range") {
        let text = "Content-Range is not taken: use offset= on a mutable file";
        return Err(Problem::new(Reason::NotSupported, text));
    }
    match arguments.t() {
        "" if target.path.is_empty() => {
            let Cap::File(object) = &target.root else {
                return Err(Problem::bad(
                    "a directory is not replaced by a file: a name is missing",
                ));
            };
            write(engine, object, request.into_body(), arguments).await?;
            Ok(reply::text(StatusCode::OK, target.root.to_string()))
        }
        "" => put_file(engine, target, request, arguments, replace).await,
        "uri" => {
            let text = body::whole(engine, request.into_body(), MAX_CAP).await?;
            let text =
                std::str::from_utf8(&text).map_err(|_| Problem::bad("the cap is not text"))?;
            let (parent, name) = target.parent(engine, true).await?;
            let child = cap(text)?;
            link(engine, &parent, name, &child, replace).await?;
            Ok(reply::text(StatusCode::OK, child.to_string()))
        }
        "mkdir" => {
            let made = directory::walk(engine, &target.root, &target.path, true).await?;
            directory::object(&made)?;
            Ok(reply::text(StatusCode::OK, made.to_string()))
        }
        other => Err(Problem::bad(format!(
            "PUT with t={other} means nothing here"
        ))),
    }
}

async fn put_file(
    engine: &Engine,
    target: &Target,
    request: Request<Incoming>,
    arguments: &Arguments,
    replace: Replace,
) -> Result<Reply, Problem> {
    let (parent, name) = target.parent(engine, true).await?;
    if !matches!(directory::object(&parent)?, Object::Write(_)) {
        return Err(Problem::new(
            Reason::Forbidden,
            "this directory may not be changed with this cap",
        ));
    }
    let old = match directory::find(engine, &parent, name).await {
        Ok(entry) => directory::cap(&entry).cloned(),
        Err(e) if e.reason == Reason::NotFound => None,
        Err(e) => return Err(e),
    };
    if old.is_some() && replace == Replace::No {
        return Err(Problem::new(
            Reason::Conflict,
            format!("there is already something called '{name}'"),
        ));
    }
    // A mutable file stays the one that it is, for all who know it.
    if let Some(Cap::File(object @ Object::Write(_))) = &old {
        write(engine, object, request.into_body(), arguments).await?;
        let text = old.as_ref().map(ToString::to_string).unwrap_or_default();
        return Ok(reply::text(StatusCode::OK, text));
    }
    if matches!(&old, Some(Cap::Directory(_))) {
        return Err(Problem::new(
            Reason::Conflict,
            format!("'{name}' is a directory, which is not replaced by a file"),
        ));
    }
    let new = unlinked::store(engine, request.into_body(), arguments).await?;
    link(engine, &parent, name, &new, replace).await?;
    let status = if old.is_some() {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok(reply::text(status, new.to_string()))
}

/// Replaces the contents of a mutable file, or part of them.
async fn write(
    engine: &Engine,
    object: &Object,
    body: Incoming,
    arguments: &Arguments,
) -> Result<(), Problem> {
    let Object::Write(cap) = object else {
        return Err(Problem::new(
            Reason::Forbidden,
            "this file may not be changed with this cap",
        ));
    };
    let limit = engine.settings.borrow().limits.mutable;
    let new = body::whole(engine, body, limit).await?;
    let Some(offset) = arguments.get("offset") else {
        return mutable::replace(engine, cap, new).await;
    };
    let offset: u64 = offset
        .parse()
        .map_err(|_| Problem::bad("the argument offset= is not a number"))?;
    let end = offset.saturating_add(new.len() as u64);
    if end > limit {
        return Err(Problem::new(
            Reason::TooLong,
            format!("longer than {limit} bytes"),
        ));
    }
    let (start, end) = (place(offset)?, place(end)?);
    mutable::modify(engine, cap, |old| {
        let mut all = old.to_vec();
        all.resize(all.len().max(end), 0);
        if let Some(part) = all.get_mut(start..end) {
            part.copy_from_slice(&new);
        }
        Ok((Some(all.into()), ()))
    })
    .await
}

fn place(at: u64) -> Result<usize, Problem> {
    usize::try_from(at).map_err(Problem::internal)
}

async fn link(
    engine: &Engine,
    parent: &Cap,
    name: &str,
    cap: &Cap,
    replace: Replace,
) -> Result<(), Problem> {
    let link = Link {
        cap: cap.clone(),
        metadata: None,
    };
    directory::edit(engine, parent, |entries| {
        directory::put(entries, name, &link, replace)
    })
    .await
}

/// `DELETE`: takes a name out of its directory.
///
/// # Errors
/// If there is none, or it may not be.
pub(crate) async fn delete(engine: &Engine, target: &Target) -> Result<Reply, Problem> {
    let (parent, name) = target.parent(engine, false).await?;
    let gone = directory::edit(engine, &parent, |entries| directory::take(entries, name)).await?;
    let text = directory::cap(&gone)
        .map(ToString::to_string)
        .unwrap_or_default();
    Ok(reply::text(StatusCode::OK, text))
}

/// `POST`: everything else.
///
/// # Errors
/// Those of what it does.
pub(crate) async fn post(
    engine: &Engine,
    target: &Target,
    request: Request<Incoming>,
    mut arguments: Arguments,
) -> Result<Reply, Problem> {
    let is_form = request.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let takes_children = [
        "mkdir-with-children",
        "mkdir-immutable",
        "set_children",
        "set-children",
    ];
    let mut children = Bytes::new();
    if takes_children.contains(&arguments.t()) {
        let limit = engine.settings.borrow().limits.mutable;
        children = body::whole(engine, request.into_body(), limit).await?;
    } else if is_form {
        let form = body::whole(engine, request.into_body(), MAX_FORM).await?;
        arguments.extend(Arguments::parse(&String::from_utf8_lossy(&form))?);
    }
    let done = |text: &str| Ok(reply::text(StatusCode::OK, text));
    match arguments.t() {
        "mkdir" | "mkdir-with-children" | "mkdir-immutable" => {
            let made = make(engine, target, &arguments, &children).await?;
            done(&made.to_string())
        }
        "set_children" | "set-children" => {
            let (links, replace) = (json::links(&children)?, arguments.replace()?);
            let here = target.found(engine).await?;
            directory::edit(engine, &here, |entries| {
                let mut links = links.iter();
                links.try_for_each(|(name, link)| directory::put(entries, name, link, replace))
            })
            .await?;
            done("Okay so I did it.")
        }
        "uri" => {
            let child = cap(arguments.need("uri")?)?;
            let here = target.found(engine).await?;
            let name = arguments.need("name")?;
            link(engine, &here, name, &child, arguments.replace()?).await?;
            done(&child.to_string())
        }
        "delete" | "unlink" => {
            let here = target.found(engine).await?;
            let name = arguments.need("name")?;
            directory::edit(engine, &here, |entries| directory::take(entries, name)).await?;
            done("thing unlinked")
        }
        "rename" | "relink" => {
            relink(engine, target, &arguments).await?;
            done("thing moved")
        }
        "check" | "stream-deep-check" | "stream-manifest" => {
            super::checks::answer(engine, target.found(engine).await?, &arguments).await
        }
        other => Err(Problem::new(
            Reason::NotSupported,
            format!("POST with t={other} is not done by this gateway"),
        )),
    }
}

/// Makes a directory: at the path, or under `name=` in the directory that is there.
async fn make(
    engine: &Engine,
    target: &Target,
    arguments: &Arguments,
    children: &[u8],
) -> Result<Cap, Problem> {
    let mut path = target.path.clone();
    if let Some(name) = arguments.get("name").filter(|name| !name.is_empty()) {
        path.push(directory::checked(name)?);
    }
    let plain = arguments.t() == "mkdir";
    if plain && arguments.get("name").is_none() {
        let made = directory::walk(engine, &target.root, &path, true).await?;
        directory::object(&made)?;
        return Ok(made);
    }
    let Some((name, parents)) = path.split_last() else {
        return Err(Problem::bad("a name for the new directory is missing"));
    };
    let replace = if plain {
        arguments.replace()?
    } else {
        Replace::No
    };
    let links: BTreeMap<String, Link> = json::links(children)?;
    let made = match arguments.t() {
        "mkdir-immutable" => directory::create_immutable(engine, links).await?,
        _ => directory::create(engine, links).await?,
    };
    let parent = directory::walk(engine, &target.root, parents, true).await?;
    link(engine, &parent, name, &made, replace).await?;
    Ok(made)
}

async fn relink(engine: &Engine, target: &Target, arguments: &Arguments) -> Result<(), Problem> {
    let from = arguments.need("from_name")?;
    let to = match arguments.get("to_name") {
        Some(name) => name,
        None if arguments.t() == "relink" => from,
        None => return Err(Problem::bad("the argument to_name= is missing")),
    };
    let here = target.found(engine).await?;
    let there = match arguments
        .get("to_dir")
        .filter(|_| arguments.t() == "relink")
    {
        None => here.clone(),
        Some(place) => {
            let (root, path) = place.split_once('/').unwrap_or((place, ""));
            let path = path.split('/').filter(|name| !name.is_empty());
            let path: Vec<String> = path.map(str::to_owned).collect();
            directory::walk(engine, &cap(root)?, &path, false).await?
        }
    };
    directory::object(&there)?;
    directory::relink(engine, (&here, from), (&there, to), arguments.replace()?).await
}
