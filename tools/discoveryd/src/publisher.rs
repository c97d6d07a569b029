//! The services of this box: announced on the link, written to the registry, checked.

mod active;
mod announce;
mod record;

use std::collections::BTreeMap;

use guifi_bus::Failure;
use serde_json::Value;
use zbus::Connection;

pub(crate) use active::{Active, Outcome, Seen, Source};

use crate::service::Service;
use crate::store::Store;

/// All services of this box.
pub(crate) struct Publisher {
    connection: Connection,
    store: Store,
    active: BTreeMap<(String, String), Active>,
    lifetime_seconds: u32,
    link_up: bool,
}

impl Publisher {
    pub(crate) fn new(connection: Connection, store: Store, lifetime_seconds: u32) -> Self {
        let active = store
            .services
            .iter()
            .map(|s| (s.key(), Active::new(s.clone(), Source::Command)))
            .collect();
        Self {
            connection,
            store,
            active,
            lifetime_seconds,
            link_up: false,
        }
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Active> {
        self.active.values()
    }

    pub(crate) fn set_lifetime(&mut self, seconds: u32) {
        self.lifetime_seconds = seconds;
    }

    /// Takes the declared services: new ones begin, changed ones begin anew, others end.
    pub(crate) async fn declare(&mut self, declared: Vec<Service>) {
        let mut wanted: BTreeMap<(String, String), Service> = BTreeMap::new();
        for service in declared {
            let key = service.key();
            if self
                .active
                .get(&key)
                .is_some_and(|a| a.source == Source::Command)
            {
                log::warn!(
                    "'{}' is published by command already: its declaration waits",
                    service.name
                );
                continue;
            }
            wanted.insert(key, service);
        }
        let stale: Vec<(String, String)> = self
            .active
            .iter()
            .filter(|(_, a)| a.source == Source::Declared)
            .filter(|(key, a)| wanted.get(*key) != Some(&a.service))
            .map(|(key, _)| key.clone())
            .collect();
        for key in stale {
            if let Some(active) = self.active.remove(&key) {
                self.withdraw(&active).await;
            }
        }
        for (key, service) in wanted {
            self.active
                .entry(key)
                .or_insert_with(|| Active::new(service, Source::Declared));
        }
        self.announce_all().await;
        self.reconcile().await;
    }

    /// Publishes a service for good. Nothing is left of one that fails.
    pub(crate) async fn publish(
        &mut self,
        service: Service,
        answers: bool,
    ) -> Result<Value, Failure> {
        let key = service.key();
        if self
            .active
            .get(&key)
            .is_some_and(|a| a.source == Source::Declared)
        {
            return Err(Failure::Taken(format!(
                "'{}' is declared in a file of services.d",
                service.name
            )));
        }
        let record = service.record_name();
        let mut active = Active::new(service.clone(), Source::Command);
        active.checked(answers.into());
        let previous = self
            .active
            .get(&key)
            .map(|a| (a.service.clone(), a.service.record_name()));
        if service.global {
            // Remembered as ours before it is written: a crash between leaves no orphan.
            self.own_record(&record)?;
            self.put(&active).await?;
        }
        let mut store = self.store.clone();
        store.services.retain(|s| s.key() != key);
        store.services.push(service);
        store.save().map_err(Failure::from)?;
        self.store = store;
        if let Some(old) = self.active.remove(&key) {
            self.unannounce(&old).await;
        }
        self.active.insert(key.clone(), active);
        if let Some((old, name)) = previous
            && old.global
            && (!self.active[&key].service.global || name != record)
        {
            self.remove_record(&name).await;
        }
        self.announce(&key).await;
        Ok(self.active[&key].json())
    }

    /// Stops publishing; says how many services that were.
    pub(crate) async fn unpublish(&mut self, name: &str, kind: &str) -> Result<u32, Failure> {
        let matching: Vec<(String, String)> = self
            .active
            .keys()
            .filter(|(k, n)| {
                *n == name.to_ascii_lowercase()
                    && (kind.is_empty() || *k == kind.to_ascii_lowercase())
            })
            .cloned()
            .collect();
        if let Some(declared) = matching
            .iter()
            .find(|k| self.active[*k].source == Source::Declared)
        {
            return Err(Failure::NotAllowed(format!(
                "'{}' is declared in a file of services.d: remove it there and reload guifi-discoveryd",
                self.active[declared].service.name
            )));
        }
        if matching.is_empty() {
            return Err(Failure::NotFound(format!(
                "this box does not publish '{name}'"
            )));
        }
        for key in &matching {
            let service = &self.active[key].service;
            if service.global {
                self.take_back(&service.record_name()).await?;
            }
        }
        let mut store = self.store.clone();
        store.services.retain(|s| !matching.contains(&s.key()));
        store.save().map_err(Failure::from)?;
        self.store = store;
        for key in &matching {
            if let Some(active) = self.active.remove(key) {
                self.unannounce(&active).await;
            }
        }
        Ok(u32::try_from(matching.len()).unwrap_or(u32::MAX))
    }

    async fn withdraw(&mut self, active: &Active) {
        self.unannounce(active).await;
        if active.service.global {
            self.remove_record(&active.service.record_name()).await;
        }
    }

    /// Services to check.
    pub(crate) fn to_check(&self) -> Vec<Service> {
        self.active.values().map(|a| a.service.clone()).collect()
    }

    /// Takes what looks have found; tells the community of changes.
    pub(crate) async fn checked(&mut self, looks: Vec<Seen>) -> bool {
        let mut any = false;
        for Seen { was, now, outcome } in looks {
            let key = was.key();
            let Some(active) = self.active.get_mut(&key).filter(|a| a.service == was) else {
                continue;
            };
            let before = active.healthy;
            let changed = active.checked(outcome);
            let moved = now != was;
            if !changed && !moved {
                continue;
            }
            any = true;
            if changed && before.is_some() {
                let state = match outcome {
                    Outcome::Answers => "answers again",
                    Outcome::Silent => "does not answer",
                    Outcome::Gone => "is no longer announced by its machine",
                };
                log::info!("'{}' {state}", was.name);
            }
            if moved {
                log::info!("'{}' has moved", was.name);
                self.moved(&key, now);
            }
            let told = moved || before.is_some() || outcome != Outcome::Answers;
            if was.global && told {
                self.tell(&key).await;
            }
        }
        any
    }

    /// Keeps a guest's service as it is now.
    fn moved(&mut self, key: &(String, String), now: Service) {
        let mut store = self.store.clone();
        for service in store.services.iter_mut().filter(|s| s.key() == *key) {
            *service = now.clone();
        }
        match store.save() {
            Ok(()) => self.store = store,
            Err(e) => log::warn!("{e}; the service is looked for again after a restart"),
        }
        if let Some(active) = self.active.get_mut(key) {
            active.service = now;
        }
    }
}
