//! What the registry says: the mirrors, the addresses of their boxes, and this box itself.

use std::collections::HashMap;

use guifi_bus::{RegistryProxy, read_lines};
use guifi_core::Error;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use zbus::Connection;

use crate::nearest::{self, Mirror, distance};
use crate::probe::Candidate;

/// The kind of record.
pub(crate) const KIND: &str = "mirror";

/// Far mirrors that are looked at because they say that they are newer.
const MAX_NEWER: usize = 2;

/// What the registry says of this box.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Own {
    pub(crate) joined: bool,
    key: String,
    zone: Option<String>,
}

/// The mirrors, the nearest first, and this box's own record as it stands.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) own: Own,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) published: Option<Value>,
}

/// Asks the registry for all mirrors of a suite.
///
/// # Errors
/// [`guifi_core::Kind::Unavailable`] if it does not answer.
pub(crate) async fn list(connection: &Connection, suite: &str) -> Result<Listing, Error> {
    let failed = |e| guifi_bus::error("cannot list the mirrors", e);
    let registry = RegistryProxy::new(connection).await.map_err(failed)?;
    let text = registry.describe().await.map_err(failed)?;
    let own: Own = serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("cannot read the registry's description: {e}")))?;
    if !own.joined {
        return Ok(Listing {
            own,
            ..Listing::default()
        });
    }
    let (_, _, _, lines) = registry
        .list(&[KIND], HashMap::new(), "", 0)
        .await
        .map_err(failed)?;
    let records: Vec<Value> = read_lines(lines)?;
    let mut mirrors: Vec<Mirror> = records
        .iter()
        .filter_map(|r| Mirror::read(r, suite))
        .collect();
    nearest::sort(
        &mut mirrors,
        &own.key,
        own.zone.as_deref().unwrap_or_default(),
    );
    let is_own = |r: &&Value| r["own"] == true && r["name"] == suite;
    let published = records
        .iter()
        .find(is_own)
        .map(|record| record["body"].clone());
    Ok(Listing {
        own,
        mirrors,
        published,
    })
}

/// The URLs of a mirror; an error if its box has no record.
async fn urls(connection: &Connection, mirror: &Mirror) -> Result<Vec<String>, Error> {
    if mirror.own {
        return Ok(mirror.urls(&Value::Null));
    }
    let failed = |e| guifi_bus::error("cannot find the addresses of a mirror", e);
    let registry = RegistryProxy::new(connection).await.map_err(failed)?;
    let text = registry
        .get(&mirror.owner, "box", "box")
        .await
        .map_err(failed)?;
    let boxed = serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("cannot read the record of {}: {e}", mirror.name)))?;
    Ok(mirror.urls(&boxed))
}

/// The `most` nearest of some mirrors that are there, to look at; and a few further ones that
/// say that they have an index newer than `held`.
pub(crate) async fn candidates(
    connection: &Connection,
    listing: &Listing,
    most: usize,
    held: Option<Timestamp>,
) -> Vec<Candidate> {
    let zone = listing.own.zone.as_deref().unwrap_or_default();
    let (near, far) = listing.mirrors.split_at(most.min(listing.mirrors.len()));
    let newer = far
        .iter()
        .filter(|mirror| mirror.date > held)
        .take(MAX_NEWER);
    let mut found = Vec::new();
    for mirror in near.iter().chain(newer).filter(|mirror| mirror.live) {
        // A box without a record is on its way out.
        let urls = urls(connection, mirror).await.unwrap_or_default();
        let (name, zone) = (
            mirror.name.clone(),
            (mirror.zone.clone(), distance(zone, &mirror.zone)),
        );
        found.push(Candidate {
            urls,
            name,
            zone: zone.0,
            distance: zone.1,
        });
    }
    found
}
