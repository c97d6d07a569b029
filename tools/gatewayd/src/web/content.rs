//! The contents of a file, or a range of them.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::unfold;
use guifi_tahoe::cap::Object;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap,
    HeaderValue, IF_NONE_MATCH, RANGE,
};
use hyper::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::reply::{Body, Reply, full, with_type};
use super::request::Arguments;
use crate::engine::Engine;
use crate::file::{self, Reading};
use crate::problem::{Problem, Reason};

/// Answers with a file.
///
/// # Errors
/// If it cannot be read, or has no such range.
pub(crate) async fn send(
    engine: &Engine,
    object: &Object,
    method: &Method,
    headers: &HeaderMap,
    arguments: &Arguments,
    name: Option<&str>,
) -> Result<Reply, Problem> {
    let tag = tag(object);
    if tag.is_some() && headers.get(IF_NONE_MATCH) == tag.as_ref() {
        let mut reply = with_type(StatusCode::NOT_MODIFIED, "text/plain", full(""));
        reply.headers_mut().extend(tag.map(|tag| (ETAG, tag)));
        return Ok(reply);
    }
    let file = file::open(engine, object).await?;
    let size = file.size();
    let asked = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let (status, range) = match asked.and_then(|text| parse(text, size)) {
        None => (StatusCode::OK, 0..size),
        Some(range) if range.start >= size => {
            return Err(Problem::new(
                Reason::Range,
                format!("the file has {size} bytes only"),
            ));
        }
        Some(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let body = if method == Method::HEAD {
        full("")
    } else {
        stream(file.read(range.clone())).await?
    };
    let name = arguments.get("filename").or(name).unwrap_or_default();
    let mut reply = with_type(status, media_type(name), body);
    let headers = reply.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
    headers.extend(tag.map(|tag| (ETAG, tag)));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        headers.extend(text.parse().ok().map(|value| (CONTENT_RANGE, value)));
    }
    if arguments.flag("save")? {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    Ok(reply)
}

/// The first bytes are waited for, so that a file that cannot be read is answered with why.
async fn stream(mut reading: Reading) -> Result<Body, Problem> {
    let first = reading.next().await?;
    let state = (first, reading);
    let stream = unfold(Some(state), |state| async {
        let (first, mut reading) = state?;
        let bytes: Bytes = first?;
        match reading.next().await {
            Ok(next) => Some((Ok(Frame::data(bytes)), Some((next, reading)))),
            Err(e) => {
                log::warn!("cannot go on with a file: {e}");
                Some((Err(io::Error::other(e)), None))
            }
        }
    });
    Ok(StreamBody::new(stream).boxed_unsync())
}

/// Of several ranges the first, as Tahoe does; nothing if it makes no sense.
fn parse(text: &str, size: u64) -> Option<Range<u64>> {
    let first = text.strip_prefix("bytes=")?.split(',').next()?.trim();
    let (start, end) = first.split_once('-')?;
    if start.is_empty() {
        let last: u64 = end.parse().ok()?;
        return (last > 0).then(|| size.saturating_sub(last)..size);
    }
    let start: u64 = start.parse().ok()?;
    let end = match end {
        "" => u64::MAX,
        end => end.parse::<u64>().ok()?.saturating_add(1),
    };
    (start < end).then(|| start..end.min(size).max(start))
}

/// Names what never changes, without giving the cap away.
fn tag(object: &Object) -> Option<HeaderValue> {
    let Object::Chk(cap) = object else {
        return None;
    };
    let hash = Sha256::digest([cap.key.as_slice(), &cap.ueb_hash].concat());
    let text = guifi_tahoe::base32::encode(hash.get(..16)?);
    format!("\"{text}\"").parse().ok()
}

/// The type of a file by the end of its name. Types that a browser would run are plain text.
fn media_type(name: &str) -> &'static str {
    let end = name
        .rsplit_once('.')
        .map(|(_, end)| end.to_ascii_lowercase());
    match end.as_deref().unwrap_or_default() {
        "txt" | "md" | "html" | "htm" | "svg" | "js" | "xml" => "text/plain; charset=utf-8",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" => "audio/ogg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_tahoe_reads_them() {
        for (text, range) in [
            ("bytes=0-9", Some(0..10)),
            ("bytes=90-", Some(90..100)),
            ("bytes=-10", Some(90..100)),
            ("bytes=-1000", Some(0..100)),
            ("bytes=5-1000", Some(5..100)),
            ("bytes=0-0, 5-6", Some(0..1)),
            ("bytes=100-", Some(100..100)),
            ("bytes=-0", None),
            ("bytes=9-5", None),
            ("lines=1-2", None),
            ("bytes=x-y", None),
            ("bytes=18446744073709551615-18446744073709551615", None),
        ] {
            assert_eq!(parse(text, 100), range, "{text}");
        }
    }
}
