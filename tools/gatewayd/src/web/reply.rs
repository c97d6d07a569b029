//! Answers.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::problem::Problem;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// An answer.
pub(crate) type Reply = Response<Body>;

/// A body that is there.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Plain text: caps are answered so.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Reply {
    with_type(status, "text/plain; charset=utf-8", full(text.into()))
}

/// JSON, as Tahoe's clients read it.
pub(crate) fn json(value: &Value) -> Reply {
    let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    with_type(
        StatusCode::OK,
        "application/json; charset=utf-8",
        full(text),
    )
}

/// A page for people.
pub(crate) fn html(status: StatusCode, text: String) -> Reply {
    let mut reply = with_type(status, "text/html; charset=utf-8", full(text));
    // What the page shows are names that others chose.
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    reply
        .headers_mut()
        .insert("content-security-policy", policy);
    reply
}

/// A failure, on one line.
pub(crate) fn problem(problem: &Problem) -> Reply {
    text(problem.status(), format!("{}\n", problem.text))
}

/// An answer of a type. None is kept by caches: caps are in the addresses.
pub(crate) fn with_type(status: StatusCode, kind: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    reply
}
