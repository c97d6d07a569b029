//! Questions over TLS (RFC 7858): one connection to each server, kept while it is used, with
//! many questions on it at once. The certificate has to be one for the server's name; nothing
//! is ever asked in the clear instead (RFC 8310, strict privacy).

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::upstream::Server;

/// How long connecting may take, a silent connection is kept, and an answer is waited for
/// before the connection counts as dead.
const CONNECT: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(10);
const DEAD: Duration = Duration::from_secs(4);
/// Questions on one connection at once.
const PENDING: usize = 256;

/// A question on its way: the message, and where its answer goes.
struct Asked {
    message: Vec<u8>,
    answer: oneshot::Sender<Vec<u8>>,
}

/// The connections.
pub struct Dot {
    authorities: Mutex<PathBuf>,
    /// What was made of them, if they could be read.
    config: Mutex<Option<Option<Arc<ClientConfig>>>>,
    connections: Mutex<HashMap<Server, mpsc::Sender<Asked>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the connection was closed",
    )
}

impl Dot {
    /// No connection yet; certificates are checked by the authorities in a PEM file, which is
    /// read when it is needed.
    pub fn new(authorities: &Path) -> Self {
        Self {
            authorities: Mutex::new(authorities.to_owned()),
            config: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    /// Reads the authorities anew, and makes new connections.
    pub fn reconfigure(&self, authorities: &Path) {
        authorities.clone_into(&mut lock(&self.authorities));
        *lock(&self.config) = None;
        lock(&self.connections).clear(); // they end when nothing is on its way
    }

    /// Sends `message` to `server` and gives the answer, whatever it is.
    ///
    /// # Errors
    /// Those of the network and of TLS.
    pub async fn ask(&self, server: &Server, message: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let (connection, new) = self.connection(server)?;
            let (answer, answered) = oneshot::channel();
            let message = message.to_vec();
            if connection.send(Asked { message, answer }).await.is_ok()
                && let Ok(answer) = answered.await
            {
                return Ok(answer);
            }
            // A server may close a kept connection at any moment: then once more.
            if new {
                return Err(closed());
            }
        }
    }

    /// The connection to a server, and whether it was made just now.
    fn connection(&self, server: &Server) -> io::Result<(mpsc::Sender<Asked>, bool)> {
        let mut connections = lock(&self.connections);
        if let Some(open) = connections.get(server).filter(|open| !open.is_closed()) {
            return Ok((open.clone(), false));
        }
        let name = server.tls.as_deref().unwrap_or_default().to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let connector = TlsConnector::from(self.config()?);
        let (sender, inbox) = mpsc::channel(PENDING);
        connections.retain(|_, other| !other.is_closed());
        connections.insert(server.clone(), sender.clone());
        let server = server.clone();
        tokio::spawn(async move {
            let connected = timeout(CONNECT, connect(&server, &connector, name)).await;
            let ended = match connected.unwrap_or_else(|late| Err(late.into())) {
                Ok(stream) => run(stream, inbox).await,
                Err(e) => Err(e),
            };
            if let Err(e) = ended {
                log::debug!("{server}: {e}");
            }
        });
        Ok((sender, true))
    }

    fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let path = lock(&self.authorities).clone();
        let mut config = lock(&self.config);
        // Read once, also if it fails: a reload of the daemon tries again.
        let ready = config.get_or_insert_with(|| match make(&path) {
            Ok(made) => Some(Arc::new(made)),
            Err(e) => {
                let path = path.display();
                log::warn!("cannot use the authorities {path}: {e}; no server is asked by TLS");
                None
            }
        });
        let unusable = || io::Error::other("there are no authorities for certificates");
        ready.clone().ok_or_else(unusable)
    }
}

fn make(authorities: &Path) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(authorities).map_err(io::Error::other)?;
    for certificate in certificates {
        // One of many that cannot be used hinders none of the others.
        let _ = roots.add(certificate.map_err(io::Error::other)?);
    }
    if roots.is_empty() {
        return Err(io::Error::other("there is no certificate in it"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"dot".to_vec()];
    Ok(config)
}

async fn connect(
    server: &Server,
    connector: &TlsConnector,
    name: ServerName<'static>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server.address).await?;
    stream.set_nodelay(true)?;
    connector.connect(name, stream).await
}

/// What is on its way, and since when nothing was heard of it.
struct Pending {
    answers: HashMap<u16, oneshot::Sender<Vec<u8>>>,
    since: Instant,
}

/// Serves questions until the connection fails, or nobody has used it for a while.
async fn run(stream: TlsStream<TcpStream>, mut inbox: mpsc::Receiver<Asked>) -> io::Result<()> {
    let (mut from, mut to) = tokio::io::split(stream);
    let pending = Mutex::new(Pending {
        answers: HashMap::new(),
        since: Instant::now(),
    });
    let write = async {
        let mut id = 0u16;
        loop {
            let asked = match timeout(IDLE, inbox.recv()).await {
                Ok(Some(asked)) => asked,
                Ok(None) => return drain(&pending).await,
                Err(_) => return Ok(()), // nobody waits that long
            };
            let mut message = asked.message;
            {
                let mut pending = lock(&pending);
                pending.answers.retain(|_, answer| !answer.is_closed());
                if pending.answers.is_empty() {
                    pending.since = Instant::now();
                }
                if pending.since.elapsed() > DEAD {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                if pending.answers.len() >= PENDING {
                    continue; // that one fails
                }
                while pending.answers.contains_key(&id) {
                    id = id.wrapping_add(1);
                }
                pending.answers.insert(id, asked.answer);
            }
            message[..2].copy_from_slice(&id.to_be_bytes());
            id = id.wrapping_add(1);
            let length = u16::try_from(message.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes()[..], &message].concat();
            timeout(DEAD, to.write_all(&framed)).await??;
            timeout(DEAD, to.flush()).await??;
        }
    };
    let read = async {
        loop {
            let length = from.read_u16().await?;
            let mut answer = vec![0; usize::from(length)];
            from.read_exact(&mut answer).await?;
            let Some([high, low]) = answer.first_chunk() else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let mut pending = lock(&pending);
            pending.since = Instant::now();
            let waiting = pending.answers.remove(&u16::from_be_bytes([*high, *low]));
            // Nobody may wait any more.
            let _ = waiting.map(|waiting| waiting.send(answer));
        }
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
    }
}

/// Waits for what is still on its way; no further question will come.
async fn drain(pending: &Mutex<Pending>) -> io::Result<()> {
    while !lock(pending).answers.is_empty() {
        tokio::time::sleep(DEAD).await;
        lock(pending)
            .answers
            .retain(|_, answer| !answer.is_closed());
    }
    Ok(())
}
