//! Taking the streams that peers open.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::Handle;
use crate::{ClientError, Key, Request, Stream};

/// The streams that wait to be taken, counted by peer, so that one peer does not take all places.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    taken: Mutex<HashMap<Key, usize>>,
}

impl Places {
    pub(crate) fn new(all: usize) -> Self {
        Self {
            all,
            taken: Mutex::default(),
        }
    }

    /// Takes a place for a stream of `peer`; no peer has more than one beyond what is left free.
    pub(crate) fn take(&self, peer: Key) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.all.saturating_sub(taken.values().sum());
        let own = taken.get(&peer).copied().unwrap_or_default();
        let there = free > 0 && own <= free;
        if there {
            taken.insert(peer, own + 1);
        }
        there
    }

    /// Gives a place back.
    pub(crate) fn leave(&self, peer: Key) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&peer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&peer);
            }
        }
    }
}

/// A protocol that this program serves; dropping it gives the protocol up.
#[derive(Debug)]
pub struct Listener {
    pub(crate) protocol: String,
    pub(crate) queue: Mutex<Receiver<Stream>>,
    pub(crate) places: Arc<Places>,
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
        let stream = queue.recv().map_err(|_| ClientError::Closed)?;
        self.places.leave(stream.peer);
        Ok(stream)
    }

    /// As [`Listener::accept`], for at most `wait`.
    ///
    /// # Errors
    /// Also [`ClientError::TimedOut`].
    pub fn accept_within(&self, wait: Duration) -> Result<Stream, ClientError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = queue.recv_timeout(wait).map_err(|e| match e {
            RecvTimeoutError::Timeout => ClientError::TimedOut(wait),
            RecvTimeoutError::Disconnected => ClientError::Closed,
        })?;
        self.places.leave(stream.peer);
        Ok(stream)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_does_not_take_all_places() {
        let places = Places::new(32);
        let [mad, other] = [Key([1; 32]), Key([2; 32])];
        assert_eq!((0..1000).filter(|_| places.take(mad)).count(), 17);
        assert_eq!((0..1000).filter(|_| places.take(other)).count(), 8);
        places.leave(mad);
        assert!(places.take(other));
        let one = Places::new(1);
        assert!(one.take(mad) && !one.take(other));
        one.leave(mad);
        assert!(one.take(other));
    }
}
