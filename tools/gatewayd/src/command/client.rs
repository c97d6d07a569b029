//! HTTP to the gateway.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::unfold;
use guifi_core::{Error, Kind, Root};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use tokio::net::UnixStream;

use super::progress::Progress;
use crate::daemon::SOCKET;
use crate::web::PLAIN;

/// Bytes read of a file at once.
const CHUNK: usize = 256 << 10;
/// The longest answer that is not a file, in bytes.
const MAX_ANSWER: usize = 256 << 20;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The gateway of this machine.
#[derive(Clone)]
pub(super) struct Client {
    socket: PathBuf,
}

/// `a=b&c=d`, with percent signs.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, PLAIN)));
    pairs.collect::<Vec<_>>().join("&")
}

impl Client {
    pub(super) fn new(root: &Root) -> Self {
        Self {
            socket: root.join(SOCKET),
        }
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        let absent = |e: &dyn std::fmt::Display| {
            Error::new(
                Kind::Unavailable,
                format!("cannot reach the storage gateway: {e}"),
            )
            .hint("systemctl status guifi-gatewayd")
        };
        let socket = UnixStream::connect(&self.socket)
            .await
            .map_err(|e| absent(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|e| absent(&e))?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|e| absent(&e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = collect(response.into_body()).await.unwrap_or_default();
        let text = guifi_core::terminal::tame(String::from_utf8_lossy(&text).trim());
        Err(Error::new(kind(status), text))
    }

    fn request(method: Method, address: &str, body: Body) -> Result<Request<Body>, Error> {
        Request::builder()
            .method(method)
            .uri(address)
            .header(HOST, "gateway")
            .body(body)
            .map_err(|e| Error::usage(format!("this is no place in the grid: {e}")))
    }

    /// Sends a body that is there; gives the answer.
    pub(super) async fn post(
        &self,
        method: Method,
        address: &str,
        body: Vec<u8>,
    ) -> Result<String, Error> {
        let body = Full::new(body.into())
            .map_err(|never| match never {})
            .boxed_unsync();
        let response = self.send(Self::request(method, address, body)?).await?;
        let bytes = collect(response.into_body()).await?;
        String::from_utf8(bytes)
            .map_err(|_| Error::failed("cannot read the answer of the gateway: not UTF-8"))
    }

    /// Sends a request without a body; gives the answer.
    pub(super) async fn text(&self, method: Method, address: &str) -> Result<String, Error> {
        self.post(method, address, Vec::new()).await
    }

    /// The same, of JSON.
    pub(super) async fn json(&self, method: Method, address: &str) -> Result<Value, Error> {
        let text = self.text(method, address).await?;
        serde_json::from_str(&text)
            .map_err(|e| Error::failed(format!("cannot read the answer of the gateway: {e}")))
    }

    /// Line by line, as the gateway finds them.
    pub(super) async fn lines(
        &self,
        address: &str,
        mut each: impl FnMut(&str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let body = Full::new(Bytes::new())
            .map_err(|never| match never {})
            .boxed_unsync();
        let mut body = self
            .send(Self::request(Method::POST, address, body)?)
            .await?
            .into_body();
        let mut rest = Vec::new();
        while let Some(bytes) = next(&mut body).await? {
            rest.extend_from_slice(&bytes);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                each(String::from_utf8_lossy(&line).trim_end())?;
            }
            if rest.len() > MAX_ANSWER {
                return Err(Error::failed("the answer of the gateway is too long"));
            }
        }
        Ok(())
    }

    /// Stores a file; gives its cap.
    pub(super) async fn upload(&self, address: &str, upload: Upload) -> Result<String, Error> {
        let name = upload.name.clone();
        let before = upload.stamp.clone();
        let request = Self::request(Method::PUT, address, upload.body())?;
        let failed = |e: Error| e.context(format!("cannot store {name}"));
        let response = self.send(request).await.map_err(failed)?;
        let cap = collect(response.into_body()).await.map_err(failed)?;
        if let Some((path, stamp)) = before
            && stamp != stamp_of(&path)
        {
            return Err(failed(Error::failed("it changed while it was read")));
        }
        Ok(String::from_utf8_lossy(&cap).into_owned())
    }

    /// Brings a file back.
    pub(super) async fn download(
        &self,
        address: &str,
        into: &mut impl Write,
        mut progress: Progress,
    ) -> Result<(), Error> {
        let body = Full::new(Bytes::new())
            .map_err(|never| match never {})
            .boxed_unsync();
        let response = self
            .send(Self::request(Method::GET, address, body)?)
            .await?;
        // Files never have this type, pages of directories do.
        let kind = response.headers().get(CONTENT_TYPE);
        if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
            return Err(Error::failed("this is a directory").hint("guifi-store cp --recursive"));
        }
        let length = response.headers().get(CONTENT_LENGTH);
        progress.expect(length.and_then(|l| l.to_str().ok()?.parse().ok()));
        let mut body = response.into_body();
        while let Some(bytes) = next(&mut body).await? {
            into.write_all(&bytes).map_err(written)?;
            progress.add(bytes.len());
        }
        into.flush().map_err(written)
    }
}

fn written(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Error::stdout(error);
    }
    Error::failed(format!("cannot write what was read: {error}"))
}

/// What the gateway's refusal means to a script.
fn kind(status: StatusCode) -> Kind {
    match status {
        StatusCode::FORBIDDEN => Kind::NotAllowed,
        StatusCode::SERVICE_UNAVAILABLE => Kind::TryLater,
        _ => Kind::Failed,
    }
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Error> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => {
                return Err(Error::failed("the gateway could not go on with the answer")
                    .hint("journalctl -u guifi-gatewayd"));
            }
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

async fn collect(mut body: Incoming) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(bytes) = next(&mut body).await? {
        if all.len() + bytes.len() > MAX_ANSWER {
            return Err(Error::failed("the answer of the gateway is too long"));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// Length and time of a file's contents.
type Stamp = Option<(u64, SystemTime)>;

fn stamp_of(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.len(), about.modified().ok()?))
}

/// A file on its way to the gateway.
pub(super) struct Upload {
    name: String,
    source: Box<dyn io::Read + Send>,
    stamp: Option<(PathBuf, Stamp)>,
    progress: Progress,
}

impl Upload {
    /// A file.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn file(path: &Path, mut progress: Progress) -> Result<Self, Error> {
        let file = File::open(path)
            .map_err(|e| Error::failed(format!("cannot read {}: {e}", path.display())))?;
        let stamp = stamp_of(path);
        progress.expect(stamp.map(|(length, _)| length));
        Ok(Self {
            name: path.display().to_string(),
            source: Box::new(file),
            stamp: Some((path.to_owned(), stamp)),
            progress,
        })
    }

    /// Standard input.
    pub(super) fn stdin(progress: Progress) -> Self {
        Self {
            name: "standard input".into(),
            source: Box::new(io::stdin()),
            stamp: None,
            progress,
        }
    }

    fn body(self) -> Body {
        let state = (self.source, self.progress);
        let stream = unfold(state, |(mut source, mut progress)| async {
            let mut buffer = vec![0; CHUNK];
            let length = loop {
                match source.read(&mut buffer) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Some((Err(e), (source, progress))),
                    Ok(0) => return None,
                    Ok(length) => break length,
                }
            };
            buffer.truncate(length);
            progress.add(length);
            Some((Ok(Frame::data(buffer.into())), (source, progress)))
        });
        StreamBody::new(stream).boxed_unsync()
    }
}
