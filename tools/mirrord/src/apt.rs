//! `guifi-mirrord-apt`: APT's list of mirrors, apt-transport-mirror(1). APT itself neither turns to the
//! next mirror for an index that is not signed as it should be or whose server is gone, nor does
//! it notice one that is frozen; so the mirrors are looked at before each `apt update`, by a hook
//! of APT, and only good ones are put into the list. No daemon is needed for that, and no timer.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use guifi_core::{Error, Root, write_atomic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::cli::{Apt, AptAction};
use crate::config::{KEYRING, LIMITS, SUITE};
use crate::official::{self, Official};
use crate::probe::{Candidate, Found, State, all, judge};
use crate::sync::Plan;
use crate::{book, updates};

/// Our entry in APT's sources.
const SOURCES: &str = "/etc/apt/sources.list.d/guifi-mirrors.sources";
/// What APT reads.
const LIST: &str = "/var/lib/guifi/apt/mirrors.list";
/// What was found.
const REPORT: &str = "/var/lib/guifi/apt/mirrors.json";
/// Mirrors that are looked at.
const MAX_MIRRORS: usize = 6;
/// How long bus and registry may take together.
const PATIENCE: Duration = Duration::from_secs(5);
/// An empty list would be an error of every `apt update`; a server that is not there is not.
const NOBODY: &str = "http://127.0.0.1:7659/";

/// What is kept from one look to the next.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Report {
    checked_at: Option<Timestamp>,
    /// The newest index that was ever seen.
    newest: Option<Timestamp>,
    mirrors: Vec<Found>,
}

impl Report {
    fn load(root: &Root) -> Self {
        let text = fs::read_to_string(root.join(REPORT)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// Runs the command.
pub(crate) async fn run(cli: &Apt, root: &Root) -> Result<(), Error> {
    match cli.action {
        AptAction::Up => up(root),
        AptAction::Down => match fs::remove_file(root.join(SOURCES)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::failed(format!("cannot remove {SOURCES}: {e}")))
            }
            _ => Ok(()),
        },
        AptAction::Refresh => refresh(root).await,
        AptAction::Status => {
            let document = status(root);
            writeln!(io::stdout().lock(), "{document}").map_err(Error::stdout)
        }
    }
}

/// The document that `guifi-mirrord-apt status` prints.
pub(crate) fn status(root: &Root) -> Value {
    let mut document = updates::look();
    let report = serde_json::to_value(Report::load(root)).unwrap_or_default();
    if let (Some(document), Value::Object(report)) = (document.as_object_mut(), report) {
        document.extend(report);
    }
    document
}

/// The keys that our repository is trusted with on this machine.
fn keyring(officials: &[Official]) -> PathBuf {
    let given = officials
        .iter()
        .find_map(|official| official.keyring.clone());
    given.unwrap_or_else(|| KEYRING.into())
}

fn up(root: &Root) -> Result<(), Error> {
    let path = root.join(SOURCES);
    if path.exists() {
        return Ok(()); // whoever has changed it had a reason
    }
    let keyring = keyring(&official::find(root, SUITE));
    if !root.join(&keyring).exists() {
        return Err(Error::failed(format!(
            "cannot add the mirrors: there is no {}",
            keyring.display()
        ))
        .hint("install guifi-archive-keyring, then run: /usr/lib/guifi/guifi-mirrord-apt up"));
    }
    let text = format!(
        "# The mirrors of the community, kept by guifi-mirrord-apt(8). To do without them add the line\n\
         # Enabled: no\n\
         Types: deb\n\
         URIs: mirror+file:{LIST}\n\
         Suites: {SUITE}\n\
         Components: main\n\
         Signed-By: {}\n",
        keyring.display()
    );
    write_atomic(&path, text.as_bytes(), 0o644)
        .map_err(|e| Error::failed(format!("cannot write {SOURCES}: {e}")))
}

async fn refresh(root: &Root) -> Result<(), Error> {
    let officials = official::find(root, SUITE);
    let plan = Plan {
        suite: SUITE.into(),
        keyring: root.join(keyring(&officials)),
        limits: LIMITS,
        time: PATIENCE,
    };
    let mut candidates = timeout(PATIENCE, mirrors()).await.unwrap_or_default();
    candidates.extend(
        officials
            .iter()
            .map(|official| Candidate::official(&official.url)),
    );
    let before = Report::load(root);
    let mut found = all(candidates, &plan).await;
    judge(&mut found, before.newest, Timestamp::now());
    let mut mirrors: Vec<Found> = found.into_iter().map(|(found, _)| found).collect();
    mirrors.sort_by_key(|found| (found.state, found.distance, found.took_ms));
    let report = Report {
        checked_at: Some(Timestamp::now()),
        newest: mirrors
            .iter()
            .filter_map(|found| found.date)
            .chain(before.newest)
            .max(),
        mirrors,
    };
    let text = serde_json::to_string(&report).unwrap_or_default();
    for (path, text) in [(LIST, list(&report.mirrors)), (REPORT, text)] {
        write_atomic(&root.join(path), text.as_bytes(), 0o644)
            .map_err(|e| Error::failed(format!("cannot write {path}: {e}")))?;
    }
    for skipped in report.mirrors.iter().filter(|found| !found.name.is_empty()) {
        if let (State::Frozen | State::Bad, Some(reason)) = (skipped.state, &skipped.reason) {
            log::warn!("the mirror of {} is left out: {reason}", skipped.name);
        }
    }
    Ok(())
}

/// The mirrors of the community; none without bus or registry.
async fn mirrors() -> Vec<Candidate> {
    let ask = async {
        let connection = guifi_bus::connect().await?;
        let listing = book::list(&connection, SUITE).await?;
        Ok::<_, Error>(book::candidates(&connection, &listing, MAX_MIRRORS, None).await)
    };
    ask.await.unwrap_or_default()
}

/// The list: what is of use in its order, then official hosts that were not reached just now.
fn list(mirrors: &[Found]) -> String {
    let useful = |found: &&Found| matches!(found.state, State::Ok | State::Behind);
    let official = |found: &&Found| found.name.is_empty();
    let first = mirrors.iter().filter(useful);
    let last = mirrors
        .iter()
        .filter(|found| official(found) && !useful(found));
    let mut urls: Vec<&str> = first.chain(last).map(|found| found.url.as_str()).collect();
    if urls.is_empty() {
        urls.push(NOBODY);
    }
    let mut text = String::from("# Written by guifi-mirrord-apt(8) before each \"apt update\".\n");
    for (number, url) in urls.iter().enumerate() {
        text += &format!("{url}\tpriority:{}\n", number + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(url: &str, name: &str, state: State) -> Found {
        let mut found: Found = serde_json::from_value(serde_json::json!({
            "url": url, "box": name, "zone": "", "state": "ok", "reason": null, "date": null, "took_ms": 1
        }))
        .unwrap();
        found.state = state;
        found
    }

    #[test]
    fn the_list_has_what_is_of_use_and_is_never_empty() {
        let text = list(&[
            found("http://a/", "a", State::Ok),
            found("http://b/", "b", State::Behind),
            found("http://c/", "c", State::Frozen),
            found("http://d/", "d", State::Bad),
            found("http://o/", "", State::Unreachable),
        ]);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "http://a/\tpriority:1",
                "http://b/\tpriority:2",
                "http://o/\tpriority:3"
            ]
        );
        assert!(list(&[]).contains(NOBODY));
    }

    #[test]
    fn the_source_is_trusted_with_the_keys_of_the_official_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let sources = dir.path().join("etc/apt/sources.list.d");
        fs::create_dir_all(&sources).unwrap();
        fs::write(
            sources.join("guifi.sources"),
            "Types: deb\nURIs: http://x/\nSuites: guifi\nSigned-By: /etc/apt/keyrings/k.gpg\n",
        )
        .unwrap();
        assert!(up(&root).unwrap_err().to_string().contains("k.gpg"));
        fs::create_dir_all(root.join("/etc/apt/keyrings")).unwrap();
        fs::write(root.join("/etc/apt/keyrings/k.gpg"), "").unwrap();
        up(&root).unwrap();
        let path = root.join(SOURCES);
        assert!(
            fs::read_to_string(&path)
                .unwrap()
                .contains("Signed-By: /etc/apt/keyrings/k.gpg\n")
        );
        // Ours is no official host.
        assert_eq!(official::find(&root, SUITE).len(), 1);
        fs::write(&path, "Enabled: no\n").unwrap();
        up(&root).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "Enabled: no\n");
    }

    #[test]
    fn without_bus_and_sources_there_is_a_list_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("var/lib/guifi/apt")).unwrap();
        let root = Root::new(dir.path());
        fs::write(
            root.join(REPORT),
            "{\"newest\": \"2026-11-24T00:00:00Z\", \"mirrors\": 5",
        )
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(refresh(&root)).unwrap();
        assert!(fs::read_to_string(root.join(LIST)).unwrap().lines().count() >= 2);
        assert!(Report::load(&root).checked_at.is_some());
    }
}
