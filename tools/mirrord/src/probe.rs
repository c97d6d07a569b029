//! Looking at what sources offer, and judging it: which are up to date, which are frozen.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::source::Source;
use crate::sync::{Look, Plan, look};

/// How long a source may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// An index this much older than the newest one known is no delay any more.
const LAG: SignedDuration = SignedDuration::from_hours(72);

/// What a source is good for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It has the newest index.
    Ok,
    /// It has an index a little older: packages may be had there.
    Behind,
    /// Its index is old, or past its time: it serves yesterday for ever.
    Frozen,
    /// Its index is not signed by a key that is trusted, or makes no sense.
    Bad,
    /// It does not answer.
    Unreachable,
}

/// A source, and what was found there.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Found {
    pub(crate) url: String,
    /// The box, empty for an official host.
    #[serde(rename = "box")]
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) state: State,
    /// Why it is not used.
    pub(crate) reason: Option<String>,
    pub(crate) date: Option<Timestamp>,
    /// How long it took.
    pub(crate) took_ms: u64,
    /// How far away its zone is.
    #[serde(skip)]
    pub(crate) distance: usize,
}

/// A source to look at.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Where it may be; the first that answers counts.
    pub(crate) urls: Vec<String>,
    pub(crate) name: String,
    pub(crate) zone: String,
    /// How far away that is.
    pub(crate) distance: usize,
}

impl Candidate {
    /// One that is no box.
    pub(crate) fn official(source: &impl ToString) -> Self {
        Self {
            urls: vec![source.to_string()],
            name: String::new(),
            zone: String::new(),
            distance: usize::MAX,
        }
    }
}

impl Found {
    /// Of a candidate that nobody has looked at.
    fn unseen(candidate: &Candidate) -> Self {
        Self {
            url: candidate.urls.first().cloned().unwrap_or_default(),
            name: candidate.name.clone(),
            zone: candidate.zone.clone(),
            state: State::Unreachable,
            reason: Some("no address of it is known".into()),
            date: None,
            took_ms: 0,
            distance: candidate.distance,
        }
    }

    /// What a look at a candidate has brought.
    pub(crate) fn new(look: &Look, candidate: &Candidate) -> Self {
        let mut found = Self {
            url: look.source.to_string(),
            ..Self::unseen(candidate)
        };
        match &look.offer {
            Ok(offer) => {
                (found.state, found.reason) = (State::Ok, None);
                found.date = Some(offer.release.date);
            }
            Err(e) => {
                found.state = if look.answered {
                    State::Bad
                } else {
                    State::Unreachable
                };
                found.reason = Some(e.to_string());
            }
        }
        found
    }
}

/// Looks at all of them at once, in their order.
pub(crate) async fn all(candidates: Vec<Candidate>, plan: &Plan) -> Vec<(Found, Option<Look>)> {
    join_all(candidates.into_iter().map(|candidate| one(candidate, plan))).await
}

async fn one(candidate: Candidate, plan: &Plan) -> (Found, Option<Look>) {
    let mut found = Found::unseen(&candidate);
    let first = Instant::now();
    for url in &candidate.urls {
        if first.elapsed() >= PATIENCE {
            break;
        }
        let begin = Instant::now();
        let source = match Source::parse(url) {
            Ok(source) => source,
            Err(e) => {
                found.reason = Some(e.to_string());
                continue;
            }
        };
        match timeout(PATIENCE, look(source, plan)).await {
            Err(_) => found.reason = Some("no answer in time".into()),
            Ok(look) => {
                found = Found::new(&look, &candidate);
                found.took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
                if look.answered {
                    return (found, Some(look));
                }
            }
        }
    }
    (found, None)
}

/// Tells the frozen from the fresh: by the newest date among them and `known`, the newest seen
/// before, and by the time that an index sets itself. Dates count only as signed.
pub(crate) fn judge(found: &mut [(Found, Option<Look>)], known: Option<Timestamp>, now: Timestamp) {
    let newest = found.iter().filter_map(|(f, _)| f.date).chain(known).max();
    for (found, look) in found.iter_mut().filter(|(f, _)| f.state == State::Ok) {
        let Some((date, newest)) = found.date.zip(newest) else {
            continue;
        };
        let past = look
            .as_ref()
            .and_then(|look| look.offer.as_ref().ok())
            .and_then(|offer| offer.release.valid_until.filter(|until| *until < now));
        if let Some(until) = past {
            found.state = State::Frozen;
            found.reason = Some(format!("its index of {date} was valid until {until}"));
        } else if newest.duration_since(date) > LAG {
            found.state = State::Frozen;
            found.reason = Some(format!("its index is of {date}, there is one of {newest}"));
        } else if date < newest {
            found.state = State::Behind;
            found.reason = Some(format!("its index is of {date}, there is one of {newest}"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(date: &str) -> (Found, Option<Look>) {
        let found = Found {
            url: String::new(),
            name: String::new(),
            zone: String::new(),
            state: State::Ok,
            reason: None,
            date: Some(date.parse().unwrap()),
            took_ms: 1,
            distance: 0,
        };
        (found, None)
    }

    #[test]
    fn the_frozen_are_told_from_the_fresh() {
        let mut all = [
            found("2026-11-24T00:00:00Z"),
            found("2026-11-23T00:00:00Z"),
            found("2026-11-10T00:00:00Z"),
        ];
        let now = "2026-11-25T00:00:00Z".parse().unwrap();
        judge(&mut all, None, now);
        assert_eq!(
            all.each_ref().map(|(f, _)| f.state),
            [State::Ok, State::Behind, State::Frozen]
        );
        // One alone is known as frozen by what was seen before.
        let mut alone = [found("2026-11-10T00:00:00Z")];
        judge(
            &mut alone,
            Some("2026-11-24T00:00:00Z".parse().unwrap()),
            now,
        );
        assert_eq!(alone[0].0.state, State::Frozen);
        assert!(alone[0].0.reason.as_deref().unwrap().contains("2026-11-24"));
    }
}
