//! Keeping the tree up to date: when to synchronise, with whom, and what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use crate::config::Settings;
use crate::probe::{Candidate, Found, judge};
use crate::signature::signed_text;
use crate::source::{Source, blocking};
use crate::state::{App, Last};
use crate::tree::Held;
use crate::{announce, book, sync};

/// Mirrors of other boxes that are looked at.
const MAX_BOXES: usize = 4;
/// After a failure the next attempt comes sooner, but not sooner than this.
const AGAIN: Duration = Duration::from_secs(300);
/// Attempts follow each other no faster than this, whatever the registry says.
const PACE: Duration = Duration::from_secs(10);
/// The registry is waited for so long before the first synchronisation.
const PATIENCE: Duration = Duration::from_secs(15);
/// Everything is read and compared once in this time.
const FULL: Duration = Duration::from_secs(86_400);

/// Keeps the tree up to date.
pub(crate) async fn keep(app: Arc<App>) {
    // The first synchronisation should know the mirrors of others.
    let _ = timeout(PATIENCE, app.wake.notified()).await;
    let mut checked: Option<Instant> = None;
    loop {
        let joined = app.state().joined != Some(false);
        let asked = std::mem::take(&mut app.state().check);
        if joined {
            if asked || checked.is_none_or(|at| at.elapsed() >= FULL) {
                check(&app).await;
                checked = Some(Instant::now());
            }
            round(&app).await;
            announce::settle(&app).await;
        }
        app.rounds.send_modify(|round| *round += 1);
        let interval = app.settings().check;
        let failed = app
            .state()
            .last
            .as_ref()
            .is_some_and(|last| last.error.is_some());
        let pause = if failed {
            interval.min(AGAIN)
        } else {
            interval
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = app.wake.notified() => if !app.state().check { sleep(PACE).await },
        }
    }
}

/// Reads all that is held; what is damaged is no longer announced, and fetched again.
async fn check(app: &Arc<App>) {
    let Some(held) = app.state().held.clone() else {
        return;
    };
    let (tree, keyring) = (app.tree.clone(), app.settings().plan.keyring);
    let work = move || {
        let mut wrong = tree.check(&held);
        let signed = tree.inrelease().is_ok_and(|bytes| {
            signed_text(&keyring, &bytes).is_ok_and(|text| tree.shows(&bytes, &text))
        });
        if !signed {
            wrong.push("InRelease".into());
        }
        Ok(wrong)
    };
    let wrong = blocking(work).await.unwrap_or_default();
    if !wrong.is_empty() {
        log::warn!(
            "the tree is damaged, and repaired if there is a source: {}",
            wrong.join(", ")
        );
        app.state().damaged = wrong;
        announce::settle(app).await;
    }
}

async fn round(app: &Arc<App>) {
    let settings = app.settings();
    let candidates = candidates(app, &settings).await;
    let sources: Vec<(Source, &Candidate)> = candidates
        .iter()
        .flat_map(|c| {
            c.urls
                .iter()
                .filter_map(move |url| Some((Source::parse(url).ok()?, c)))
        })
        .collect();
    let held = app.state().held.clone();
    let plain = sources.iter().map(|(source, _)| source.clone()).collect();
    let outcome = sync::run(&settings.plan, &app.tree, held.as_ref(), plain).await;
    let known = held.as_ref().map(|held| held.release.date);
    let mut found: Vec<_> = outcome
        .looks
        .into_iter()
        .zip(&sources)
        .map(|(look, (_, candidate))| (Found::new(&look, candidate), Some(look)))
        .collect();
    judge(&mut found, known, Timestamp::now());
    let mut last = Last {
        at: Timestamp::now(),
        error: None,
        source: None,
        fetched: 0,
        sources: found.into_iter().map(|(found, _)| found).collect(),
    };
    for source in last.sources.iter().filter(|s| s.reason.is_some()) {
        log::debug!(
            "{}: {}",
            source.url,
            source.reason.as_deref().unwrap_or_default()
        );
    }
    let mut state = app.state();
    match outcome.result {
        Ok((new, source, fetched)) => {
            if fetched > 0 {
                tell(&new, &source, fetched);
            }
            (last.source, last.fetched) = (Some(source.to_string()), fetched);
            state.damaged.clear();
            state.held = Some(new);
        }
        Err(e) => {
            let repeated = state.last.as_ref().and_then(|last| last.error.as_ref());
            if repeated != Some(&e.to_string()) {
                log::warn!("cannot synchronise: {e}; serving what is held");
            }
            last.error = Some(e.to_string());
        }
    }
    state.last = Some(last);
}

fn tell(held: &Held, source: &Source, fetched: usize) {
    let date = held.release.date;
    log::info!(
        "{} packages, index of {date}; {fetched} files from {source}",
        held.packages.len()
    );
}

/// Mirrors of other boxes first, which spares the way to the official host; the newest index
/// counts in any case.
async fn candidates(app: &Arc<App>, settings: &Settings) -> Vec<Candidate> {
    let mut all = Vec::new();
    let (bus, held) = {
        let state = app.state();
        (
            state.bus.clone(),
            state.held.as_ref().map(|held| held.release.date),
        )
    };
    if let Some(bus) = bus.filter(|_| settings.boxes) {
        match book::list(&bus, &settings.plan.suite).await {
            Ok(mut listing) => {
                listing.mirrors.retain(|mirror| !mirror.own);
                all = book::candidates(&bus, &listing, MAX_BOXES, held).await;
            }
            Err(e) => log::debug!("{e}"),
        }
    }
    all.extend(settings.upstream.iter().map(Candidate::official));
    all
}
