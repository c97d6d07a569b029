//! Which request does what.

use guifi_tahoe::cap::{Cap, Object};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::guard::{self, Door};
use super::reply::{self, Reply};
use super::request::{Arguments, cap, names};
use super::{change, content, json, page, unlinked};
use crate::engine::Engine;
use crate::problem::{Problem, Reason};
use crate::{directory, file, status};

/// A request to a cap, and a path below it.
pub(crate) struct Target {
    /// What the address begins with.
    pub(crate) root: Cap,
    /// The names below it.
    pub(crate) path: Vec<String>,
}

/// Answers a request.
pub(crate) async fn answer(engine: &Engine, door: Door, request: Request<Incoming>) -> Reply {
    match try_answer(engine, door, request).await {
        Ok(reply) => reply,
        Err(problem) => {
            if problem.reason == Reason::Internal {
                log::warn!("a request failed: {problem}");
            }
            reply::problem(&problem)
        }
    }
}

async fn try_answer(
    engine: &Engine,
    door: Door,
    request: Request<Incoming>,
) -> Result<Reply, Problem> {
    guard::check(request.headers(), door)?;
    let arguments = Arguments::parse(request.uri().query().unwrap_or_default())?;
    let mut path = names(request.uri().path())?.into_iter();
    let first = path.next();
    let path: Vec<String> = path.collect();
    match (first.as_deref(), path.is_empty()) {
        (None, _) => welcome(engine, request.method(), &arguments).await,
        (Some("uri" | "cap"), true) => unlinked::answer(engine, request, &arguments).await,
        (Some("uri" | "cap"), false) => at(engine, target(path)?, request, arguments).await,
        (Some("file" | "named"), false) => {
            // What follows the cap is for the client's eyes.
            let name = path.last().cloned().filter(|_| path.len() > 1);
            let mut found = target(path)?;
            found.path.clear();
            get_file(engine, &found, &request, &arguments, name.as_deref()).await
        }
        _ => Err(Problem::new(
            Reason::NotFound,
            "there is nothing at this address",
        )),
    }
}

fn target(path: Vec<String>) -> Result<Target, Problem> {
    let mut path = path.into_iter();
    let root = cap(&path.next().unwrap_or_default())?;
    Ok(Target {
        root,
        path: path.collect(),
    })
}

/// The gateway itself: in Tahoe's form, in ours (`t=describe`), or as a page.
async fn welcome(
    engine: &Engine,
    method: &Method,
    arguments: &Arguments,
) -> Result<Reply, Problem> {
    only(method, &[Method::GET, Method::HEAD])?;
    status::refresh(engine).await;
    Ok(match arguments.t() {
        "describe" => reply::json(&status::describe(engine)),
        "json" => reply::json(&status::as_tahoe(engine)),
        _ => {
            let text = page::escape(&status::in_words(engine));
            reply::html(
                StatusCode::OK,
                page::page("Storage gateway", &format!("<pre>{text}</pre>")),
            )
        }
    })
}

/// Refuses other methods.
pub(crate) fn only(method: &Method, known: &[Method]) -> Result<(), Problem> {
    if known.contains(method) {
        return Ok(());
    }
    Err(Problem::bad(format!("{method} means nothing here")))
}

async fn at(
    engine: &Engine,
    target: Target,
    request: Request<Incoming>,
    arguments: Arguments,
) -> Result<Reply, Problem> {
    match *request.method() {
        Method::GET | Method::HEAD => get(engine, &target, &request, &arguments).await,
        Method::PUT => change::put(engine, &target, request, &arguments).await,
        Method::POST => change::post(engine, &target, request, arguments).await,
        Method::DELETE => change::delete(engine, &target).await,
        _ => {
            let mut reply = reply::text(StatusCode::METHOD_NOT_ALLOWED, "no such method\n");
            let known = HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE");
            reply.headers_mut().insert(ALLOW, known);
            Ok(reply)
        }
    }
}

async fn get(
    engine: &Engine,
    target: &Target,
    request: &Request<Incoming>,
    arguments: &Arguments,
) -> Result<Reply, Problem> {
    let (name, parents) = match target.path.split_last() {
        None => (None, &target.path[..]),
        Some((name, parents)) => (Some(name.as_str()), parents),
    };
    let (found, metadata) = match name {
        None => (target.root.clone(), None),
        Some(name) => {
            let parent = directory::walk(engine, &target.root, parents, false).await?;
            let entry = directory::find(engine, &parent, name).await?;
            let found = directory::cap(&entry).cloned();
            let found = found.ok_or_else(|| directory::missing(name))?;
            (found, Some(json::metadata(&entry)))
        }
    };
    match (arguments.t(), &found) {
        ("uri", _) => Ok(reply::text(StatusCode::OK, found.to_string())),
        ("readonly-uri", _) => {
            let weaker = found.to_readonly().unwrap_or_else(|| found.clone());
            Ok(reply::text(StatusCode::OK, weaker.to_string()))
        }
        ("json", Cap::Directory(_)) => {
            let entries = directory::list(engine, &found).await?;
            Ok(reply::json(&json::listing(&found, &entries)))
        }
        ("json", _) => {
            let size = match found.object() {
                Some(object @ (Object::Write(_) | Object::Read(_))) => {
                    Some(file::open(engine, object).await?.size())
                }
                _ => None,
            };
            let (kind, mut about) = json::of_cap(&found, size);
            about.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
            Ok(reply::json(&json!([kind, about])))
        }
        ("", Cap::Directory(_)) => {
            let entries = directory::list(engine, &found).await?;
            Ok(reply::html(StatusCode::OK, page::listing(&found, &entries)))
        }
        ("", Cap::File(object)) => {
            let (method, headers) = (request.method(), request.headers());
            content::send(engine, object, method, headers, arguments, name).await
        }
        ("", Cap::Unknown(_)) => Err(Problem::bad("this cap is of a kind that is not known")),
        (other, _) => Err(Problem::bad(format!(
            "GET with t={other} means nothing here"
        ))),
    }
}

async fn get_file(
    engine: &Engine,
    target: &Target,
    request: &Request<Incoming>,
    arguments: &Arguments,
    name: Option<&str>,
) -> Result<Reply, Problem> {
    only(request.method(), &[Method::GET, Method::HEAD])?;
    let Cap::File(object) = &target.root else {
        return Err(Problem::bad("this cap is not of a file"));
    };
    let (method, headers) = (request.method(), request.headers());
    content::send(engine, object, method, headers, arguments, name).await
}
