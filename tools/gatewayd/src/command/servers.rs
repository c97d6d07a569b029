//! The servers of a foreign grid: an administrator's matter, over the bus.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use guifi_bus::{GatewayAdminProxy, connect};
use guifi_core::Error;
use serde_json::json;

use super::Session;
use crate::cli::GridAction;
use crate::grid::MAX_BYTES;

pub(super) async fn run(session: &Session, action: &GridAction) -> Result<(), Error> {
    let attempt = |e| guifi_bus::error("cannot ask guifi-gatewayd", e);
    // Read first, so that a wrong name changes nothing.
    let text = match action {
        GridAction::Export => None,
        GridAction::Import { file } => Some(read(file)?),
    };
    let admin = GatewayAdminProxy::new(&connect().await?)
        .await
        .map_err(attempt)?;
    match text {
        None => {
            let text = admin.export_servers().await.map_err(attempt)?;
            session.say(&json!({"servers_yaml": text}), || text.clone())
        }
        Some(text) => {
            let count = admin.import_servers(&text).await.map_err(attempt)?;
            session.say(&json!({"servers": count}), || {
                format!("{count} servers imported\n")
            })
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |e: io::Error| Error::failed(format!("cannot read {}: {e}", path.display()));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut text = String::new();
    source
        .take(MAX_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}
