//! Copies of other servers' zones: what their primaries sent is checked, kept and served; how
//! old it is, is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::super::View;
use super::super::blob::{self, Delta};
use super::super::check::check;
use super::super::content::Content;
use super::super::rrset::newer;
use super::super::spec::{Server, Source};
use super::{Held, Holding, soa};
use crate::name::Name;
use crate::secondary::apply::apply;
use crate::secondary::timers::{Age, Moment, Times, wait};
use crate::secondary::{Event, Followed, Plan, Register, Reply, Told};

/// What the source of a zone that is a copy begins with.
const SOURCE: &str = "primaries";

/// What is kept as the source of a copy: where the portal says that it comes from, so that it can
/// be followed also before the portal's data are there.
fn kept_source(source: &Source) -> Vec<u8> {
    let mut text = SOURCE.to_owned();
    if let Source::PortalPrimaries(service, primaries) = source {
        text += &format!(" {service}");
        for primary in primaries {
            text += &format!(" {}", primary.address);
        }
    }
    text.into_bytes()
}

/// The primaries that the portal named for a service, by what was kept of it.
pub(super) fn named(source: &[u8], service: u64) -> Option<Vec<Server>> {
    let text = std::str::from_utf8(source).ok()?;
    let rest = text.strip_prefix(&format!("{SOURCE} {service} "))?;
    let server = |word: &str| {
        let address = word.parse().ok()?;
        Some(Server { address, key: None })
    };
    rest.split(' ').map(server).collect()
}

/// A zone that is followed, beside its records.
pub(super) struct Copy {
    followed: Arc<Followed>,
    age: Option<Age>,
    expired: bool,
    /// Primaries in vain since the last that was of use.
    failures: u32,
    trouble: Option<String>,
    last: Option<SocketAddr>,
    /// Seconds since 1970.
    checked: Option<u64>,
    next: u64,
    expires: Option<u64>,
}

/// How it stands with the primaries of a zone; see net.guifi.Dns1(5).
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The one that was of use last.
    pub primary: Option<String>,
    /// When one was last seen to have nothing newer.
    pub checked: Option<String>,
    /// When one is asked next.
    pub next_check: Option<String>,
    /// From when on the copy is not answered from.
    pub expires: Option<String>,
    /// Whether that is so already.
    pub expired: bool,
    /// Why the last attempt was in vain.
    pub trouble: Option<String>,
}

/// A time for people and programs.
fn time(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.to_string())
}

impl Copy {
    pub(super) fn is_expired(&self) -> bool {
        self.expired
    }

    pub(super) fn report(&self) -> Report {
        Report {
            primary: self.last.map(|address| address.to_string()),
            checked: self.checked.and_then(time),
            next_check: time(self.next),
            expires: self.expires.and_then(time),
            expired: self.expired,
            trouble: self.trouble.clone(),
        }
    }
}

/// The intervals that a zone asks for.
fn times(held: &Held) -> Option<Times> {
    let (_, soa) = soa(held.content.as_ref()?)?;
    Some(Times::from(&soa))
}

fn serial(content: &Content) -> Option<u32> {
    soa(content).map(|(_, soa)| soa.serial)
}

impl Holding {
    /// Lets a zone be followed if it has primaries, and not if it has none.
    pub(super) fn begin_copy(&mut self, key: &(Name, View), held: &mut Held) {
        let Some(primaries) = held.spec.source.primaries() else {
            held.copy = None;
            return;
        };
        let primaries = primaries.to_vec();
        if !held.source.starts_with(SOURCE.as_bytes()) {
            // Another zone, of which only the name is the same.
            (held.content, held.published, held.fault) = (None, None, None);
        }
        held.source = kept_source(&held.spec.source);
        if (held.copy.as_ref()).is_some_and(|copy| copy.followed.primaries == primaries) {
            return;
        }
        let kept = self.store.as_ref().map(|store| store.age((&key.0, key.1)));
        let age = kept.and_then(Result::ok).flatten();
        held.copy = Some(Copy {
            followed: Arc::new(Followed::new(key.0.clone(), key.1, primaries)),
            age: age.filter(|_| held.content.is_some()),
            expired: false,
            failures: 0,
            trouble: None,
            last: None,
            checked: None,
            next: 0,
            expires: None,
        });
        look(held, &Moment::now());
    }

    /// Writes down who is followed.
    pub(super) fn enter(&self) {
        let copies = self.zones.values().filter_map(|held| held.copy.as_ref());
        let register = Register::new(copies.map(|copy| copy.followed.clone()));
        self.register.send_replace(Arc::new(register));
    }

    /// Takes what there is about a copy; no reply if it is none any more.
    pub(super) fn copy(&mut self, told: Told) {
        let key = (told.zone.zone.clone(), told.zone.view);
        let Some(mut held) = self.zones.remove(&key) else {
            return;
        };
        let now = Moment::now();
        let was_expired = held.copy.as_ref().is_some_and(Copy::is_expired);
        let copy = held.copy.as_ref();
        let reply = match copy.is_some_and(|copy| Arc::ptr_eq(&copy.followed, &told.zone)) {
            true => self.event(&key, &mut held, told.event, &now),
            false => None,
        };
        if held
            .copy
            .as_ref()
            .is_some_and(|copy| copy.expired != was_expired)
        {
            held.published = None;
        }
        let changed = held.published.is_none() && held.content.is_some();
        self.zones.insert(key.clone(), held);
        match changed {
            true => self.publish_these(&[key]),
            false => self.tell(&key),
        }
        if let Some(reply) = reply {
            let _ = told.reply.send(reply); // it ended in between
        }
    }

    fn event(
        &mut self,
        key: &(Name, View),
        held: &mut Held,
        event: Event,
        now: &Moment,
    ) -> Option<Reply> {
        match event {
            Event::Begun | Event::Due => {}
            Event::Confirmed(primary) => self.confirm(key, held, primary, now),
            Event::Failed(trouble) => self.fail(key, held, trouble, now),
            Event::Whole(primary, records, force) => {
                let read = blob::each(&records).map_while(|record| record);
                let new = Content::of(&key.0, read);
                let old = held.content.as_ref().and_then(serial).filter(|_| !force);
                match (serial(&new), old) {
                    (Some(theirs), Some(ours)) if theirs == ours => {
                        self.confirm(key, held, primary, now);
                    }
                    (Some(theirs), Some(ours)) if !newer(theirs, ours) => {
                        let trouble =
                            format!("{primary}: its serial {theirs} is older than {ours}");
                        self.fail(key, held, trouble, now);
                    }
                    _ => self.take_copy(key, held, (primary, new, Ok(records)), now),
                }
            }
            Event::Changes(primary, deltas) => match apply(held.content.as_ref()?, &deltas) {
                Ok(new) => self.take_copy(key, held, (primary, new, Err(deltas)), now),
                Err(misfit) => {
                    let zone = &key.0;
                    log::warn!(
                        "the changes of {zone} from {primary} do not fit: {misfit}; all of it then"
                    );
                    return Some(Reply::Misfit);
                }
            },
        }
        look(held, now);
        let plan = plan(held, now)?;
        Some(Reply::Plan(plan))
    }

    fn confirm(&mut self, key: &(Name, View), held: &mut Held, primary: SocketAddr, now: &Moment) {
        let Some(copy) = &mut held.copy else { return };
        if copy.failures > 0 {
            log::info!("{} is followed again, at {primary}", key.0);
        }
        let age = Age::confirmed(now.clone());
        if let Some(store) = &mut self.store
            && let Err(e) = store.set_age((&key.0, key.1), &held.source, &age)
        {
            log::error!("{e}; the age of {} is not kept", key.0);
        }
        copy.age = Some(age);
        (copy.failures, copy.trouble, copy.last) = (0, None, Some(primary));
        held.fault = None;
    }

    fn fail(&mut self, key: &(Name, View), held: &mut Held, trouble: String, now: &Moment) {
        let Some(copy) = &mut held.copy else { return };
        if copy.trouble.as_ref() != Some(&trouble) {
            log::warn!("cannot follow {}: {trouble}; it is tried again", key.0);
        }
        copy.failures = copy.failures.saturating_add(1);
        copy.trouble = Some(trouble);
        copy.age = copy.age.as_ref().map(|age| age.counted(now));
        if let (Some(store), Some(age)) = (&mut self.store, &copy.age)
            && let Err(e) = store.set_age((&key.0, key.1), &held.source, age)
        {
            log::error!("{e}; the age of {} is not kept", key.0);
        }
    }

    /// Takes a new state with its records, or with the changes that led to it, unless it has
    /// faults.
    fn take_copy(
        &mut self,
        key: &(Name, View),
        held: &mut Held,
        (primary, new, brought): (SocketAddr, Content, Result<Vec<u8>, Vec<Delta>>),
        now: &Moment,
    ) {
        let findings = check(&new);
        if let Some(first) = findings.faults.first() {
            return self.fail(key, held, format!("{primary}: {first}"), now);
        }
        held.doubts = findings.doubts;
        let way = match brought {
            Ok(_) => "as a whole",
            Err(_) => "by its changes",
        };
        let (records, deltas) = match brought {
            Ok(records) => {
                let rises = |old: &&Content| match (serial(old), serial(&new)) {
                    (Some(old), Some(new)) => newer(new, old),
                    _ => false,
                };
                // Who follows us across a serial that fell gets everything.
                let old = held.content.as_ref().filter(rises);
                (
                    records,
                    old.map(|old| blob::between(old, &new))
                        .into_iter()
                        .collect(),
                )
            }
            Err(deltas) => (blob::pack(&new), deltas),
        };
        let age = Age::confirmed(now.clone());
        if let Some(store) = &mut self.store
            && let Err(e) =
                store.replace_copy((&key.0, key.1), &held.source, &records, &deltas, &age)
        {
            log::error!("{e}; {} is served, and not kept", key.0);
        }
        let serial = serial(&new).unwrap_or_default();
        log::info!(
            "{} has serial {serial} and {} records, {way} from {primary}",
            key.0,
            new.records()
        );
        held.content = Some(new);
        (held.published, held.fault) = (None, None);
        if let Some(copy) = &mut held.copy {
            copy.age = Some(age);
            (copy.failures, copy.trouble, copy.last) = (0, None, Some(primary));
        }
    }
}

/// Sees how old the copy is, and says so if that is too old.
fn look(held: &mut Held, now: &Moment) {
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
fn plan(held: &mut Held, now: &Moment) -> Option<Plan> {
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

#[cfg(test)]
mod tests;
