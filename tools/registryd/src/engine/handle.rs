//! Handing work to the engine, from threads that wait and from tasks that must not.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use guifi_core::{Error, Kind};
use guifi_streams::Client;
use tokio::sync::oneshot;

use super::Engine;

/// How long peerd is waited for, and between two looks.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// Work that waits for the engine.
const MAX_QUEUE: usize = 1024;

/// A piece of work. It answers through a channel of its own; if it gives a time, it is called
/// again after it.
pub(crate) type Work = Box<dyn FnMut(&mut Engine) -> Option<Duration> + Send>;

/// A way to hand work to the engine.
#[derive(Clone)]
pub struct Handle(SyncSender<Work>);

/// A handle and the queue that it fills.
pub(super) fn queue() -> (Handle, Receiver<Work>) {
    let (sender, queue) = sync_channel(MAX_QUEUE);
    (Handle(sender), queue)
}

impl Handle {
    /// Hands over work and goes on.
    pub fn send(&self, mut work: impl FnMut(&mut Engine) + Send + 'static) {
        // The engine ends last: nobody misses what it can no longer do.
        let _ = self.0.send(Box::new(move |engine| {
            work(engine);
            None
        }));
    }

    /// Hands over work and waits for its answer.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the engine is ending.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, wait) = sync_channel(1);
        let mut work = Some(work);
        self.send(move |engine| {
            if let Some(work) = work.take() {
                // A caller that went away wants no answer.
                let _ = answer.send(work(engine));
            }
        });
        wait.recv().map_err(|_| stopping())
    }

    /// The connection to peerd, which is waited for: it may just be starting anew.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if it does not come.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            let client = self.call(|engine| engine.client())?;
            if client.is_ok() || Instant::now() >= end {
                return client;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Hands over work that may ask to be called again later, without blocking the caller's
    /// thread.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if the engine is ending.
    pub async fn ask<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut Engine) -> Result<T, Duration> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, wait) = oneshot::channel();
        let mut answer = Some(answer);
        let work: Work = Box::new(move |engine| {
            if answer.as_ref().is_none_or(oneshot::Sender::is_closed) {
                return None;
            }
            match work(engine) {
                Ok(done) => {
                    if let Some(answer) = answer.take() {
                        // As above.
                        let _ = answer.send(done);
                    }
                    None
                }
                Err(later) => Some(later),
            }
        });
        self.0.try_send(work).map_err(|_| {
            Error::new(
                Kind::TryLater,
                "the registry has more to do than it can remember",
            )
        })?;
        wait.await.map_err(|_| stopping())
    }
}

fn stopping() -> Error {
    Error::new(Kind::Unavailable, "the registry is stopping")
}
