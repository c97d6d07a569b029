//! `guifi-mirror`: the mirror of this box, those of others, and what waits here.

use std::io::{self, Write as _};

use guifi_bus::{MirrorAdminProxy, MirrorProxy, connect};
use guifi_core::{Error, Root};
use serde_json::{Value, json};

use crate::cli::{Action, Command};
use crate::config::SUITE;
use crate::nearest::Mirror;
use crate::{apt, book};

pub(crate) async fn run(cli: &Command) -> Result<(), Error> {
    match cli.action {
        Action::Status => {
            let document =
                json!({"mirror": describe().await?, "updates": apt::status(&Root::from_env())});
            print(&if cli.json {
                format!("{document}\n")
            } else {
                status(&document)
            })
        }
        Action::Update => {
            let attempt = |e| guifi_bus::error("cannot update the mirror", e);
            let admin = MirrorAdminProxy::new(&connect().await?)
                .await
                .map_err(attempt)?;
            let document = read(&admin.update().await.map_err(attempt)?)?;
            print(&if cli.json {
                format!("{document}\n")
            } else {
                mirror(&document)
            })?;
            match document.pointer("/last_sync/error").and_then(Value::as_str) {
                Some(error) => Err(Error::failed(error)),
                None => Ok(()),
            }
        }
        Action::List => list(cli.json).await,
    }
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}

async fn describe() -> Result<Value, Error> {
    let attempt = |e| guifi_bus::error("cannot ask guifi-mirrord", e);
    let daemon = MirrorProxy::new(&connect().await?).await.map_err(attempt)?;
    read(&daemon.describe().await.map_err(attempt)?)
}

fn read(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text)
        .map_err(|e| Error::failed(format!("cannot read the answer of guifi-mirrord: {e}")))
}

/// A value for people, or a dash.
fn word(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn list_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `: REASON`, if there is one.
fn because(value: &Value) -> String {
    value["reason"]
        .as_str()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default()
}

fn mirror(document: &Value) -> String {
    let mut lines = Vec::new();
    let tree = &document["tree"];
    let mib = tree["size_bytes"].as_u64().unwrap_or_default() >> 20;
    lines.push(format!(
        "tree       {}{}",
        word(tree.get("state")),
        because(tree)
    ));
    lines.push(format!(
        "           index of {}, {} packages, {mib} MiB",
        word(tree.get("date")),
        word(tree.get("packages"))
    ));
    for listen in list_of(&document["listen"]) {
        let (address, state) = (word(listen.get("address")), word(listen.get("state")));
        lines.push(format!("serving    {address} {state}{}", because(listen)));
    }
    let told = match (
        document["announced"].as_bool(),
        document["joined"].as_bool(),
    ) {
        (Some(true), _) => "yes",
        (_, Some(false)) => "no: this box has not joined a community",
        (_, None) => "no: guifi-registryd does not answer",
        _ => "no",
    };
    lines.push(format!("announced  {told}"));
    let last = &document["last_sync"];
    match (last["error"].as_str(), last["at"].as_str()) {
        (Some(error), Some(at)) => lines.push(format!("last sync  {at} failed: {error}")),
        (None, Some(at)) => {
            lines.push(format!("last sync  {at} from {}", word(last.get("source"))))
        }
        (_, None) => lines.push("last sync  never".into()),
    }
    for source in list_of(&last["sources"]) {
        let name = source["box"]
            .as_str()
            .filter(|name| !name.is_empty())
            .unwrap_or("official");
        let (url, state) = (word(source.get("url")), word(source.get("state")));
        lines.push(format!(
            "source     {url} ({name}) {state}{}",
            because(source)
        ));
    }
    lines.join("\n") + "\n"
}

fn status(document: &Value) -> String {
    let mut text = mirror(&document["mirror"]);
    let updates = &document["updates"];
    let names = |member: &str| -> Vec<String> {
        list_of(&updates[member])
            .map(|entry| word(entry.get("package")))
            .collect()
    };
    let (pending, broken) = (names("pending"), names("broken"));
    let pending = if pending.is_empty() {
        "none".into()
    } else {
        pending.join(" ")
    };
    text += &format!("pending    {pending}\n");
    if !broken.is_empty() {
        text += &format!("failed     {}\n", broken.join(" "));
    }
    text
}

async fn list(as_json: bool) -> Result<(), Error> {
    let listing = book::list(&connect().await?, SUITE).await?;
    if !listing.own.joined {
        return Err(Error::failed("this box has not joined a community").hint("guifi-join"));
    }
    if as_json {
        let lines = listing
            .mirrors
            .iter()
            .map(|mirror| format!("{}\n", document(mirror)));
        return print(&lines.collect::<String>());
    }
    let mut text = format!(
        "{:<20} {:<16} {:<6} {:<22} STATE\n",
        "BOX", "ZONE", "PORT", "INDEX OF"
    );
    for mirror in &listing.mirrors {
        let state = if mirror.live { "live" } else { "stale" };
        let date = mirror
            .date
            .map_or_else(|| "-".into(), |date| date.to_string());
        let own = if mirror.own { ", this box" } else { "" };
        text += &format!(
            "{:<20} {:<16} {:<6} {date:<22} {state}{own}\n",
            mirror.name, mirror.zone, mirror.port
        );
    }
    print(&text)
}

fn document(mirror: &Mirror) -> Value {
    json!({
        "box": mirror.name,
        "zone": mirror.zone,
        "owner": mirror.owner,
        "port": mirror.port,
        "path": mirror.path,
        "date": mirror.date.map(|date| date.to_string()),
        "state": if mirror.live { "live" } else { "stale" },
        "own": mirror.own,
    })
}
