//! Checks and repairs, told in words.

use guifi_core::terminal::{print, tame};
use guifi_core::{Error, Kind};
use hyper::Method;
use serde_json::Value;

use super::Session;
use crate::cli::Check;

/// Checks or repairs a place; fails if something is not healthy afterwards.
pub(super) async fn run(session: &Session, what: &Check, repair: bool) -> Result<(), Error> {
    let place = session.place(&what.place)?;
    let t = if what.recursive {
        "stream-deep-check"
    } else {
        "check"
    };
    let address = format!(
        "{}?t={t}&output=JSON&verify={}&repair={repair}&add-lease={}",
        place.address(),
        what.verify,
        what.lease
    );
    let mut all_healthy = true;
    if what.recursive {
        let mut said = Ok(());
        session
            .client
            .lines(&address, |line| {
                if let Some(error) = line.strip_prefix("ERROR: ") {
                    said = Err(Error::failed(tame(error)));
                    return Ok(());
                }
                let value: Value = serde_json::from_str(line).map_err(|e| {
                    Error::failed(format!("cannot read the answer of the gateway: {e}"))
                })?;
                if value["type"] == "stats" {
                    return Ok(());
                }
                all_healthy &= is_healthy(found(&value));
                show(session, &value, &name(&value))
            })
            .await?;
        said?;
    } else {
        let value = session.client.json(Method::POST, &address).await?;
        all_healthy = is_healthy(&value);
        show(session, &value, &what.place)?;
    }
    if all_healthy {
        Ok(())
    } else {
        Err(Error::silent(Kind::Failed))
    }
}

fn show(session: &Session, value: &Value, name: &str) -> Result<(), Error> {
    if session.json {
        print(&format!("{value}\n"))
    } else {
        print(&line(name, found(value)))
    }
}

/// The check in a line of a deep one.
fn found(value: &Value) -> &Value {
    value
        .get("check-results")
        .or_else(|| value.get("check-and-repair-results"))
        .unwrap_or(value)
}

fn name(value: &Value) -> String {
    let path = value["path"].as_array().into_iter().flatten();
    let names: Vec<&str> = path.filter_map(Value::as_str).collect();
    if names.is_empty() {
        ".".into()
    } else {
        names.join("/")
    }
}

/// What is there now: after the repair, if there was one.
fn now(found: &Value) -> &Value {
    found.get("post-repair-results").unwrap_or(found)
}

fn is_healthy(found: &Value) -> bool {
    // What has no shares is in its cap.
    found["storage-index"] == "" || now(found)["results"]["healthy"] == true
}

fn line(name: &str, found: &Value) -> String {
    let name = tame(name);
    if found["storage-index"] == "" {
        return format!("{name}: healthy, in its cap\n");
    }
    let results = &now(found)["results"];
    let number = |name: &str| results[name].as_u64().unwrap_or_default();
    let word = match (results["healthy"] == true, results["recoverable"] == true) {
        (true, _) => "healthy",
        (false, true) => "not healthy",
        (false, false) => "not readable now",
    };
    let mut text = format!(
        "{name}: {word}, {} of {} shares ({} needed) on {} servers",
        number("count-shares-good"),
        number("count-shares-expected"),
        number("count-shares-needed"),
        number("count-good-share-hosts")
    );
    let damaged = number("count-corrupt-shares");
    if damaged > 0 {
        text += &format!(", {damaged} damaged");
    }
    if found["repair-attempted"] == true {
        let outcome = if found["repair-successful"] == true {
            "repaired"
        } else {
            "repair failed"
        };
        let why = found["repair-error"]
            .as_str()
            .map(|e| format!(": {}", tame(e)));
        text += &format!(", {outcome}{}", why.unwrap_or_default());
    }
    text + "\n"
}
