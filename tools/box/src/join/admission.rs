//! Asking to be admitted, until somebody has decided.

use std::time::{Duration, Instant};

use guifi_bus::{RegistryAdminProxy, RegistryProxy};
use guifi_core::Error;

use super::{Wish, describe, options};
use crate::cli::Join;
use crate::terminal::say;

/// The pause before the same question, at first and at last.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Joins; with `--wait` it asks again, at a gentle pace, until an administrator has approved.
pub(super) async fn wait(
    cli: &Join,
    wish: &Wish,
    reads: &RegistryProxy<'_>,
    admin: &RegistryAdminProxy<'_>,
) -> Result<String, Error> {
    let begin = Instant::now();
    let mut told = false;
    loop {
        let error = match admin.join(options(wish)).await {
            Ok(document) => return Ok(document),
            Err(e) if guifi_bus::is_waiting(&e) => guifi_bus::error("cannot join yet", e),
            // A seed that restarts meanwhile.
            Err(e) if told && is_passing(&e) => guifi_bus::error("cannot join yet", e),
            Err(e) => return Err(guifi_bus::error("cannot join", e)),
        };
        let key = describe(reads).await?;
        let key = key["key"].as_str().unwrap_or_default();
        let way = format!("an administrator lets it in with: guifi-registry approve {key}");
        if !cli.wait {
            return Err(error.hint(format!("{way}; guifi-join --wait goes on asking")));
        }
        if !told {
            say(&format!("{error}"));
            say(&way);
            say("waiting for the approval …");
            told = true;
        }
        tokio::time::sleep((begin.elapsed() / 8).clamp(ASK_AGAIN.0, ASK_AGAIN.1)).await;
    }
}

/// Whether a failure may be over in a moment.
fn is_passing(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, ..)
        if ["net.guifi.Error.Unavailable", "net.guifi.Error.TryLater"].contains(&name.as_str()))
}
