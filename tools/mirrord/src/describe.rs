//! The document of `Describe` and of `guifi-mirror status --json`; see net.guifi.Mirror1(5).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::Settings;
use crate::state::{App, State};

/// How the tree is, in one word: `empty`, `damaged`, `frozen` or `ok`; with the reason.
pub(crate) fn tree(
    state: &State,
    settings: &Settings,
    now: Timestamp,
) -> (&'static str, Option<String>) {
    let Some(held) = &state.held else {
        let error = state.last.as_ref().and_then(|last| last.error.clone());
        return (
            "empty",
            error.or_else(|| Some("not synchronised yet".into())),
        );
    };
    if !state.damaged.is_empty() {
        return (
            "damaged",
            Some(format!(
                "not as they should be: {}",
                state.damaged.join(", ")
            )),
        );
    }
    let release = &held.release;
    if let Some(until) = release.valid_until.filter(|_| release.is_past(now)) {
        return ("frozen", Some(format!("the index was valid until {until}")));
    }
    let age = now.duration_since(release.date);
    if age > settings.max_age {
        return (
            "frozen",
            Some(format!("the index is {} days old", age.as_hours() / 24)),
        );
    }
    ("ok", None)
}

pub(crate) fn describe(app: &App) -> Value {
    let settings = app.settings();
    let now = Timestamp::now();
    let state = app.state();
    let (word, reason) = tree(&state, &settings, now);
    let (requests, bytes, connections) = app.shop.numbers();
    let held = state.held.as_ref();
    let seconds = |t: Timestamp| t.to_string();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "joined": state.joined,
        "listen": state.listen,
        "suite": settings.plan.suite,
        "upstream": settings.upstream.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tree": {
            "state": word,
            "reason": reason,
            "date": held.map(|h| seconds(h.release.date)),
            "valid_until": held.and_then(|h| h.release.valid_until).map(seconds),
            "age_seconds": held.map(|h| now.duration_since(h.release.date).as_secs()),
            "packages": held.map_or(0, |h| h.packages.len()),
            "size_bytes": held.map_or(0, |h| h.packages.values().map(|l| l.size).sum::<u64>()),
        },
        "announced": state.published.is_some(),
        "last_sync": state.last.as_ref().map(|last| json!({
            "at": seconds(last.at),
            "error": last.error,
            "source": last.source,
            "fetched": last.fetched,
            "sources": last.sources,
        })),
        "counters": {"requests": requests, "sent_bytes": bytes, "connections": connections},
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::release::Release;
    use crate::tree::{Files, Held};
    use guifi_core::Root;

    #[test]
    fn a_tree_that_is_frozen_or_damaged_is_said() {
        let settings = Settings::load(&Root::new("/nonexistent")).unwrap();
        let text = "Suite: guifi\nDate: Tue, 24 Nov 2026 08:36:22 +0000\nValid-Until: Thu, 24 Dec 2026 08:36:22 +0000\n";
        let release = Release::parse(text, "guifi").unwrap();
        let mut state = State::default();
        let now = |text: &str| text.parse().unwrap();
        assert_eq!(
            tree(&state, &settings, now("2026-11-25T00:00:00Z")).0,
            "empty"
        );
        state.held = Some(Held {
            release,
            packages: Files::new(),
        });
        assert_eq!(
            tree(&state, &settings, now("2026-11-25T00:00:00Z")),
            ("ok", None)
        );
        assert_eq!(
            tree(&state, &settings, now("2026-12-25T00:00:00Z")).0,
            "frozen"
        );
        state.held.as_mut().unwrap().release.valid_until = None;
        assert_eq!(tree(&state, &settings, now("2026-12-25T00:00:00Z")).0, "ok");
        assert!(
            tree(&state, &settings, now("2027-03-25T00:00:00Z"))
                .1
                .unwrap()
                .contains("120 days")
        );
        state.damaged.push("pool/x".into());
        assert!(
            tree(&state, &settings, now("2026-11-25T00:00:00Z"))
                .1
                .unwrap()
                .contains("pool/x")
        );
    }
}
