//! One synchronisation: the newest release among the sources, whole and checked, or nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use guifi_core::Error;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::packages;
use crate::release::{self, Listed, Release};
use crate::signature::signed_text;
use crate::source::{Source, blocking};
use crate::tree::{Files, Held, Limits, Tree};

/// How long a source may take to show its release.
const LOOK: Duration = Duration::from_secs(15);

/// What does not change from one synchronisation to the next.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The suite.
    pub suite: String,
    /// The keys that are trusted.
    pub keyring: PathBuf,
    /// Bounds.
    pub limits: Limits,
    /// How long it may take.
    pub time: Duration,
}

/// A release as a source shows it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// As it was fetched.
    pub inrelease: Vec<u8>,
    /// What was signed of it.
    pub text: String,
    /// What it says.
    pub release: Release,
}

/// What came of one source.
#[derive(Debug)]
pub struct Look {
    /// The source.
    pub source: Source,
    /// Whether it answered at all.
    pub answered: bool,
    /// Its release, or why there is none.
    pub offer: Result<Offer, Error>,
}

/// What came of it all.
#[derive(Debug)]
pub struct Outcome {
    /// What every source had to offer, in their order.
    pub looks: Vec<Look>,
    /// What is held now, the source that it is from, and the files fetched; or why nothing came.
    pub result: Result<(Held, Source, usize), Error>,
}

/// Fetches the release of a source and checks it.
pub async fn look(source: Source, plan: &Plan) -> Look {
    let path = format!("dists/{}/InRelease", plan.suite);
    let fetched = timeout(LOOK, source.small(&path, release::MAX_BYTES)).await;
    let answered = matches!(fetched, Ok(Ok(_)));
    let offer = match fetched {
        Err(_) => Err(Error::failed(format!(
            "cannot fetch {source}{path}: no answer in time"
        ))),
        Ok(Err(e)) => Err(e),
        Ok(Ok(inrelease)) => read(inrelease, plan).await.map_err(|e| e.context(&source)),
    };
    Look {
        source,
        answered,
        offer,
    }
}

async fn read(inrelease: Vec<u8>, plan: &Plan) -> Result<Offer, Error> {
    let (keyring, bytes) = (plan.keyring.clone(), inrelease.clone());
    let checked = tokio::task::spawn_blocking(move || signed_text(&keyring, &bytes)).await;
    let text = checked.map_err(|e| Error::failed(e.to_string()))??;
    let release = Release::parse(&text, &plan.suite)?;
    Ok(Offer {
        inrelease,
        text,
        release,
    })
}

/// Synchronises with the newest of the sources; among equals the first. An index older than
/// the one held is never taken.
pub async fn run(plan: &Plan, tree: &Tree, held: Option<&Held>, sources: Vec<Source>) -> Outcome {
    let looks = join_all(sources.into_iter().map(|source| look(source, plan))).await;
    let work = take(plan, tree, held, &looks);
    let result = match timeout(plan.time, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::failed(format!(
            "not finished within {} s",
            plan.time.as_secs()
        ))),
    };
    Outcome { looks, result }
}

async fn take(
    plan: &Plan,
    tree: &Tree,
    held: Option<&Held>,
    looks: &[Look],
) -> Result<(Held, Source, usize), Error> {
    let mut offers: Vec<(&Source, &Offer)> = looks
        .iter()
        .filter_map(|look| Some((&look.source, look.offer.as_ref().ok()?)))
        .collect();
    // Stable: among equals the nearest stays first.
    offers.sort_by_key(|(_, offer)| std::cmp::Reverse(offer.release.date));
    let oldest = held.map_or(Timestamp::MIN, |held| held.release.date);
    let mut problem = match (looks.first(), offers.first()) {
        (None, _) => Error::failed("there is no source: no upstream, and no other mirror"),
        (Some(_), Some((source, offer))) => Error::failed(format!(
            "the newest index, of {source}, is of {} and older than the one held, of {oldest}",
            offer.release.date
        )),
        (Some(look), None) => match &look.offer {
            Err(e) => Error::failed(format!("no source is of use; {e}")),
            Ok(_) => Error::failed("no source is of use"),
        },
    };
    for (source, offer) in &offers {
        if offer.release.date < oldest {
            break;
        }
        // The same index is on other sources, too: what one has damaged, another has whole.
        let alike = offers
            .iter()
            .filter(|(_, other)| other.text == offer.text)
            .map(|(s, _)| *s);
        let from: Vec<&Source> = std::iter::once(*source)
            .chain(alike.filter(|s| s != source))
            .collect();
        match complete(plan, tree, held, offer, &from).await {
            Ok((held, fetched)) => return Ok((held, (*source).clone(), fetched)),
            Err(e) => problem = e,
        }
    }
    Err(problem)
}

async fn complete(
    plan: &Plan,
    tree: &Tree,
    held: Option<&Held>,
    offer: &Offer,
    from: &[&Source],
) -> Result<(Held, usize), Error> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot keep the tree: {e}"));
    let release = &offer.release;
    let mut indices = BTreeMap::new();
    let total: u64 = release.files.values().map(|listed| listed.size).sum();
    if total > packages::MAX_BYTES {
        return Err(Error::failed("the indices are too large"));
    }
    let shown = tree.shows(&offer.inrelease, &offer.text);
    let whole = held.filter(|held| shown && held.release == *release && is_whole(tree, held));
    let mut packages = Files::new();
    match whole {
        Some(held) => packages = held.packages.clone(),
        None => {
            for (path, listed) in &release.files {
                let below = format!("dists/{}/{path}", plan.suite);
                let file = fetch(tree, &below, listed, from).await?;
                indices.insert(path.clone(), file);
            }
            for path in release.package_lists() {
                let file = indices[path].clone();
                let text = blocking(move || std::fs::read_to_string(file))
                    .await
                    .map_err(failed)?;
                packages::add(
                    &mut packages,
                    &text,
                    plan.limits.packages,
                    plan.limits.bytes,
                )?;
            }
        }
    }
    let missing = tree.missing(&packages);
    for (path, listed) in &missing {
        let file = fetch(tree, path, listed, from).await?;
        tree.place(&file, path).map_err(failed)?;
    }
    let fetched = indices.len() + missing.len();
    if whole.is_none() {
        let (tree, offer, packages) = (tree.clone(), offer.clone(), packages.clone());
        let before = held.map(|held| held.packages.clone()).unwrap_or_default();
        let swap = move || {
            let Offer {
                inrelease,
                text,
                release,
            } = &offer;
            tree.swap(inrelease, text, release, &indices, [&packages, &before])
        };
        blocking(swap).await.map_err(failed)?;
    }
    Ok((
        Held {
            release: release.clone(),
            packages,
        },
        fetched,
    ))
}

/// Whether the indices on the disk are what they should be.
fn is_whole(tree: &Tree, held: &Held) -> bool {
    let indices = Held {
        packages: Files::new(),
        ..held.clone()
    };
    tree.check(&indices).is_empty()
}

/// Fetches a file from the first source that has it as it should be.
async fn fetch(
    tree: &Tree,
    path: &str,
    listed: &Listed,
    from: &[&Source],
) -> Result<PathBuf, Error> {
    let into = tree.partial(path);
    let mut problem = None;
    for source in from {
        match source.large(path, listed, &into).await {
            Ok(()) => return Ok(into),
            Err(e) => {
                remove(&into);
                log::warn!("{e}; trying the next source");
                problem.get_or_insert(e);
            }
        }
    }
    Err(problem.unwrap_or_else(|| Error::failed(format!("nobody has {path}"))))
}

fn remove(path: &Path) {
    // Absent if nothing could be written.
    let _ = std::fs::remove_file(path);
}
