//! Where one service of the link is.

use std::time::Duration;

use guifi_bus::avahi::AvahiServerProxy;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Link, Place};
use crate::avahi::{ANY, tell};

/// How long Avahi may take to say where a service is; it gives up after five seconds itself.
const ANSWER: Duration = Duration::from_secs(8);
/// Avahi's numbers of the protocols.
const IPV4: i32 = 0;
const IPV6: i32 = 1;

impl Link {
    /// Finds out where a service is now; none if its machine announces it no more.
    ///
    /// # Errors
    /// Avahi does not say.
    pub(crate) async fn locate(&self, name: &str, kind: &str) -> zbus::Result<Option<Place>> {
        // Avahi takes five seconds to say no.
        let [v4, v6] = [IPV4, IPV6].map(|protocol| self.ask(name, kind, protocol));
        let (v4, v6) = futures_util::future::join(v4, v6).await;
        Ok(v4?.or(v6?))
    }

    async fn ask(&self, name: &str, kind: &str, protocol: i32) -> zbus::Result<Option<Place>> {
        let server = AvahiServerProxy::new(&self.connection).await?;
        let path = server
            .service_resolver_prepare(ANY, ANY, name, kind, "local", protocol, 0)
            .await?;
        let (answer, answered) = oneshot::channel();
        let key = path.as_str().to_owned();
        self.state().asked.insert(key.clone(), answer);
        let started = tell(&self.connection, &path, "ServiceResolver", "Start").await;
        let found = timeout(ANSWER, answered).await;
        self.state().asked.remove(&key);
        // A resolver that is gone needs no freeing.
        let _ = tell(&self.connection, &path, "ServiceResolver", "Free").await;
        started?;
        match found {
            Ok(Ok(found)) => Ok(found),
            _ => Err(zbus::Error::Failure("Avahi does not answer".to_owned())),
        }
    }

    pub(super) fn is_asked(&self, path: &str) -> bool {
        self.state().asked.contains_key(path)
    }

    pub(super) fn answer(&self, path: &str, place: Option<Place>) {
        if let Some(asker) = self.state().asked.remove(path) {
            // The asker may have lost patience.
            let _ = asker.send(place);
        }
    }
}
