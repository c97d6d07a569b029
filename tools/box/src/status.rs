//! `guifi-status`: asks every daemon for its state and says what is wrong and what to do.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use guifi_core::{Error, Kind, Root};
use serde_json::{Value, json};

use crate::checks::{self, Evidence, Part, State};
use crate::cli::Status;
use crate::firewall;
use crate::terminal::{print, say};

/// Between two looks while waiting.
const LOOK: Duration = Duration::from_secs(1);
/// How long one daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The program that knows of updates.
const APT: &str = "/usr/lib/guifi/guifi-mirrord-apt";

pub(crate) async fn run(cli: &Status) -> Result<(), Error> {
    let end = Instant::now() + Duration::from_secs(cli.timeout.min(24 * 3600));
    let mut told = false;
    // Asked once: it takes a second, and does not change while one waits.
    let updates = updates(&Root::from_env()).await;
    let parts = loop {
        let parts = checks::all(&Evidence {
            updates: updates.clone(),
            ..gather().await
        });
        if !cli.wait || worst(&parts) == State::Ok || Instant::now() >= end {
            break parts;
        }
        if !told {
            say("waiting …");
            told = true;
        }
        tokio::time::sleep(LOOK).await;
    };
    let worst = worst(&parts);
    print(&if cli.json {
        document(&parts, worst)
    } else {
        table(&parts)
    })?;
    match worst {
        State::Ok => Ok(()),
        State::Degraded => Err(Error::silent(Kind::Failed)),
        State::Down => Err(Error::silent(Kind::Unavailable)),
    }
}

fn worst(parts: &[Part]) -> State {
    parts.iter().map(|p| p.state).max().unwrap_or(State::Ok)
}

fn document(parts: &[Part], worst: State) -> String {
    let list: Vec<Value> = parts
        .iter()
        .map(|p| json!({"part": p.name, "state": p.state.word(), "reason": p.reason, "hint": p.hint}))
        .collect();
    format!("{}\n", json!({"state": worst.word(), "parts": list}))
}

fn table(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        out.push_str(&format!(
            "{:<10} {:<9} {}\n",
            part.name,
            part.state.word(),
            part.reason
        ));
        if let Some(hint) = &part.hint {
            out.push_str(&format!("{:<10} {:<9} → {hint}\n", "", ""));
        }
    }
    out
}

/// What guifi-mirrord-apt(8) says of the packages and mirrors of this box.
async fn updates(root: &Root) -> Result<Value, String> {
    let program = root.join(APT);
    let ask = move || {
        let done = Command::new(program)
            .arg("status")
            .stdin(Stdio::null())
            .output();
        let done = done.map_err(|e| format!("cannot run {APT}: {e}"))?;
        serde_json::from_slice(&done.stdout)
            .map_err(|e| format!("cannot read what {APT} says: {e}"))
    };
    let asked = tokio::task::spawn_blocking(ask).await;
    asked.unwrap_or_else(|e| Err(e.to_string()))
}

/// What every daemon says of itself, or why it says nothing.
async fn gather() -> Evidence {
    let mut evidence = Evidence {
        disk: checks::disk(&Root::from_env()),
        ..Evidence::default()
    };
    let connection = match guifi_bus::connect().await {
        Ok(connection) => connection,
        Err(e) => {
            evidence.bus = Some(e.to_string());
            return evidence;
        }
    };
    let ask = async |service: guifi_bus::Service| -> Result<Value, String> {
        let call = connection.call_method(
            Some(service.name),
            service.path,
            Some(service.name),
            "Describe",
            &(),
        );
        let reply = tokio::time::timeout(PATIENCE, call)
            .await
            .map_err(|_| "does not answer".to_owned())?
            .map_err(|e| guifi_bus::error("does not answer", e).to_string())?;
        let text: String = reply.body().deserialize().map_err(|e| e.to_string())?;
        serde_json::from_str(&text).map_err(|e| e.to_string())
    };
    evidence.peer = ask(guifi_bus::PEER).await;
    if evidence
        .peer
        .as_ref()
        .is_ok_and(|peer| !checks::peer::closed(peer).is_empty())
    {
        let looked = tokio::task::spawn_blocking(|| firewall::look(&Root::from_env())).await;
        evidence.firewall = looked.unwrap_or_default();
    }
    evidence.registry = ask(guifi_bus::REGISTRY).await;
    evidence.discovery = ask(guifi_bus::DISCOVERY).await;
    evidence.dns = ask(guifi_bus::DNS).await;
    if installed(&connection, guifi_bus::GATEWAY).await {
        evidence.gateway = Some(ask(guifi_bus::GATEWAY).await);
    }
    if installed(&connection, guifi_bus::PORTAL).await {
        evidence.portal = Some(ask(guifi_bus::PORTAL).await);
    }
    if installed(&connection, guifi_bus::STORAGE).await {
        evidence.storage = Some(ask(guifi_bus::STORAGE).await);
    }
    evidence
}

/// Whether a daemon runs, or could be started: not every box has all of them.
async fn installed(connection: &zbus::Connection, service: guifi_bus::Service) -> bool {
    let Ok(bus) = zbus::fdo::DBusProxy::new(connection).await else {
        return false;
    };
    let known = async || -> zbus::fdo::Result<bool> {
        let there = |names: &[zbus::names::OwnedBusName]| names.iter().any(|n| *n == service.name);
        Ok(there(&bus.list_names().await?) || there(&bus.list_activatable_names().await?))
    };
    let asked = tokio::time::timeout(PATIENCE, known()).await;
    asked.is_ok_and(|known| known.unwrap_or_default())
}
