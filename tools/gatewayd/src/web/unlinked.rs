//! New files and directories that nothing refers to yet: `/uri`.

use guifi_tahoe::cap::{Cap, Object};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use percent_encoding::utf8_percent_encode;

use super::page::PLAIN;
use super::reply::{self, Reply};
use super::request::{Arguments, cap};
use super::{body, json};
use crate::engine::Engine;
use crate::problem::Problem;
use crate::{directory, mutable, upload};

/// Answers a request to `/uri`.
///
/// # Errors
/// Those of what it does.
pub(crate) async fn answer(
    engine: &Engine,
    request: Request<Incoming>,
    arguments: &Arguments,
) -> Result<Reply, Problem> {
    let made = match (request.method(), arguments.t()) {
        (&Method::GET | &Method::HEAD, _) => return redirect(arguments),
        (&Method::PUT, "") => store(engine, request.into_body(), arguments).await?,
        (&Method::PUT | &Method::POST, "mkdir") => {
            let text = children(engine, request).await?;
            if !text.iter().all(u8::is_ascii_whitespace) {
                return Err(Problem::bad(
                    "t=mkdir takes no children: t=mkdir-with-children does",
                ));
            }
            // Directories have one format here; a wish for another is refused.
            if arguments.get("format").is_some() && !arguments.mutable()? {
                return Err(Problem::bad(
                    "a directory of the format CHK is made by t=mkdir-immutable",
                ));
            }
            directory::create(engine, Default::default()).await?
        }
        (&Method::PUT | &Method::POST, "mkdir-with-children") => {
            let text = children(engine, request).await?;
            directory::create(engine, json::links(&text)?).await?
        }
        (&Method::PUT | &Method::POST, "mkdir-immutable") => {
            let text = children(engine, request).await?;
            directory::create_immutable(engine, json::links(&text)?).await?
        }
        (method, t) => {
            return Err(Problem::bad(format!(
                "{method} with t={t} means nothing here"
            )));
        }
    };
    Ok(reply::text(StatusCode::OK, made.to_string()))
}

/// `GET /uri?uri=CAP` leads to the cap's own address.
fn redirect(arguments: &Arguments) -> Result<Reply, Problem> {
    let cap = cap(arguments.need("uri")?)?.to_string();
    let place = format!("/uri/{}", utf8_percent_encode(&cap, PLAIN));
    let mut reply = reply::text(StatusCode::FOUND, "");
    let place = HeaderValue::try_from(place).map_err(Problem::internal)?;
    reply.headers_mut().insert(LOCATION, place);
    Ok(reply)
}

async fn children(engine: &Engine, request: Request<Incoming>) -> Result<bytes::Bytes, Problem> {
    let limit = engine.settings.borrow().limits.mutable;
    body::whole(engine, request.into_body(), limit).await
}

/// Stores a body as a new file, immutable or mutable.
///
/// # Errors
/// If it does not come, or too few servers take it.
pub(crate) async fn store(
    engine: &Engine,
    body: Incoming,
    arguments: &Arguments,
) -> Result<Cap, Problem> {
    if arguments.mutable()? {
        let limit = engine.settings.borrow().limits.mutable;
        let contents = body::whole(engine, body, limit).await?;
        let cap = mutable::create(engine, contents).await?;
        return Ok(Cap::File(Object::Write(cap)));
    }
    let plan = engine.plan()?;
    let source = body::source(engine, body, &plan).await?;
    upload::upload(engine, source, plan).await
}
