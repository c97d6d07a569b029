//! Copies of other servers' zones: what their primaries sent is checked, kept and served; how
//! old it is, is counted.

mod age;

use std::net::SocketAddr;
use std::sync::Arc;

use guifi_core::Error;
use serde::Serialize;

use self::age::{look, plan, time};
use super::super::View;
use super::super::blob::{self, Delta};
use super::super::check::check;
use super::super::content::Content;
use super::super::draft::Draft;
use super::super::rrset::newer;
use super::super::spec::{Server, Source};
use super::super::store::{Key, Step, Store};
use super::take::Unkept;
use super::{Held, Holding, soa};
use crate::name::Name;
use crate::secondary::apply::apply;
use crate::secondary::timers::{Age, Moment};
use crate::secondary::{Event, Followed, Register, Reply, Told};

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
            held.updates = 0;
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
        if changed {
            self.publish_these(std::slice::from_ref(&key));
            self.fold(&[key]);
        } else {
            self.tell(&key);
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
                    _ => self.take_copy(key, held, primary, new, Brought::Whole(records), now),
                }
            }
            Event::Changes(primary, deltas) => match apply(held.content.as_ref()?, &deltas) {
                Ok(changes) => {
                    let old = held.content.as_ref()?;
                    let mut new = old.clone();
                    new.apply(changes.clone());
                    let delta = Draft::of(old, changes).step()?;
                    self.take_copy(key, held, primary, new, Brought::Delta(delta), now);
                }
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

    /// Takes a new state, unless it has faults.
    fn take_copy(
        &mut self,
        key: &(Name, View),
        held: &mut Held,
        primary: SocketAddr,
        new: Content,
        brought: Brought,
        now: &Moment,
    ) {
        let findings = check(&new);
        if let Some(first) = findings.faults.first() {
            return self.fail(key, held, format!("{primary}: {first}"), now);
        }
        let way = match brought {
            Brought::Whole(_) => "as a whole",
            Brought::Delta(_) => "by its changes",
        };
        let age = Age::confirmed(now.clone());
        let kept = match &mut self.store {
            Some(store) => keep(store, (&key.0, key.1), held, &new, brought, &age),
            None => Err(Error::failed("there is no database")),
        };
        held.unkept = kept.err().map(|e| Unkept::new(&key.0, &e, None));
        let serial = serial(&new).unwrap_or_default();
        log::info!(
            "{} has serial {serial} and {} records, {way} from {primary}",
            key.0,
            new.records()
        );
        held.doubts = findings.doubts;
        held.content = Some(new);
        (held.published, held.fault) = (None, None);
        if let Some(copy) = &mut held.copy {
            copy.age = Some(age);
            (copy.failures, copy.trouble, copy.last) = (0, None, Some(primary));
        }
    }
}

/// What a new state came as.
enum Brought {
    /// All its records, one behind the other.
    Whole(Vec<u8>),
    /// The way from the state before.
    Delta(Delta),
}

/// Keeps the state `new` beside that of `held`.
fn keep(
    store: &mut Store,
    key: Key<'_>,
    held: &Held,
    new: &Content,
    brought: Brought,
    age: &Age,
) -> Result<(), Error> {
    match brought {
        Brought::Whole(records) => {
            let rises = |old: &&Content| match (serial(old), serial(new)) {
                (Some(old), Some(new)) => newer(new, old),
                _ => false,
            };
            // Who follows us across a serial that fell, or one that was not kept, gets everything.
            let old = held.content.as_ref().filter(rises);
            let old = old.filter(|_| held.unkept.is_none());
            let delta = old.map(|old| blob::between(old, new));
            store.replace_copy(key, &held.source, &records, delta.as_ref(), age)
        }
        Brought::Delta(delta) => {
            let (delta, updates) = (&delta, 0);
            let step = Step {
                key,
                delta,
                updates,
            };
            // The age may be older than the records: then it is asked about once more.
            if held.unkept.is_none() && store.append(&[step]).is_ok() {
                return store.set_age(key, &held.source, age);
            }
            store.replace_copy(key, &held.source, &blob::whole(new), None, age)
        }
    }
}

#[cfg(test)]
mod tests;
