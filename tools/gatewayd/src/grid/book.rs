//! What the registry says: the storage servers of the community.

use std::collections::HashMap;

use guifi_bus::{RegistryProxy, read_lines};
use guifi_core::Error;
use guifi_tahoe::announcement::{Announcement, KIND, NAME};
use serde::Deserialize;
use serde_json::Value;
use zbus::Connection;

use super::About;

/// What the registry says of this box.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Own {
    joined: bool,
}

#[derive(Debug, Deserialize)]
struct Record {
    owner: String,
    name: String,
    #[serde(default)]
    owner_name: String,
    #[serde(default)]
    owner_zone: String,
    body: Value,
}

/// The servers of the community.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Whether this box is in one.
    pub(crate) joined: bool,
    /// Live ones and stale ones.
    pub(crate) servers: Vec<About>,
}

/// Asks the registry.
///
/// # Errors
/// [`guifi_core::Kind::Unavailable`] if it does not answer.
pub(crate) async fn list(connection: &Connection) -> Result<Listing, Error> {
    let failed = |e| guifi_bus::error("cannot list the storage servers", e);
    let registry = RegistryProxy::new(connection).await.map_err(failed)?;
    let text = registry.describe().await.map_err(failed)?;
    let own: Own = serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("cannot read the registry's description: {e}")))?;
    if !own.joined {
        return Ok(Listing::default());
    }
    let (_, _, _, lines) = registry
        .list(&[KIND], HashMap::new(), "", 0)
        .await
        .map_err(failed)?;
    let records: Vec<Value> = read_lines(lines)?;
    Ok(Listing {
        joined: true,
        servers: records.iter().filter_map(read).collect(),
    })
}

/// The server of a record, if it is one that can be used.
fn read(record: &Value) -> Option<About> {
    let record = Record::deserialize(record).ok()?;
    if record.name != NAME {
        return None;
    }
    let said = Announcement::from_body(&record.body)
        .inspect_err(|e| log::debug!("storage record of {}: {e}", record.owner))
        .ok()?;
    let nickname = if said.nickname.is_empty() {
        record.owner_name
    } else {
        said.nickname
    };
    Some(About {
        id: said.server.to_string(),
        tubid: said.tubid,
        seed: said.seed.to_vec(),
        nickname,
        zone: record.owner_zone,
        nurls: said.nurls,
        owner: record.owner.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_is_a_server_of_its_box() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/storage.json"
        );
        let vector: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut record = json!({
            "owner": "a".repeat(52), "name": "storage", "owner_name": "can-pere",
            "owner_zone": "vic.osona", "body": vector["body"],
        });
        let about = read(&record).unwrap();
        assert_eq!(about.zone, "vic.osona");
        assert!(about.owner.is_some() && !about.nurls.is_empty());
        record["body"]["tubid"] = json!("x");
        assert_eq!(read(&record), None);
    }
}
