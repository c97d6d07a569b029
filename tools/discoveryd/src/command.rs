//! The commands `guifi-publish`, `guifi-unpublish` and `guifi-browse`.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};

use futures_util::StreamExt as _;
use guifi_bus::{DiscoveryAdminProxy, DiscoveryProxy, read_lines};
use guifi_core::{Error, Kind};
use serde_json::Value;
use zbus::{OwnedVariant, Variant};

use crate::cli::{Browse, Publish, Unpublish};
use crate::words;

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}

/// Text from elsewhere, without what a terminal would obey.
fn tame(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

pub(crate) async fn publish(cli: &Publish) -> Result<(), Error> {
    let failed = |e| guifi_bus::error("cannot publish the service", e);
    let connection = guifi_bus::connect().await?;
    let admin = DiscoveryAdminProxy::new(&connection)
        .await
        .map_err(failed)?;
    let mut options: HashMap<&str, OwnedVariant> = HashMap::new();
    options.insert("global", cli.global.into());
    for (key, text) in [("host", &cli.host), ("check", &cli.check)] {
        if let Some(text) = text
            && let Ok(value) = Variant::from(text.clone()).try_into()
        {
            options.insert(key, value);
        }
    }
    let txt: Vec<&str> = cli.txt.iter().map(String::as_str).collect();
    let document = admin
        .publish(
            &cli.name,
            &cli.r#type,
            cli.port.unwrap_or_default(),
            &txt,
            options,
        )
        .await
        .map_err(failed)?;
    if cli.json {
        return print(&format!("{document}\n"));
    }
    let done: Value = serde_json::from_str(&document).unwrap_or_default();
    let seen_by = tame(done["seen_by"].as_str().unwrap_or_default());
    print(&format!(
        "'{}' is published; seen by: {seen_by}\n",
        tame(&cli.name)
    ))?;
    if done["healthy"] == false {
        return print(&format!(
            "it does not answer on port {} yet: shown as unhealthy until it does\n",
            done["port"]
        ));
    }
    Ok(())
}

pub(crate) async fn unpublish(cli: &Unpublish) -> Result<(), Error> {
    let failed = |e| guifi_bus::error("cannot unpublish the service", e);
    let connection = guifi_bus::connect().await?;
    let admin = DiscoveryAdminProxy::new(&connection)
        .await
        .map_err(failed)?;
    let kind = cli.r#type.as_deref().unwrap_or_default();
    let count = admin.unpublish(&cli.name, kind).await.map_err(failed)?;
    print(&match (cli.json, count) {
        (true, _) => format!("{{\"unpublished\":{count}}}\n"),
        (false, 1) => format!("'{}' is no longer published\n", tame(&cli.name)),
        (false, _) => format!(
            "{count} services '{}' are no longer published\n",
            tame(&cli.name)
        ),
    })
}

pub(crate) async fn browse(cli: &Browse) -> Result<(), Error> {
    let failed = |e| guifi_bus::error("cannot browse", e);
    let connection = guifi_bus::connect().await?;
    let discovery = DiscoveryProxy::new(&connection).await.map_err(failed)?;
    // Subscribed before the first look: nothing falls between.
    let mut changes = discovery.receive_changed().await.map_err(failed)?;
    let kind = cli.r#type.as_deref().unwrap_or_default();
    let zone = cli.zone.as_deref().unwrap_or_default();
    let mut known = Vec::new();
    let mut first = true;
    loop {
        let lines = discovery
            .browse(kind, cli.scope.word(), zone)
            .await
            .map_err(failed)?;
        let mut found: Vec<Value> = read_lines(lines)?;
        found.sort_by_cached_key(|s| {
            let word = |m: &str| s[m].as_str().unwrap_or_default().to_lowercase();
            (
                word("scope"),
                words::of(s["type"].as_str().unwrap_or_default()),
                word("name"),
                word("box"),
            )
        });
        if first {
            print(&if cli.json {
                lines_of(&found)
            } else {
                table(&found)
            })?;
        } else {
            print(&difference(&known, &found, cli.json))?;
        }
        if !cli.watch {
            return Ok(());
        }
        (known, first) = (found, false);
        if changes.next().await.is_none() {
            return Err(Error::new(Kind::Unavailable, "the bus is gone"));
        }
    }
}

fn lines_of(services: &[Value]) -> String {
    services.iter().map(|s| format!("{s}\n")).collect()
}

/// What tells two services apart while watching.
fn identity(service: &Value) -> String {
    ["scope", "owner", "type", "name", "box"]
        .map(|m| service[m].to_string())
        .join("\u{1f}")
}

/// What came, changed and went since the last look.
fn difference(before: &[Value], now: &[Value], json: bool) -> String {
    let old: BTreeMap<String, &Value> = before.iter().map(|s| (identity(s), s)).collect();
    let new: BTreeMap<String, &Value> = now.iter().map(|s| (identity(s), s)).collect();
    let mut out = String::new();
    let mut say = |event: &str, sign: char, service: &Value| {
        if json {
            let mut service = service.clone();
            service["event"] = event.into();
            out.push_str(&format!("{service}\n"));
        } else {
            out.push_str(&format!("{sign} {}\n", row(service).join("  ")));
        }
    };
    for (key, service) in &new {
        match old.get(key) {
            None => say("added", '+', service),
            Some(was) if was != service => say("changed", '~', service),
            Some(_) => {}
        }
    }
    for (key, service) in &old {
        if !new.contains_key(key) {
            say("removed", '-', service);
        }
    }
    out
}

const HEAD: [&str; 7] = ["NAME", "KIND", "BOX", "ZONE", "ADDRESS", "STATE", "SEEN"];

fn row(service: &Value) -> [String; 7] {
    let text = |m: &str| tame(service[m].as_str().unwrap_or_default());
    let local = service["scope"] == "local";
    let address = service["addresses"]
        .as_array()
        .and_then(|a| a.first()?.as_str());
    let port = service["port"].as_u64();
    let place = match (address, port) {
        (Some(address), Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
        (Some(address), Some(port)) => format!("{address}:{port}"),
        (None, Some(port)) => format!(":{port}"),
        (_, None) => "-".to_owned(),
    };
    let host = text("host");
    let (name_of_box, zone) = if local {
        (
            host.trim_end_matches(".local").to_owned(),
            "(this link)".to_owned(),
        )
    } else {
        (text("box"), text("zone"))
    };
    let kind = words::of(&text("type"));
    [
        text("name"),
        kind,
        name_of_box,
        zone,
        place,
        text("state"),
        age(service["seen_at"].as_str()),
    ]
}

/// How long ago, in the largest unit.
fn age(seen: Option<&str>) -> String {
    let Some(seen) = seen.and_then(|s| s.parse::<jiff::Timestamp>().ok()) else {
        return String::new();
    };
    let seconds = (jiff::Timestamp::now().as_second() - seen.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

fn table(services: &[Value]) -> String {
    if services.is_empty() {
        return "no services found\n".to_owned();
    }
    let rows: Vec<[String; 7]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(services.iter().map(row))
        .collect();
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, w)| format!("{cell:w$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_speaks_in_words() {
        let service = json!({"name": "Photos\u{1b}[2J", "type": "_http._tcp", "scope": "community", "box": "vic-01",
            "zone": "vic", "addresses": ["fd00::1"], "port": 80, "state": "live", "seen_at": null});
        let shown = table(&[service]);
        assert!(
            shown.contains("Photos [2J  Web site  vic-01  vic   [fd00::1]:80  live"),
            "{shown}"
        );
        assert_eq!(table(&[]), "no services found\n");
    }

    #[test]
    fn watching_prints_what_came_changed_and_went() {
        let service = |name: &str, state: &str| json!({"name": name, "type": "_x._tcp", "scope": "community", "state": state});
        let before = [service("a", "live"), service("b", "live")];
        let now = [service("b", "stale"), service("c", "live")];
        let events: Vec<String> = difference(&before, &now, true)
            .lines()
            .map(|l| {
                serde_json::from_str::<Value>(l)
                    .map(|v| format!("{} {}", v["event"], v["name"]))
                    .unwrap_or_default()
            })
            .collect();
        assert_eq!(
            events,
            [r#""changed" "b""#, r#""added" "c""#, r#""removed" "a""#]
        );
    }
}
