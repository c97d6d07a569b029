//! Who this machine is now, as its registry says.

use std::time::Duration;

use guifi_bus::RegistryProxy;
use guifi_core::{Error, Kind};
use serde_json::Value;

/// How long the daemon may take to answer, and to start for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The box of this machine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Standing {
    /// Its public key.
    pub(crate) key: Option<String>,
    /// Its name, if it is in a community.
    pub(crate) name: Option<String>,
    /// Its zone, if it is in a community.
    pub(crate) zone: Option<String>,
    /// The community that it has joined.
    pub(crate) community: Option<String>,
}

impl Standing {
    /// Asks guifi-registryd.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Unavailable`] if the bus or the daemon does not answer.
    pub(crate) fn ask() -> Result<Self, Error> {
        guifi_bus::block_on(async {
            let failed = |e| guifi_bus::error("guifi-registryd does not answer", e);
            let connection = guifi_bus::connect().await?;
            let registry = RegistryProxy::new(&connection).await.map_err(failed)?;
            let document = tokio::time::timeout(PATIENCE, registry.describe())
                .await
                .map_err(|_| Error::new(Kind::Unavailable, "guifi-registryd does not answer"))?
                .map_err(failed)?;
            Ok(Self::read(
                &serde_json::from_str(&document).unwrap_or_default(),
            ))
        })
    }

    fn read(document: &Value) -> Self {
        let text = |pointer: &str| {
            let text = document.pointer(pointer)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self {
            key: text("/key"),
            name: text("/name"),
            zone: text("/zone"),
            community: text("/community/name"),
        }
    }
}
