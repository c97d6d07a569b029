//! What the keeper shows of itself, and the document of `Describe`; see net.guifi.Portal1(5).

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fetch::target::Target;
use crate::store::Source;

/// How it stands with a source.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Which.
    pub target: Target,
    /// Whether it is to be fetched.
    pub configured: bool,
    /// What is held of it.
    pub held: Option<Source>,
    /// When it is looked at next.
    pub next: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// The last one.
    pub error: Option<String>,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The portal.
    pub portal: String,
    /// All sources.
    pub sources: Vec<Standing>,
    /// What is being fetched.
    pub fetching: Option<Target>,
}

/// Where it hangs.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Arc<Overview>>>);

impl Board {
    /// Hangs up a new one.
    pub fn set(&self, overview: Overview) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(overview);
    }

    /// What hangs there.
    #[must_use]
    pub fn get(&self) -> Arc<Overview> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The document.
#[must_use]
pub fn describe(overview: &Overview, now: Timestamp) -> Value {
    let sources: Vec<Value> = overview.sources.iter().map(|s| source(s, now)).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "portal": overview.portal,
        "configured": overview.sources.iter().any(|source| source.configured),
        "fetching": overview.fetching.map(|target| target.to_string()),
        "sources": sources,
    })
}

fn source(standing: &Standing, now: Timestamp) -> Value {
    let held = standing.held.as_ref();
    let age = held.map(|held| now.duration_since(held.checked).as_secs().max(0));
    json!({
        "what": standing.target.kind.word(),
        "id": standing.target.id,
        "configured": standing.configured,
        "fetched": held.map(|held| held.fetched.to_string()),
        "checked": held.map(|held| held.checked.to_string()),
        "age_seconds": age,
        "generated": held.map(|held| held.generated.clone()),
        "entries": held.map(|held| held.entries),
        "faults": held.map(|held| held.faults),
        "next": standing.next.map(|next| next.to_string()),
        "failures": standing.failures,
        "error": standing.error,
    })
}
