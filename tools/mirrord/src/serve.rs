//! The tree over HTTP: static files, to a bounded number of clients.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LAST_MODIFIED,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::door::Door;
use crate::path::decode;
use crate::pulse::Pulse;
use crate::reply::{http_date, part};
use crate::source::blocking;

/// Bytes sent at once.
const CHUNK: u64 = 64 << 10;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;
/// The file with the public keys, as repo/publish calls it.
const KEYS: &str = "guifi-archive-keyring.gpg";

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What is served, and how it goes.
#[derive(Clone, Debug)]
pub struct Shop {
    top: PathBuf,
    keyring: PathBuf,
    door: Door,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Shop {
    /// Serves `top`, and the public keys beside it.
    #[must_use]
    pub fn new(top: PathBuf, keyring: PathBuf) -> Self {
        Self {
            top,
            keyring,
            door: Door::default(),
            counters: Arc::default(),
        }
    }

    /// Requests and bytes since the start, and connections now.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64, usize) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (
            load(&self.counters.requests),
            load(&self.counters.bytes),
            self.door.count(),
        )
    }

    /// Serves those who come, until dropped.
    pub async fn serve(&self, listener: &TcpListener, bounds: [usize; 2], idle: Duration) {
        loop {
            let (socket, client) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Descriptors are short, or the client went: neither lasts.
                    log::debug!("cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Those who find it full come back, or go to the next mirror.
            if let Some(pass) = self.door.enter(client.ip(), bounds) {
                let shop = self.clone();
                tokio::spawn(async move {
                    shop.attend(socket, idle).await;
                    drop(pass);
                });
            }
        }
    }

    async fn attend(&self, socket: TcpStream, idle: Duration) {
        let pulse = Pulse::new();
        let service = service_fn(|request| {
            pulse.beat();
            self.answer(request, pulse.clone())
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .max_buf_size(16 << 10)
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(socket), service);
        let mut connection = std::pin::pin!(connection);
        loop {
            tokio::select! {
                // An error is the client's: it went, or spoke no HTTP.
                _ = connection.as_mut() => return,
                () = tokio::time::sleep(idle) => if pulse.age() >= idle { return },
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, pulse: Pulse) -> io::Result<Response<Body>> {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED);
            refused
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(refused);
        }
        let opened = match decode(request.uri().path()).and_then(|path| self.locate(&path)) {
            Some(file) => blocking(move || open(&file)).await.ok(),
            None => None,
        };
        let Some((file, size, date)) = opened else {
            return Ok(plain(StatusCode::NOT_FOUND));
        };
        let part = part(request.headers(), size, date);
        let mut answer = match part.status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT if request.method() == Method::GET => {
                self.counters
                    .bytes
                    .fetch_add(part.length, Ordering::Relaxed);
                Response::new(content(file, part.start, part.length, pulse))
            }
            _ => Response::new(empty()),
        };
        *answer.status_mut() = part.status;
        let headers = answer.headers_mut();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(date) = http_date(date).and_then(|date| date.parse().ok()) {
            headers.insert(LAST_MODIFIED, date);
        }
        let range = match part.status {
            StatusCode::NOT_MODIFIED => return Ok(answer),
            StatusCode::PARTIAL_CONTENT => Some(format!(
                "bytes {}-{}/{size}",
                part.start,
                part.start + part.length - 1
            )),
            StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{size}")),
            _ => None,
        };
        if let Some(range) = range.and_then(|range| range.parse().ok()) {
            headers.insert(CONTENT_RANGE, range);
        }
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(CONTENT_LENGTH, part.length.into());
        Ok(answer)
    }

    fn locate(&self, path: &str) -> Option<PathBuf> {
        match path.split('/').next() {
            Some("dists" | "pool") => Some(self.top.join(path)),
            _ if path == KEYS => Some(self.keyring.clone()),
            _ => None,
        }
    }
}

fn open(path: &Path) -> io::Result<(File, u64, Timestamp)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // Whole seconds, as HTTP writes them: the same date must come back equal.
    let date = Timestamp::try_from(about.modified()?).map_err(io::Error::other)?;
    let date = Timestamp::from_second(date.as_second()).map_err(io::Error::other)?;
    Ok((file, about.len(), date))
}

fn content(file: File, start: u64, length: u64, pulse: Pulse) -> Body {
    let file = Arc::new(file);
    let chunks = unfold((start, length), move |(at, left)| {
        let (file, pulse) = (file.clone(), pulse.clone());
        async move {
            if left == 0 {
                return None;
            }
            pulse.beat();
            let size = left.min(CHUNK);
            let read = move || {
                let mut buffer = vec![0; usize::try_from(size).map_err(io::Error::other)?];
                file.read_exact_at(&mut buffer, at)?;
                Ok(Frame::data(Bytes::from(buffer)))
            };
            match blocking(read).await {
                Ok(frame) => Some((Ok(frame), (at + size, left - size))),
                // The client sees that it is not whole.
                Err(e) => Some((Err(e), (at, 0))),
            }
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

fn empty() -> Body {
    Full::default()
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(empty());
    *answer.status_mut() = status;
    answer
}

/// The addresses to bind: those that were asked for, or all of both families with one socket.
#[must_use]
pub fn addresses(listen: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    if listen.is_empty() {
        return vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
    }
    listen
        .iter()
        .map(|address| SocketAddr::new(*address, port))
        .collect()
}

/// Listens on an address; that of all also without IPv6 in the kernel.
///
/// # Errors
/// Those of the system, such as an address that is taken.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match bind_one(address) {
        Err(e)
            if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && e.kind() != io::ErrorKind::AddrInUse =>
        {
            bind_one(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        bound => bound,
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        None,
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
