//! How a server is reached: TCP with TLS, or a stream that peerd opens to its box.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use guifi_streams::{Client, Key};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls;

/// What HTTP is spoken over.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A way to a server.
pub(crate) trait Dial: fmt::Debug + Send + Sync {
    /// Opens a connection on which the server has proved who it is.
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Wire>>>;
}

/// TCP, then TLS with the server's pinned key.
#[derive(Debug)]
pub(crate) struct Tcp {
    address: String,
    config: Arc<ClientConfig>,
}

impl Tcp {
    /// To `HOST:PORT`, an address in brackets if it is one of IPv6.
    ///
    /// # Errors
    /// Those of the library.
    pub(crate) fn new(address: String, key: tls::KeyHash) -> Result<Self, rustls::Error> {
        let config = Arc::new(tls::config(key)?);
        Ok(Self { address, config })
    }
}

impl Dial for Tcp {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Wire>>> {
        Box::pin(async {
            let socket = TcpStream::connect(&self.address).await?;
            socket.set_nodelay(true)?;
            // The name is neither sent nor checked.
            let name = ServerName::try_from("storage.invalid").map_err(io::Error::other)?;
            let stream = TlsConnector::from(self.config.clone())
                .connect(name, socket)
                .await?;
            Ok(Box::new(stream) as Box<dyn Wire>)
        })
    }
}

/// The protocol's name at peerd.
pub(crate) const PROTOCOL: &str = "storage";

/// A stream of peerd, which has proved the other box's key and encrypts.
#[derive(Debug)]
pub(crate) struct Peer {
    socket: PathBuf,
    key: Key,
    deadline: Duration,
}

impl Peer {
    /// To the box with this key, by the peerd at `socket`.
    pub(crate) fn new(socket: PathBuf, key: Key, deadline: Duration) -> Self {
        Self {
            socket,
            key,
            deadline,
        }
    }
}

impl Dial for Peer {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Wire>>> {
        Box::pin(async {
            let (path, key, deadline) = (self.socket.clone(), self.key, self.deadline);
            let open = move || {
                let client = Client::connect(&path).map_err(io::Error::other)?;
                client
                    .open(key, PROTOCOL, &[], deadline)
                    .map_err(io::Error::other)
            };
            let stream = tokio::task::spawn_blocking(open)
                .await
                .map_err(io::Error::other)??;
            let socket = stream.socket.try_clone()?;
            socket.set_nonblocking(true)?;
            let socket = UnixStream::from_std(socket)?;
            Ok(Box::new(Held {
                socket,
                _stream: stream,
            }) as Box<dyn Wire>)
        })
    }
}

/// One way, and another where the first leads nowhere: a box behind a NAT announces an address
/// that only some reach.
#[derive(Debug)]
pub(crate) struct Either {
    first: Box<dyn Dial>,
    second: Box<dyn Dial>,
    /// Which of them led there last.
    is_second: AtomicBool,
}

/// How long the first way may take while there is another.
const HASTE: Duration = Duration::from_secs(3);

impl Either {
    pub(crate) fn new(first: Box<dyn Dial>, second: Box<dyn Dial>) -> Self {
        Self {
            first,
            second,
            is_second: AtomicBool::new(false),
        }
    }
}

impl Dial for Either {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Wire>>> {
        Box::pin(async {
            let is_second = self.is_second.load(Ordering::Relaxed);
            let (best, other) = if is_second {
                (&self.second, &self.first)
            } else {
                (&self.first, &self.second)
            };
            let why = match timeout(HASTE, best.dial()).await {
                Ok(Ok(wire)) => return Ok(wire),
                Ok(Err(e)) => e,
                Err(_) => io::Error::new(io::ErrorKind::TimedOut, "no connection in time"),
            };
            let Ok(wire) = other.dial().await else {
                return Err(why);
            };
            self.is_second.store(!is_second, Ordering::Relaxed);
            Ok(wire)
        })
    }
}

/// Keeps the stream's control connection for as long as its socket is used.
struct Held {
    socket: UnixStream,
    _stream: guifi_streams::Stream,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A way that leads somewhere or nowhere.
    #[derive(Debug)]
    struct Way(bool);

    impl Dial for Way {
        fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Wire>>> {
            Box::pin(async {
                if self.0 {
                    return Ok(Box::new(tokio::io::duplex(1).0) as Box<dyn Wire>);
                }
                Err(io::ErrorKind::ConnectionRefused.into())
            })
        }
    }

    #[tokio::test]
    async fn the_way_that_leads_there_is_remembered() {
        let either = |a, b| Either::new(Box::new(Way(a)), Box::new(Way(b)));
        let way = either(false, true);
        assert!(way.dial().await.is_ok() && way.is_second.load(Ordering::Relaxed));
        assert!(way.dial().await.is_ok() && way.is_second.load(Ordering::Relaxed));
        let none = either(false, false);
        assert!(none.dial().await.is_err() && !none.is_second.load(Ordering::Relaxed));
    }
}
