//! How a server is reached: TCP with TLS, or a stream that peerd opens to its box.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use guifi_streams::{Client, Key};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
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
