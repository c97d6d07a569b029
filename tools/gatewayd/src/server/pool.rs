//! Connections to one server: at most ten, kept while they are used.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::body::Pieces;
use super::wire::Dial;

/// Connections at once, as many as the official client opens.
const MOST: usize = 10;
/// A connection that stood still for so long is not used again: servers close theirs, too.
const IDLE: Duration = Duration::from_secs(20);
/// How long reaching a server may take.
const DIAL: Duration = Duration::from_secs(10);

/// The connections.
#[derive(Debug)]
pub(crate) struct Pool {
    dial: Box<dyn Dial>,
    places: Semaphore,
    idle: Mutex<Vec<(SendRequest<Pieces>, Instant)>>,
}

/// One connection, in use.
pub(crate) struct Connection<'a> {
    pool: &'a Pool,
    sender: SendRequest<Pieces>,
    _place: SemaphorePermit<'a>,
}

impl Pool {
    pub(crate) fn new(dial: Box<dyn Dial>) -> Self {
        Self {
            dial,
            places: Semaphore::new(MOST),
            idle: Mutex::default(),
        }
    }

    /// Sends a request once there is a place. One that a kept connection did not take, since the
    /// server had closed it, is sent on a new one.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn send(
        &self,
        mut request: Request<Pieces>,
    ) -> io::Result<(Connection<'_>, Response<Incoming>)> {
        let place = self.places.acquire().await.map_err(io::Error::other)?;
        let mut place = Some(place);
        loop {
            let (sender, is_new) = match self.kept() {
                Some(sender) => (sender, false),
                None => (self.open().await?, true),
            };
            let Some(held) = place.take() else {
                return Err(io::Error::other("no place for a connection"));
            };
            let mut connection = Connection {
                pool: self,
                sender,
                _place: held,
            };
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((connection, response)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if !is_new => {
                        request = unsent;
                        place = Some(connection._place);
                    }
                    _ => return Err(io::Error::other(failed.into_error())),
                },
            }
        }
    }

    fn kept(&self) -> Option<SendRequest<Pieces>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE);
        // The one used last, so that spare ones grow old.
        let index = idle.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(idle.remove(index).0)
    }

    async fn open(&self) -> io::Result<SendRequest<Pieces>> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        let wire = timeout(DIAL, self.dial.dial())
            .await
            .map_err(|_| late())??;
        let (sender, connection) = http1::handshake(TokioIo::new(wire))
            .await
            .map_err(io::Error::other)?;
        // Ends when the sender is dropped; its error reaches the request.
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl Connection<'_> {
    /// Keeps the connection: its answer was read to the end.
    pub(crate) fn keep(self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.push((self.sender, Instant::now()));
    }
}
