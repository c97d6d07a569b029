//! What is done without being asked: idle uploads are dropped, leases collected, shares looked
//! at, the record kept. Nothing of it while the server is closed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use crate::announce;
use crate::state::App;
use crate::store::{Collected, Finding, Result};

/// Before the first collection after a start: others renew their leases first.
const SETTLING: Duration = Duration::from_secs(600);
/// Between two collections.
const DAY: Duration = Duration::from_secs(86_400);
/// Between two looks at what others should know.
const RECORD: Duration = Duration::from_secs(600);
/// After something failed.
const RETRY: Duration = Duration::from_secs(600);
/// After each share, so that small ones are no burst.
const BREATH: Duration = Duration::from_millis(20);

/// Drops uploads that nobody goes on with.
pub(crate) async fn uploads(app: Arc<App>) {
    loop {
        app.shop.began.notified().await;
        loop {
            let store = app.shop.store.clone();
            let next = tokio::task::spawn_blocking(move || store.drop_idle()).await;
            let Ok(Some(left)) = next else { break };
            sleep(Duration::from_secs(left.unsigned_abs().min(60))).await;
        }
    }
}

/// Collects once a day.
pub(crate) async fn leases(app: Arc<App>) {
    loop {
        app.until_open(true).await;
        sleep(SETTLING).await;
        if let Err(e) = collect(&app).await {
            log::warn!("cannot collect: {e}; trying again tomorrow");
        }
        sleep(DAY).await;
    }
}

/// Collects now.
pub(crate) async fn collect(app: &Arc<App>) -> Result<Collected> {
    let store = app.shop.store.clone();
    let grace = i64::try_from(app.settings().grace.as_secs()).unwrap_or(i64::MAX);
    let done = tokio::task::spawn_blocking(move || store.collect(grace)).await;
    let done = done.map_err(|e| crate::store::Fault::Disk(e.to_string()))??;
    if done.files > 0 {
        log::info!(
            "{} files whose leases are over were deleted, {} MiB",
            done.files,
            done.size_bytes >> 20
        );
    }
    app.state().collected = Some((Timestamp::now(), done));
    Ok(done)
}

/// Looks at shares, each in its turn, and at those that are suspect.
pub(crate) async fn shares(app: Arc<App>) {
    loop {
        app.until_open(true).await;
        let pause = match look(&app).await {
            Ok(Some(pause)) => pause,
            Ok(None) => continue,
            Err(e) => {
                log::warn!("cannot look at shares: {e}; trying again");
                RETRY
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = app.scrub.notified() => {
                app.state().scrubbed.round = Some(Timestamp::now().as_second());
            }
            () = app.shop.store.suspected() => {}
        }
    }
}

/// Looks at some shares; says how long to wait if none is due.
async fn look(app: &Arc<App>) -> Result<Option<Duration>> {
    let settings = app.settings();
    let period = i64::try_from(settings.scrub.as_secs()).unwrap_or(i64::MAX);
    let due = Timestamp::now().as_second() - period;
    let before = app.state().scrubbed.round.unwrap_or(due).max(due);
    let places = app
        .blocking(move |store| store.next_to_scrub(before))
        .await?;
    if places.is_empty() {
        app.state().scrubbed.round = None;
        let oldest = app.blocking(|store| store.oldest_check()).await?;
        let left = oldest.map_or(period, |oldest| oldest - due).max(3600);
        return Ok(Some(Duration::from_secs(left.unsigned_abs())));
    }
    let (mut sound, rate) = (Vec::new(), settings.scrub_rate);
    for place in places {
        let finding = app.blocking(move |store| store.scrub(place, rate)).await?;
        if matches!(finding, Finding::Sound { .. }) {
            sound.push(place);
        }
        app.state().scrubbed.add(&finding);
        sleep(BREATH).await;
    }
    app.blocking(move |store| store.note_sound(sound)).await?;
    Ok(None)
}

/// Keeps the record as it should be while space and addresses change.
pub(crate) async fn record(app: Arc<App>) {
    loop {
        app.until_open(true).await;
        sleep(RECORD).await;
        crate::bus::look_again(&app).await;
        announce::settle(&app).await;
    }
}
