//! `guifi-registry pending`, `approve`, `refuse` and `administrators`: who may come in, and who
//! decides that.

use guifi_bus::{RegistryAdminProxy, RegistryProxy};
use guifi_core::Error;
use serde_json::Value;

use super::{print, read, records, table, text};

/// Who waits at the door of this box.
pub(super) async fn pending(json: bool, admin: &RegistryAdminProxy<'_>) -> Result<(), Error> {
    let document = admin
        .pending()
        .await
        .map_err(|e| guifi_bus::error("cannot ask who waits", e))?;
    let waiting = read(&document)?;
    let waiting = waiting.as_array().map_or(&[][..], Vec::as_slice);
    print(&if json {
        table::lines(waiting)
    } else {
        table::waiting(waiting)
    })
}

/// Lets somebody in, or says no.
pub(super) async fn decide(
    json: bool,
    admin: &RegistryAdminProxy<'_>,
    who: &str,
    admitted: bool,
) -> Result<(), Error> {
    let (answer, attempt, done) = if admitted {
        (
            admin.approve(who).await,
            "cannot admit it",
            "is a member now",
        )
    } else {
        (admin.refuse(who).await, "cannot refuse it", "is refused")
    };
    let document = answer.map_err(|e| guifi_bus::error(attempt, e))?;
    let told = read(&document)?;
    print(&if json {
        format!("{document}\n")
    } else {
        let name = match text(&told, "name") {
            "" => String::new(),
            name => format!(" ({})", table::plain(&name.into())),
        };
        format!("{}{name} {done}\n", text(&told, "key"))
    })
}

/// Who administers, the highest rank first.
pub(super) async fn administrators(json: bool, reads: &RegistryProxy<'_>) -> Result<(), Error> {
    let document = reads
        .describe()
        .await
        .map_err(|e| guifi_bus::error("cannot ask the registry", e))?;
    let state = read(&document)?;
    let keys = state["administrators"].as_array();
    let (_, boxes) = records(reads, &["box"], std::collections::HashMap::new(), "", 0).await?;
    let found: Vec<Value> = keys
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(rank, key)| {
            let of = boxes.iter().find(|b| b["owner"] == *key);
            let said = |member: &str| of.map_or("", |b| text(b, member));
            serde_json::json!({
                "rank": rank + 1, "key": key, "name": said("owner_name"),
                "zone": said("owner_zone"), "state": said("state"), "own": *key == state["key"],
            })
        })
        .collect();
    print(&if json {
        table::lines(&found)
    } else {
        table::administrators(&found)
    })
}
