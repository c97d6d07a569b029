//! The document of `Describe`; see net.guifi.Storage1(5).

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::announce;
use crate::state::App;
use crate::store::{Advisory, Result, Store};

/// How many advisories are shown.
const ADVISORIES: u32 = 20;

/// What the books say.
struct Books {
    shares: u64,
    leases: u64,
    advisories: (u64, Vec<Advisory>),
    oldest_check: Option<i64>,
}

fn books(store: &Store) -> Result<Books> {
    Ok(Books {
        shares: store.count()?,
        leases: store.leases()?,
        advisories: store.advisories(ADVISORIES)?,
        oldest_check: store.oldest_check()?,
    })
}

/// The whole document.
///
/// # Errors
/// Those of the disk.
pub(crate) async fn describe(app: &App) -> Result<Value> {
    let books = app.blocking(books).await?;
    let figures = app.shop.store.figures();
    let announcement = announce::announcement(app).to_body().unwrap_or_default();
    let state = app.state();
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &app.shop.counters;
    let time = |second: i64| Timestamp::from_second(second).ok();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "joined": state.own.as_ref().map(|own| own.joined),
        "open": app.is_open(),
        "listen": state.listen,
        "streams": state.streams,
        "announced": state.published.is_some(),
        "announcement": announcement,
        "space": {
            "given_bytes": figures.given,
            "used_bytes": figures.used,
            "pledged_bytes": figures.pledged,
            "free_bytes": figures.available,
        },
        "shares": books.shares,
        "leases": books.leases,
        "uploads": app.shop.store.open_uploads(),
        "advisories": {"count": books.advisories.0, "latest": books.advisories.1},
        "scrub": {
            "since_start": state.scrubbed,
            "oldest_check": books.oldest_check.and_then(time),
        },
        "last_collection": state.collected.map(|(at, done)| json!({
            "at": at,
            "files": done.files,
            "size_bytes": done.size_bytes,
            "wait_seconds": done.wait_seconds,
        })),
        "damaged_database": app.found.set_aside,
        "rebuilt_shares": app.found.rebuilt,
        "counters": {
            "requests": load(&counters.requests),
            "refused": load(&counters.refused),
            "received_bytes": load(&counters.received),
            "sent_bytes": load(&counters.sent),
            "connections": app.door.count(),
        },
    }))
}
