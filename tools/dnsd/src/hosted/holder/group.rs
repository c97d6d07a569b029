//! Updates, in groups: those that come while others are being written share the next write, and
//! each is answered when what it did is on the disk and can be asked for.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

use guifi_core::Error;
use hickory_proto::op::ResponseCode;

use super::super::View;
use super::super::blob::{self, Delta};
use super::super::draft::{Changes, Draft};
use super::super::store::Step;
use super::{Holding, Order};
use crate::name::Name;
use crate::update::Request;
use crate::update::apply::apply;

/// Updates of one group: more wait for the next.
const GROUP: usize = 512;

/// Updates under way.
#[derive(Default)]
struct Group {
    /// What they change, and how many changed something.
    changes: BTreeMap<(Name, View), (Changes, u32)>,
    done: Vec<(Request, ResponseCode)>,
}

impl Holding {
    /// Does an update, with those that wait behind it; gives the order that came next.
    pub(super) fn update(&mut self, first: Request, inbox: &Receiver<Order>) -> Option<Order> {
        let mut group = Group::default();
        self.try_update(&mut group, first);
        let next = loop {
            if group.done.len() >= GROUP {
                break None;
            }
            match inbox.try_recv() {
                Ok(Order::Update(request)) => self.try_update(&mut group, *request),
                Ok(other) => break Some(other),
                Err(_) => break None,
            }
        };
        let changed = self.commit(group.changes);
        for (request, code) in group.done {
            // What others have read may be what could not be kept.
            let kept = changed.is_some();
            request.answer(if kept { code } else { ResponseCode::ServFail });
        }
        self.fold(&changed.unwrap_or_default());
        next
    }

    fn try_update(&self, group: &mut Group, request: Request) {
        let code = match self.attempt(group, &request) {
            Ok(()) => ResponseCode::NoError,
            Err(code) => code,
        };
        group.done.push((request, code));
    }

    fn attempt(&self, group: &mut Group, request: &Request) -> Result<(), ResponseCode> {
        let held = self.zones.get(&request.zone);
        let content = held.and_then(|held| held.content.as_ref());
        // It may have gone meanwhile.
        let content = content.ok_or(ResponseCode::NotAuth)?;
        if held.is_some_and(|held| held.copy.is_some()) {
            return Err(ResponseCode::NotAuth); // its primary takes them
        }
        let before = group.changes.get(&request.zone).map(|(changes, _)| changes);
        let mut draft = Draft::new(content, before);
        apply(&request.message, &request.rights, &mut draft)?;
        let changes = draft.finish();
        if !changes.is_empty() {
            let (all, count) = group.changes.entry(request.zone.clone()).or_default();
            all.extend(changes);
            *count += 1;
        }
        Ok(())
    }

    /// Keeps what has changed, and publishes it; gives the zones. `None` if it could not be
    /// kept: then nothing has changed.
    fn commit(
        &mut self,
        changes: BTreeMap<(Name, View), (Changes, u32)>,
    ) -> Option<Vec<(Name, View)>> {
        let mut steps: Vec<((Name, View), Delta, Changes, u32)> = Vec::new();
        for (key, (changes, count)) in changes {
            let content = self.zones.get(&key).and_then(|held| held.content.as_ref());
            let Some(content) = content else { continue };
            let mut draft = Draft::of(content, changes);
            if let Some(delta) = draft.step() {
                steps.push((key, delta, draft.finish(), count));
            }
        }
        if steps.is_empty() {
            return Some(Vec::new());
        }
        for (key, ..) in &steps {
            if let Err(e) = self.make_up(key) {
                log::error!("{e}; updates are lost, which their senders are told");
                return None;
            }
        }
        let written: Vec<Step<'_>> = steps
            .iter()
            .map(|(key, delta, _, updates)| Step {
                key: (&key.0, key.1),
                delta,
                updates: *updates,
            })
            .collect();
        let kept = match &mut self.store {
            Some(store) => store.append(&written),
            None => Err(Error::failed("there is no database")),
        };
        if let Err(e) = kept {
            log::error!("{e}; updates are lost, which their senders are told");
            return None;
        }
        let mut changed = Vec::with_capacity(steps.len());
        for (key, _, changes, count) in steps {
            if let Some(held) = self.zones.get_mut(&key) {
                if let Some(content) = &mut held.content {
                    content.apply(changes);
                }
                held.updates = held.updates.saturating_add(count);
                held.published = None;
            }
            changed.push(key);
        }
        self.publish_these(&changed);
        Some(changed)
    }

    /// Writes those zones anew whose changes have become many.
    pub(super) fn fold(&mut self, changed: &[(Name, View)]) {
        let Some(store) = &mut self.store else { return };
        for zone in changed {
            let (name, key) = (&zone.0, (&zone.0, zone.1));
            let held = self.zones.get(zone).filter(|_| store.is_due(key));
            if let Some(held) = held
                && let Some(content) = &held.content
                && let Err(e) = store.fold(key, &blob::whole(content), held.updates)
            {
                log::warn!("{e}; the changes of {name} stay many");
            }
        }
    }
}
