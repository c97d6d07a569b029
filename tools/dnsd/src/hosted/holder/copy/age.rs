//! How old a copy is, and what follows from that.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{Held, soa};
use super::serial;
use crate::secondary::Plan;
use crate::secondary::timers::{Moment, Times, wait};

/// A time for people and programs.
pub(super) fn time(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.to_string())
}

/// The intervals that a zone asks for.
fn times(held: &Held) -> Option<Times> {
    let (_, soa) = soa(held.content.as_ref()?)?;
    Some(Times::from(&soa))
}

/// Sees how old the copy is, and says so if that is too old.
pub(super) fn look(held: &mut Held, now: &Moment) {
    let times = times(held);
    let Some(copy) = &mut held.copy else { return };
    let seconds = copy.age.as_ref().map(|age| age.seconds(now));
    copy.checked = seconds.map(|age| now.wall.saturating_sub(age));
    copy.expires = None;
    let trouble = copy.trouble.clone();
    let Some(times) = times else {
        // Those of the portal are asked for at their servers, which may allow nothing else.
        held.fault = trouble.filter(|_| held.spec.source.portal().is_none());
        return;
    };
    // Without its age it may be as old as it likes.
    let age = seconds.unwrap_or(times.expire);
    copy.expires = Some((now.wall + times.expire).saturating_sub(age));
    let expired = age >= times.expire;
    if expired && !copy.expired {
        log::error!("{} is too old to answer from", copy.followed.zone);
    }
    copy.expired = expired;
    let since = copy.checked.and_then(time);
    let since = since.as_deref().unwrap_or("its beginning");
    let trouble = trouble.unwrap_or_else(|| "no primary was asked yet".into());
    held.fault = if expired {
        Some(format!(
            "too old to answer from, not confirmed since {since}: {trouble}"
        ))
    } else if age > times.refresh + times.retry && copy.failures > 0 {
        Some(format!("not confirmed since {since}: {trouble}"))
    } else {
        None
    };
}

/// How the zone is followed on.
pub(super) fn plan(held: &mut Held, now: &Moment) -> Option<Plan> {
    let times = times(held);
    let serial = held.content.as_ref().and_then(serial);
    let copy = held.copy.as_mut()?;
    let age = copy.age.as_ref().map(|age| age.seconds(now));
    let mut chance = [0; 8];
    let _ = getrandom::fill(&mut chance); // then all at once
    let chance = u64::from_ne_bytes(chance);
    // One that is kept without its age is asked about at once.
    let wait = wait(
        times.map(|times| (times, age.unwrap_or(times.refresh))),
        copy.failures,
        chance,
    );
    let start = Instant::now();
    copy.next = now.wall + wait.as_secs();
    let left = times
        .zip(age)
        .map(|(times, age)| times.expire.saturating_sub(age));
    let left = left.filter(|_| !copy.expired).map(Duration::from_secs);
    Some(Plan {
        serial,
        last: copy.last,
        check: start + wait,
        expire: left.and_then(|left| start.checked_add(left)),
    })
}
