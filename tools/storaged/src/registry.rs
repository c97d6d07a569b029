//! What the registry says: this box, and its own record.

use std::collections::HashMap;

use guifi_bus::{RegistryProxy, read_lines};
use guifi_core::Error;
use guifi_tahoe::announcement::{KIND, NAME};
use serde::Deserialize;
use serde_json::Value;
use zbus::Connection;

/// What the registry says of this box.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub(crate) struct Own {
    pub(crate) joined: bool,
    /// Not known while guifi-peerd is away.
    pub(crate) key: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) addresses: Vec<String>,
}

/// Asks for this box, and for the record of this server as it stands.
///
/// # Errors
/// [`guifi_core::Kind::Unavailable`] if the registry does not answer.
pub(crate) async fn look(connection: &Connection) -> Result<(Own, Option<Value>), Error> {
    let failed = |e| guifi_bus::error("cannot ask the registry", e);
    let registry = RegistryProxy::new(connection).await.map_err(failed)?;
    let text = registry.describe().await.map_err(failed)?;
    let own: Own = serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("cannot read the registry's description: {e}")))?;
    let Some(key) = own.key.as_deref().filter(|_| own.joined) else {
        return Ok((own, None));
    };
    let filter = HashMap::from([("owner", key)]);
    let (_, _, _, lines) = registry
        .list(&[KIND], filter, "", 0)
        .await
        .map_err(failed)?;
    let records: Vec<Value> = read_lines(lines)?;
    let published = records
        .iter()
        .find(|record| record["own"] == true && record["name"] == NAME)
        .map(|record| record["body"].clone());
    Ok((own, published))
}
