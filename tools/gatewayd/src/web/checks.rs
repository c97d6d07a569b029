//! Checks and repairs over HTTP: of one thing, and of all that can be reached from it.

use std::io;

use bytes::Bytes;
use futures_util::stream::unfold;
use guifi_tahoe::base32;
use guifi_tahoe::cap::{Cap, Object};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::reply::{self, Reply, with_type};
use super::request::Arguments;
use crate::check::{self, Visit, Wanted};
use crate::engine::Engine;
use crate::problem::Problem;

/// Lines that wait for the client.
const WAITING: usize = 8;

/// Answers `t=check`, `t=stream-deep-check` and `t=stream-manifest`.
///
/// # Errors
/// If it cannot be checked.
pub(crate) async fn answer(
    engine: &Engine,
    cap: Cap,
    arguments: &Arguments,
) -> Result<Reply, Problem> {
    let wanted = Wanted {
        verify: arguments.flag("verify")?,
        repair: arguments.flag("repair")?,
        lease: arguments.flag("add-lease")?,
    };
    match arguments.t() {
        "check" => {
            let (_, found) = one(engine, &cap, wanted).await?;
            let is_json = arguments
                .get("output")
                .is_some_and(|o| o.eq_ignore_ascii_case("json"));
            Ok(if is_json {
                reply::json(&found)
            } else {
                let summary = found
                    .pointer("/summary")
                    .or(found.pointer("/pre-repair-results/summary"));
                let text = summary.and_then(Value::as_str).unwrap_or("Healthy (LIT)");
                reply::text(StatusCode::OK, format!("{text}\n"))
            })
        }
        "stream-deep-check" => Ok(lines(engine, cap, Some(wanted))),
        _ => Ok(lines(engine, cap, None)),
    }
}

/// A check in Tahoe's form, with the name it has in the lines of a deep check.
async fn one(engine: &Engine, cap: &Cap, wanted: Wanted) -> Result<(&'static str, Value), Problem> {
    if !wanted.repair {
        let literal = || json!({"storage-index": "", "results": {"healthy": true}});
        let report = check::check(engine, cap, wanted).await?;
        let found = report.map_or_else(literal, |report| report.json());
        return Ok(("check-results", found));
    }
    let name = "check-and-repair-results";
    let Some(repaired) = check::repair(engine, cap, wanted).await? else {
        return Ok((
            name,
            json!({"storage-index": "", "repair-attempted": false}),
        ));
    };
    let before = repaired.before.json();
    let (after, error) = match &repaired.after {
        None => (before.clone(), None),
        Some(Ok(after)) => (after.json(), None),
        Some(Err(e)) => (before.clone(), Some(e.to_string())),
    };
    let successful = after.pointer("/results/healthy") == Some(&Value::Bool(true));
    let mut found = json!({
        "storage-index": before["storage-index"],
        "repair-attempted": repaired.after.is_some(),
        "repair-successful": repaired.after.is_some() && successful,
        "pre-repair-results": before,
        "post-repair-results": after,
    });
    if let Some(error) = error {
        found["repair-error"] = error.into();
    }
    Ok((name, found))
}

/// A line of JSON for everything that is reached, and one with numbers at the end.
fn lines(engine: &Engine, root: Cap, wanted: Option<Wanted>) -> Reply {
    let (sender, receiver) = mpsc::channel::<Bytes>(WAITING);
    let engine = engine.clone();
    tokio::spawn(async move {
        let (visits, mut visited) = mpsc::channel(WAITING);
        let walking = check::walk(&engine, root, visits);
        let mut stats = Stats::default();
        let telling = async {
            while let Some(visit) = visited.recv().await {
                stats.add(&visit);
                let line = line(&engine, &visit, wanted).await;
                if sender.send(line).await.is_err() {
                    break;
                }
            }
            drop(visited);
        };
        let (walked, ()) = tokio::join!(walking, telling);
        let last = match walked {
            Ok(()) => json!({"type": "stats", "stats": stats.json()}).to_string() + "\n",
            Err(e) => format!("ERROR: {e}\n"),
        };
        // Who went away does not miss it.
        let _ = sender.send(last.into()).await;
    });
    let stream = unfold(receiver, |mut receiver| async {
        let line = receiver.recv().await?;
        Some((Ok::<_, io::Error>(Frame::data(line)), receiver))
    });
    let body = StreamBody::new(stream).boxed_unsync();
    with_type(StatusCode::OK, "text/plain; charset=utf-8", body)
}

async fn line(engine: &Engine, visit: &Visit, wanted: Option<Wanted>) -> Bytes {
    let verifier = visit.cap.to_verifier().map(|cap| cap.to_string());
    let index = visit
        .cap
        .storage_index()
        .map(|index| base32::encode(&index));
    let kind = match &visit.cap {
        Cap::Directory(_) => "directory",
        Cap::File(_) => "file",
        Cap::Unknown(_) => "unknown",
    };
    let mut about = json!({
        "path": visit.path,
        "cap": visit.cap.to_string(),
        "type": kind,
        "verifycap": verifier.clone().unwrap_or_default(),
        "repaircap": verifier.unwrap_or_default(),
        "storage-index": index.unwrap_or_default(),
    });
    if let Some(wanted) = wanted.filter(|_| kind != "unknown") {
        match one(engine, &visit.cap, wanted).await {
            Ok((name, found)) => about[name] = found,
            Err(e) => return format!("ERROR: {}: {e}\n", visit.path.join("/")).into(),
        }
    }
    (about.to_string() + "\n").into()
}

/// What was reached, in the words of Tahoe's deep statistics.
#[derive(Default)]
struct Stats {
    counts: [u64; 5],
    sizes: [u64; 2],
    largest_directory_children: u64,
    largest_immutable_file: u64,
}

impl Stats {
    fn add(&mut self, visit: &Visit) {
        const DIRECTORY: usize = 3;
        const UNKNOWN: usize = 4;
        let kind = match &visit.cap {
            Cap::Directory(_) => DIRECTORY,
            Cap::Unknown(_) => UNKNOWN,
            Cap::File(Object::Chk(cap)) => {
                self.sizes[0] += cap.size;
                self.largest_immutable_file = self.largest_immutable_file.max(cap.size);
                0
            }
            Cap::File(Object::Literal(bytes)) => {
                self.sizes[1] += bytes.len() as u64;
                1
            }
            Cap::File(_) => 2,
        };
        self.counts[kind] += 1;
        self.largest_directory_children = self.largest_directory_children.max(visit.entries as u64);
    }

    fn json(&self) -> Map<String, Value> {
        let [immutable, literal, mutable, directories, unknown] = self.counts;
        let [immutable_size, literal_size] = self.sizes;
        let pairs = [
            ("count-files", immutable + literal + mutable),
            ("count-immutable-files", immutable),
            ("count-literal-files", literal),
            ("count-mutable-files", mutable),
            ("count-directories", directories),
            ("count-unknown", unknown),
            ("size-immutable-files", immutable_size),
            ("size-literal-files", literal_size),
            (
                "largest-directory-children",
                self.largest_directory_children,
            ),
            ("largest-immutable-file", self.largest_immutable_file),
        ];
        pairs
            .into_iter()
            .map(|(name, number)| (name.to_owned(), number.into()))
            .collect()
    }
}
