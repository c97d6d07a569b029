//! How the gateway and its grid are: for `Describe`, for Tahoe's clients, and in words.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use guifi_core::terminal::tame;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::server::Server;

/// Servers that were quiet for so long are asked how they are.
const QUIET: Duration = Duration::from_secs(60);
/// How long who asks is kept waiting for them.
const WAIT: Duration = Duration::from_secs(5);
/// Servers that are asked at once.
const MOST: usize = 60;

/// Asks the servers of which nothing was heard lately.
pub(crate) async fn refresh(engine: &Engine) {
    let servers = engine.grid.servers();
    let quiet = servers
        .iter()
        .filter(|server| server.health.is_quiet(QUIET) && !server.health.rests());
    let asking = quiet.take(MOST).map(|server| async move {
        if let Err(e) = server.version().await {
            log::debug!("{}: {e}", server.about.id);
        }
    });
    // Who is late is shown as before.
    let _ = timeout(WAIT, join_all(asking)).await;
}

/// How a server is, in one word: `up`, `down` or `unknown`.
fn state(server: &Server) -> &'static str {
    match server.health.is_up() {
        Some(true) => "up",
        Some(false) => "down",
        None => "unknown",
    }
}

/// The document of `Describe` and of `guifi-store status --json`; see net.guifi.Gateway1(5).
pub(crate) fn describe(engine: &Engine) -> Value {
    let servers = engine.grid.servers();
    let settings = engine.settings.borrow().clone();
    let plan = settings.policy.plan(servers.len());
    let numbers = plan.as_ref().ok();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listen": settings.listen.map(|address| address.to_string()),
        "joined": *engine.joined.borrow(),
        "encoding": {
            "needed": numbers.map(|plan| plan.encoding.needed()),
            "happy": numbers.map(|plan| plan.happy),
            "total": numbers.map(|plan| plan.encoding.total()),
            "survives": numbers.map(crate::policy::Plan::survives),
            "error": plan.as_ref().err().map(ToString::to_string),
        },
        "servers": servers.iter().map(about).collect::<Vec<_>>(),
    })
}

fn about(server: &Arc<Server>) -> Value {
    let latency = server.health.latency();
    json!({
        "id": server.about.id,
        "nickname": tame(&server.about.nickname),
        "zone": tame(&server.about.zone),
        "state": state(server),
        "latency_ms": latency.map(|time| (time.as_secs_f64() * 1e4).round() / 10.0),
        "error": server.health.last_error(),
    })
}

/// What `GET /?t=json` says, in Tahoe's form.
pub(crate) fn as_tahoe(engine: &Engine) -> Value {
    let servers = engine.grid.servers();
    let servers: Vec<Value> = servers
        .iter()
        .map(|server| {
            let status = match server.health.is_up() {
                Some(false) => "not connected".to_owned(),
                _ => "connected".to_owned(),
            };
            json!({
                "nodeid": server.about.id,
                "nickname": tame(&server.about.nickname),
                "connection_status": status,
                "available_space": null,
                "version": null,
                "last_received_data": null,
            })
        })
        .collect();
    json!({"introducers": {"statuses": []}, "servers": servers})
}

/// The same for people.
pub(crate) fn in_words(engine: &Engine) -> String {
    words(&describe(engine))
}

/// A description in words; the promise comes first.
pub(crate) fn words(document: &Value) -> String {
    let encoding = &document["encoding"];
    let number = |name: &str| encoding[name].as_u64().unwrap_or_default();
    let mut text = match encoding["error"].as_str() {
        Some(error) => format!("files       cannot be stored: {error}\n"),
        None => {
            let promise = match number("survives") {
                0 => {
                    "nothing is redundant: a file is lost with any one box that holds it".to_owned()
                }
                1 => "a file survives the loss of any one box".to_owned(),
                boxes => format!("a file survives the loss of any {boxes} boxes"),
            };
            format!(
                "files       {promise}\n            any {} of {} shares bring one back\n",
                number("needed"),
                number("total")
            )
        }
    };
    let servers = document["servers"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    for server in servers {
        let word = |name: &str| server[name].as_str().unwrap_or_default();
        let time = server["latency_ms"].as_f64();
        let time = time.map(|time| format!("{time} ms")).unwrap_or_default();
        let name = match word("nickname") {
            "" => word("id"),
            name => name,
        };
        let cause = match word("error") {
            "" => String::new(),
            error => format!(" {error}"),
        };
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "server      {name:<24} {:<8} {:<16} {time}{cause}",
            word("state"),
            word("zone")
        );
    }
    text
}
