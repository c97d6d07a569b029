//! RSA keys for new mutable files, made ahead: making one takes longer than all the rest of
//! making a directory.

use std::sync::Arc;

use guifi_tahoe::mutable::KeyPair;
use tokio::sync::{Mutex, Notify, mpsc};

use crate::problem::Problem;

/// Keys that wait.
const AHEAD: usize = 4;

/// The keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    ready: Mutex<mpsc::Receiver<KeyPair>>,
    sender: mpsc::Sender<KeyPair>,
    wanted: Notify,
}

impl Keys {
    /// Without keys yet.
    pub(crate) fn new() -> Self {
        let (sender, ready) = mpsc::channel(AHEAD);
        Self(Arc::new(Pool {
            ready: Mutex::new(ready),
            sender,
            wanted: Notify::new(),
        }))
    }

    /// Makes keys while there is room for them, one at a time, once somebody came: a gateway that
    /// nobody uses makes none.
    pub(crate) async fn fill(self) {
        loop {
            self.0.wanted.notified().await;
            while let Ok(place) = self.0.sender.try_reserve() {
                match tokio::task::spawn_blocking(KeyPair::generate).await {
                    Ok(Ok(key)) => place.send(key),
                    Ok(Err(e)) => {
                        log::warn!("cannot make a key ahead: {e}");
                        break;
                    }
                    // The daemon is ending.
                    Err(_) => return,
                }
            }
        }
    }

    /// Somebody came.
    pub(crate) fn wake(&self) {
        self.0.wanted.notify_one();
    }

    /// A key that nobody else gets.
    ///
    /// # Errors
    /// If none can be made.
    pub(crate) async fn take(&self) -> Result<KeyPair, Problem> {
        self.wake();
        let ready = self.0.ready.lock().await.try_recv();
        match ready {
            Ok(key) => Ok(key),
            Err(_) => tokio::task::spawn_blocking(KeyPair::generate)
                .await
                .map_err(Problem::internal)?
                .map_err(Problem::from),
        }
    }
}
