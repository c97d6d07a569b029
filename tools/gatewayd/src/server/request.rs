//! One request and its answer: secrets, deadline, bounds.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use guifi_tahoe::gbs::{CBOR, MAX_BODY};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::time::timeout;

use super::body::Pieces;
use super::{Failure, Server};

/// A body up to this many bytes makes a small request, whose time tells the latency.
const SMALL: usize = 16 << 10;
/// Bytes shown of a text that refuses.
const SHOWN: usize = 200;

/// Kinds of secret that servers are given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Secret {
    Renew,
    Cancel,
    Upload,
    WriteEnabler,
}

impl Secret {
    fn name(self) -> &'static str {
        match self {
            Self::Renew => "lease-renew-secret",
            Self::Cancel => "lease-cancel-secret",
            Self::Upload => "upload-secret",
            Self::WriteEnabler => "write-enabler",
        }
    }
}

/// A request.
#[derive(Debug)]
pub(super) struct Ask {
    method: Method,
    path: String,
    deadline: Duration,
    headers: Vec<(&'static str, String)>,
    body: Pieces,
    most: usize,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Ask {
    /// `path` is below `/storage/v1/`.
    pub(super) fn new(method: Method, path: String, deadline: Duration) -> Self {
        Self {
            method,
            path,
            deadline,
            headers: Vec::new(),
            body: Pieces::default(),
            most: MAX_BODY,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn secret(self, kind: Secret, value: &[u8]) -> Self {
        let value = format!("{} {}", kind.name(), BASE64.encode(value));
        self.header("x-tahoe-authorization", value)
    }

    pub(super) fn secrets(self, secrets: [(Secret, &[u8]); 2]) -> Self {
        let [(a, first), (b, second)] = secrets;
        self.secret(a, first).secret(b, second)
    }

    pub(super) fn body(mut self, body: Pieces) -> Self {
        self.body = body;
        self
    }

    /// Bounds the answer's body, in bytes.
    pub(super) fn most(mut self, bytes: u64) -> Self {
        self.most = usize::try_from(bytes).unwrap_or(usize::MAX);
        self
    }

    fn is_small(&self) -> bool {
        self.body.len() <= SMALL as u64
    }

    fn build(self, authorization: &str) -> Result<Request<Pieces>, hyper::http::Error> {
        let raw = self.method == Method::PATCH;
        let reads_share = self.headers.iter().any(|(name, _)| *name == "range");
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("/storage/v1/{}", self.path))
            .header(HOST, "storage")
            .header(AUTHORIZATION, authorization);
        // Official servers refuse `*/*`; without the header they send what there is.
        if !reads_share {
            request = request.header(ACCEPT, CBOR);
        }
        if self.body.len() > 0 {
            let kind = if raw {
                "application/octet-stream"
            } else {
                CBOR
            };
            request = request.header(CONTENT_TYPE, kind);
        }
        for (name, value) in self.headers {
            let mut value = HeaderValue::try_from(value)?;
            value.set_sensitive(name == "x-tahoe-authorization");
            request = request.header(name, value);
        }
        request.body(self.body)
    }
}

impl Reply {
    /// The body of an answer that says yes.
    pub(super) fn ok(self) -> Result<Bytes, Failure> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let shown = self.body.get(..SHOWN).unwrap_or(&self.body);
        let text = guifi_core::terminal::tame(String::from_utf8_lossy(shown).trim());
        Err(Failure::Refused(self.status, text))
    }
}

/// The header that says which storage service of a server is meant.
pub(super) fn authorization(swissnum: &str) -> String {
    format!("Tahoe-LAFS {}", BASE64.encode(swissnum.as_bytes()))
}

impl Server {
    /// Sends a request within its deadline and notes how the server did.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Reply, Failure> {
        if self.health.rests() {
            return Err(Failure::Resting);
        }
        let (deadline, most, small) = (ask.deadline, ask.most, ask.is_small());
        let request = ask
            .build(&self.authorization)
            .map_err(|e| Failure::Nonsense(e.to_string()))?;
        let begin = Instant::now();
        let answered = match timeout(deadline, self.exchange(request, most)).await {
            Ok(answered) => answered,
            Err(_) => Err(Failure::Absent(format!(
                "nothing within {} s",
                deadline.as_secs()
            ))),
        };
        match &answered {
            Ok(reply) => {
                let small = small && reply.body.len() <= SMALL;
                self.health.succeeded(small.then(|| begin.elapsed()));
            }
            Err(Failure::Absent(reason)) => self.health.failed(reason),
            Err(_) => {}
        }
        answered
    }

    async fn exchange(&self, request: Request<Pieces>, most: usize) -> Result<Reply, Failure> {
        let (connection, response) = self.pool.send(request).await.map_err(absent)?;
        let (head, body) = response.into_parts();
        let body = collect(body, most).await?;
        connection.keep();
        Ok(Reply {
            status: head.status,
            body,
        })
    }
}

fn absent(error: io::Error) -> Failure {
    // The library hides the cause below.
    let mut text = error.to_string();
    let mut cause: Option<&dyn std::error::Error> = error.get_ref().and_then(|e| e.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Failure::Absent(text)
}

async fn collect(mut body: Incoming, most: usize) -> Result<Bytes, Failure> {
    let long = || Failure::Nonsense(format!("more than {most} bytes"));
    let expected = hyper::body::Body::size_hint(&body).lower();
    if expected > most as u64 {
        return Err(long());
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(expected).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| absent(io::Error::other(e)))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > most {
            return Err(long());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
