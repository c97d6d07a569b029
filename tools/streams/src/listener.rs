//! Taking the streams that peers open.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::Handle;
use crate::{ClientError, Request, Stream};

/// A protocol that this program serves; dropping it gives the protocol up.
#[derive(Debug)]
pub struct Listener {
    pub(crate) protocol: String,
    pub(crate) queue: Mutex<Receiver<Stream>>,
    pub(crate) client: Arc<Handle>,
}

impl Listener {
    /// The protocol.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Waits for the next stream.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the control connection has ended or [`Listener::close`]
    /// was called.
    pub fn accept(&self) -> Result<Stream, ClientError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.recv().map_err(|_| ClientError::Closed)
    }

    /// As [`Listener::accept`], for at most `wait`.
    ///
    /// # Errors
    /// Also [`ClientError::TimedOut`].
    pub fn accept_within(&self, wait: Duration) -> Result<Stream, ClientError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.recv_timeout(wait).map_err(|e| match e {
            RecvTimeoutError::Timeout => ClientError::TimedOut(wait),
            RecvTimeoutError::Disconnected => ClientError::Closed,
        })
    }

    /// Gives the protocol up and ends a waiting [`Listener::accept`].
    pub fn close(&self) {
        if self.client.forget_listener(&self.protocol) {
            // If the control connection is gone, so is the listener.
            let _ = self.client.send(
                &Request::Unlisten {
                    protocol: self.protocol.clone(),
                },
                None,
            );
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}
