//! Where files of a repository are fetched from: an HTTP server, or a directory of this
//! machine. Everything has a limit of size and of time, and nothing is followed elsewhere.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use guifi_core::Error;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::path::encode;
use crate::release::Listed;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes read from a file at once.
const CHUNK: usize = 64 << 10;

/// A repository somewhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// On a server: `HOST:PORT`, the value of `Host:`, and the path, which ends with a slash.
    Http {
        /// What is connected to.
        address: String,
        /// What the server is called.
        host: String,
        /// Where on it.
        path: String,
    },
    /// In a directory.
    Directory(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, path, .. } => write!(f, "http://{host}{path}"),
            Self::Directory(path) => write!(f, "file:{}/", path.display()),
        }
    }
}

impl Source {
    /// Reads `http://HOST[:PORT]/PATH` or `file:/PATH`.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Usage`] if it is neither.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let wrong = || Error::usage(format!("'{url}' is not http://HOST/PATH or file:/PATH"));
        if let Some(path) = url.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let path = path.strip_suffix('/').unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::Directory(path.into()))
            } else {
                Err(wrong())
            };
        }
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return Err(wrong());
        }
        let authority = uri.authority().ok_or_else(wrong)?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self::Http {
            address: format!("{}:{port}", authority.host()),
            host: authority.to_string(),
            path: format!("{}/", uri.path().trim_end_matches('/')),
        })
    }

    async fn open(&self, path: &str) -> Result<Stream, String> {
        match self {
            Self::Directory(directory) => {
                let file = directory.join(path);
                blocking(move || File::open(file))
                    .await
                    .map(Stream::File)
                    .map_err(|e| e.to_string())
            }
            Self::Http {
                address,
                host,
                path: base,
            } => {
                let connected = timeout(CONNECT, TcpStream::connect(address)).await;
                let socket = connected
                    .map_err(|_| "no connection in time")?
                    .map_err(|e| e.to_string())?;
                let request = Request::get(format!("{base}{}", encode(path)))
                    .header(HOST, host)
                    .header(
                        USER_AGENT,
                        concat!("guifi-mirror/", env!("CARGO_PKG_VERSION")),
                    )
                    .header(CONNECTION, "close")
                    .body(Empty::new())
                    .map_err(|e| e.to_string())?;
                let answer = timeout(SILENCE, ask(socket, request)).await;
                let body = answer.map_err(|_| "no answer in time")??;
                Ok(Stream::Http(body))
            }
        }
    }

    /// Fetches a small file into memory.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if it cannot be had, or is larger than `most` bytes.
    pub async fn small(&self, path: &str, most: u64) -> Result<Vec<u8>, Error> {
        let failed = |why: &str| Error::failed(format!("cannot fetch {self}{path}: {why}"));
        let mut stream = self.open(path).await.map_err(|e| failed(&e))?;
        let mut all = Vec::new();
        while let Some(chunk) = stream.next().await.map_err(|e| failed(&e))? {
            if (all.len() + chunk.len()) as u64 > most {
                return Err(failed(&format!("it is larger than {most} bytes")));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// Fetches a listed file into the new file `into`, on the disk when this returns.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if it cannot be had, or is not what was listed.
    pub async fn large(&self, path: &str, listed: &Listed, into: &Path) -> Result<(), Error> {
        let failed =
            |why: &dyn fmt::Display| Error::failed(format!("cannot fetch {self}{path}: {why}"));
        let mut stream = self.open(path).await.map_err(|e| failed(&e))?;
        let mut file = File::create(into).map_err(|e| failed(&e))?;
        let (mut size, mut sum) = (0, Sha256::new());
        while let Some(chunk) = stream.next().await.map_err(|e| failed(&e))? {
            size += chunk.len() as u64;
            if size > listed.size {
                return Err(failed(&"it is larger than its index says"));
            }
            sum.update(&chunk);
            file.write_all(&chunk).map_err(|e| failed(&e))?;
        }
        if size < listed.size {
            return Err(failed(&format!(
                "it ends after {size} of {} bytes",
                listed.size
            )));
        }
        if <[u8; 32]>::from(sum.finalize()) != listed.sum {
            return Err(failed(&"its content is not what its index says"));
        }
        blocking(move || file.sync_all())
            .await
            .map_err(|e| failed(&e))
    }
}

/// What is being read.
enum Stream {
    File(File),
    Http(Incoming),
}

impl Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        match self {
            Self::File(file) => {
                let mut buffer = vec![0; CHUNK];
                let read = file.read(&mut buffer).map_err(|e| e.to_string())?;
                buffer.truncate(read);
                Ok((read > 0).then(|| buffer.into()))
            }
            Self::Http(body) => loop {
                let frame = timeout(SILENCE, body.frame())
                    .await
                    .map_err(|_| "it stalls")?;
                match frame {
                    None => return Ok(None),
                    Some(Err(e)) => return Err(e.to_string()),
                    // Trailers are no data.
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                }
            },
        }
    }
}

async fn ask(socket: TcpStream, request: Request<Empty<Bytes>>) -> Result<Incoming, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|e| e.to_string())?;
    // Ends with the body: the request says "Connection: close".
    tokio::spawn(connection);
    let answer = sender
        .send_request(request)
        .await
        .map_err(|e| e.to_string())?;
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body()),
        status => Err(format!("the server says {status}")),
    }
}

/// Work that waits for the disk, off the runtime's thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_read_and_shown() {
        for (url, shown) in [
            ("http://repo.example", "http://repo.example/"),
            (
                "http://repo.example:8080/guifi/",
                "http://repo.example:8080/guifi/",
            ),
            ("http://[fd00::1]:7659/", "http://[fd00::1]:7659/"),
            ("file:/srv/guifi", "file:/srv/guifi"),
            ("file:///srv/guifi", "file:/srv/guifi"),
        ] {
            assert_eq!(
                Source::parse(url)
                    .unwrap()
                    .to_string()
                    .trim_end_matches('/'),
                shown.trim_end_matches('/')
            );
        }
        for url in [
            "",
            "ftp://x/",
            "https://x/",
            "file:srv",
            "http:///x",
            "http://x/?q",
            "/srv",
        ] {
            assert!(Source::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_is_not_as_listed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), b"hello").unwrap();
        let source = Source::Directory(dir.path().into());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let sum: [u8; 32] = Sha256::digest(b"hello").into();
        let fetch = |size, sum| {
            let listed = Listed { size, sum };
            runtime
                .block_on(source.large("a", &listed, &dir.path().join("b")))
                .map_err(|e| e.to_string())
        };
        fetch(5, sum).unwrap();
        assert_eq!(std::fs::read(dir.path().join("b")).unwrap(), b"hello");
        assert!(fetch(4, sum).unwrap_err().contains("larger"));
        assert!(fetch(6, sum).unwrap_err().contains("5 of 6"));
        assert!(fetch(5, [0; 32]).unwrap_err().contains("content"));
        let small = |most| runtime.block_on(source.small("a", most));
        assert_eq!(small(5).unwrap(), b"hello");
        assert!(small(4).is_err());
    }
}
