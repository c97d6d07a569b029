//! The services of this box: announced on the link, written to the registry, checked.

use std::collections::{BTreeMap, BTreeSet};

use guifi_bus::avahi::{AvahiEntryGroupProxy, AvahiServerProxy};
use guifi_bus::{Failure, RegistryProviderProxy};
use serde_json::{Value, json};
use zbus::{Connection, OwnedObjectPath};

use crate::avahi::{ANY, NO_REVERSE, group};
use crate::service::Service;
use crate::store::Store;

/// Failed checks in a row before others are told.
const FAILURES: u32 = 2;
/// Attempts to find a free name on the link.
const MAX_RENAMES: u32 = 20;
/// What Avahi answers when a program of this box has the name already.
const COLLISION: &str = "org.freedesktop.Avahi.CollisionError";
/// The kind of record.
const KIND: &str = "service";

/// Where a service comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// A command.
    Command,
    /// A file in services.d.
    Declared,
}

/// One service of this box.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) service: Service,
    pub(crate) source: Source,
    /// Whether it answers; not known yet before the first check.
    pub(crate) healthy: Option<bool>,
    failures: u32,
    group: Option<OwnedObjectPath>,
    /// Its name on the link, when settled.
    shown_as: Option<String>,
    renames: u32,
}

impl Active {
    fn new(service: Service, source: Source) -> Self {
        Self {
            service,
            source,
            healthy: None,
            failures: 0,
            group: None,
            shown_as: None,
            renames: 0,
        }
    }

    /// Takes the outcome of a check; says whether others must be told.
    fn checked(&mut self, answers: bool) -> bool {
        self.failures = if answers { 0 } else { self.failures + 1 };
        // The first look counts at once: who publishes is told.
        let now = answers
            || (self.healthy.is_some() && self.failures < FAILURES && self.healthy == Some(true));
        let changed = self.healthy != Some(now);
        self.healthy = Some(now);
        changed
    }

    fn body(&self) -> Value {
        let service = &self.service;
        let mut body = json!({
            "instance": service.name,
            "type": service.r#type,
            "port": service.port,
            "txt": service.txt,
            "check": String::from(service.check.clone()),
            "healthy": self.healthy.unwrap_or(true),
        });
        if let Some(host) = &service.host {
            body["host"] = json!({"name": host.name, "addresses": host.addresses});
        }
        body
    }

    pub(crate) fn json(&self) -> Value {
        let service = &self.service;
        json!({
            "name": service.name,
            "type": service.r#type,
            "port": service.port,
            "txt": service.txt,
            "global": service.global,
            "check": String::from(service.check.clone()),
            "host": service.host.as_ref().map(|h| &h.name),
            "healthy": self.healthy,
            "shown_as": self.shown_as,
            "source": match self.source {
                Source::Command => "command",
                Source::Declared => "declared",
            },
        })
    }
}

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
        active.checked(answers);
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

    /// Avahi is there and its names are settled.
    pub(crate) async fn link_up(&mut self) {
        self.link_up = true;
        self.announce_all().await;
    }

    /// Avahi is gone, and with it all that was announced.
    pub(crate) fn link_down(&mut self) {
        self.link_up = false;
        for active in self.active.values_mut() {
            (active.group, active.shown_as, active.renames) = (None, None, 0);
        }
    }

    async fn announce_all(&mut self) {
        let silent: Vec<(String, String)> = self
            .active
            .iter()
            .filter(|(_, a)| a.group.is_none())
            .map(|(k, _)| k.clone())
            .collect();
        for key in silent {
            self.announce(&key).await;
        }
    }

    async fn announce(&mut self, key: &(String, String)) {
        if !self.link_up {
            return;
        }
        let Some(active) = self.active.get_mut(key) else {
            return;
        };
        let mut name = active
            .shown_as
            .clone()
            .unwrap_or_else(|| active.service.name.clone());
        loop {
            let group = active.group.take();
            let added = add(&self.connection, group, &active.service, &name).await;
            match added {
                Ok(Some(path)) => {
                    active.group = Some(path);
                    active.shown_as = Some(name);
                    return;
                }
                // Taken by another program of this box: Avahi says so at once.
                Ok(None) if active.renames < MAX_RENAMES => {
                    active.renames += 1;
                    match give_way(&self.connection, &name).await {
                        Some(other) => name = other,
                        None => return,
                    }
                }
                Ok(None) => {
                    log::warn!("cannot announce '{name}' on the link: the name is taken");
                    return;
                }
                Err(e) => {
                    log::warn!("cannot announce '{name}' on the link: {e}");
                    return;
                }
            }
        }
    }

    /// Takes the news of an entry group.
    pub(crate) async fn group_changed(&mut self, path: &str, state: i32, error: &str) {
        let found = self
            .active
            .iter()
            .find(|(_, a)| a.group.as_ref().is_some_and(|g| g.as_str() == path));
        let Some(key) = found.map(|(key, _)| key.clone()) else {
            return;
        };
        let Some(active) = self.active.get_mut(&key) else {
            return;
        };
        match state {
            group::ESTABLISHED => active.renames = 0,
            group::COLLISION if active.renames < MAX_RENAMES => {
                active.renames += 1;
                let name = active
                    .shown_as
                    .clone()
                    .unwrap_or_else(|| active.service.name.clone());
                if let Some(other) = give_way(&self.connection, &name).await {
                    active.shown_as = Some(other);
                    self.announce(&key).await;
                }
            }
            group::COLLISION | group::FAILURE => {
                log::warn!(
                    "'{}' is not announced on the link: {error}",
                    active.service.name
                );
                (active.group, active.shown_as) = (None, None);
            }
            _ => {}
        }
    }

    async fn unannounce(&self, active: &Active) {
        let Some(path) = &active.group else { return };
        let freed = async {
            AvahiEntryGroupProxy::builder(&self.connection)
                .path(path.clone())
                .build()
                .await?
                .free()
                .await
        };
        if let Err(e) = freed.await {
            log::debug!("cannot free an entry group: {e}");
        }
    }

    async fn withdraw(&mut self, active: &Active) {
        self.unannounce(active).await;
        if active.service.global {
            self.remove_record(&active.service.record_name()).await;
        }
    }

    fn own_record(&mut self, record: &str) -> Result<(), Failure> {
        if self.store.records.iter().any(|r| r == record) {
            return Ok(());
        }
        let mut store = self.store.clone();
        store.records.push(record.to_owned());
        store.save()?;
        self.store = store;
        Ok(())
    }

    async fn put(&self, active: &Active) -> Result<(), Failure> {
        let failed = |e| Failure::from(guifi_bus::error("cannot publish to the community", e));
        let registry = RegistryProviderProxy::new(&self.connection)
            .await
            .map_err(failed)?;
        let name = active.service.record_name();
        registry
            .put(
                KIND,
                &name,
                &active.body().to_string(),
                self.lifetime_seconds,
            )
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Removes a record; one that is not there is as good as removed.
    async fn take_back(&mut self, record: &str) -> Result<(), Failure> {
        let removed = match RegistryProviderProxy::new(&self.connection).await {
            Ok(registry) => registry.remove(KIND, record).await,
            Err(e) => Err(e),
        };
        match removed {
            Ok(()) => {}
            Err(zbus::Error::MethodError(name, ..)) if name.as_str().ends_with(".NotFound") => {}
            Err(e) => {
                return Err(guifi_bus::error("cannot withdraw it from the community", e).into());
            }
        }
        let mut store = self.store.clone();
        store.records.retain(|r| r != record);
        store.save()?;
        self.store = store;
        Ok(())
    }

    async fn remove_record(&mut self, record: &str) {
        if let Err(e) = self.take_back(record).await {
            log::warn!("{e}; tried again when the registry returns");
        }
    }

    /// Brings the registry to what is wanted: after a start, a joining, a failure.
    pub(crate) async fn reconcile(&mut self) {
        let wanted: BTreeSet<String> = self
            .active
            .values()
            .filter(|a| a.service.global)
            .map(|a| a.service.record_name())
            .collect();
        for record in self.store.records.clone() {
            if !wanted.contains(&record) {
                self.remove_record(&record).await;
            }
        }
        let names: Vec<(String, String)> = self
            .active
            .iter()
            .filter(|(_, a)| a.service.global)
            .map(|(k, _)| k.clone())
            .collect();
        for key in names {
            let record = self.active[&key].service.record_name();
            let put = match self.own_record(&record) {
                Ok(()) => self.put(&self.active[&key]).await,
                Err(e) => Err(e),
            };
            if let Err(e) = put {
                log::warn!(
                    "'{}': {e}; tried again when the registry returns",
                    self.active[&key].service.name
                );
            }
        }
    }

    /// Services to check.
    pub(crate) fn to_check(&self) -> Vec<Service> {
        self.active.values().map(|a| a.service.clone()).collect()
    }

    /// Takes the outcome of checks; tells the community of changes.
    pub(crate) async fn checked(&mut self, outcomes: Vec<(Service, bool)>) -> bool {
        let mut any = false;
        for (service, answers) in outcomes {
            let Some(active) = self
                .active
                .get_mut(&service.key())
                .filter(|a| a.service == service)
            else {
                continue;
            };
            let before = active.healthy;
            if !active.checked(answers) {
                continue;
            }
            any = true;
            if before.is_some() {
                let state = if answers {
                    "answers again"
                } else {
                    "does not answer"
                };
                log::info!("'{}' {state}", service.name);
            }
            if service.global && (before.is_some() || !answers) {
                let active = &self.active[&service.key()];
                if let Err(e) = self.put(active).await {
                    log::warn!("'{}': {e}", service.name);
                }
            }
        }
        any
    }
}

/// The next name for a service whose name is another's.
async fn give_way(connection: &Connection, name: &str) -> Option<String> {
    let asked = async {
        AvahiServerProxy::new(connection)
            .await?
            .get_alternative_service_name(name)
            .await
    };
    match asked.await {
        Ok(other) => {
            log::info!("'{name}' is another's on this link: to be announced as '{other}'");
            Some(other)
        }
        Err(e) => {
            log::warn!("'{name}' is another's on this link, and no other name is found: {e}");
            None
        }
    }
}

/// Adds a service to a new or emptied group and commits it; none if its name is taken.
async fn add(
    connection: &Connection,
    group: Option<OwnedObjectPath>,
    service: &Service,
    name: &str,
) -> zbus::Result<Option<OwnedObjectPath>> {
    let path = match group {
        Some(path) => path,
        None => {
            AvahiServerProxy::new(connection)
                .await?
                .entry_group_new()
                .await?
        }
    };
    let group = AvahiEntryGroupProxy::builder(connection)
        .path(path.clone())
        .build()
        .await?;
    let filled = fill(&group, service, name).await;
    if !matches!(filled, Ok(true)) {
        // Not left behind in Avahi, which counts the groups of a client.
        let _ = group.free().await;
    }
    Ok(filled?.then_some(path))
}

/// Fills a group; false if the service's name is taken.
async fn fill(
    group: &AvahiEntryGroupProxy<'_>,
    service: &Service,
    name: &str,
) -> zbus::Result<bool> {
    group.reset().await?;
    let host = service
        .host
        .as_ref()
        .map(|h| format!("{}.local", h.name))
        .unwrap_or_default();
    if let Some(described) = &service.host {
        for address in &described.addresses {
            group
                .add_address(ANY, ANY, NO_REVERSE, &host, &address.to_string())
                .await?;
        }
    }
    let txt: Vec<&[u8]> = service.txt.iter().map(|t| t.as_bytes()).collect();
    let kind = &service.r#type;
    let added = group
        .add_service(ANY, ANY, 0, name, kind, "", &host, service.port, &txt)
        .await;
    match added {
        Err(zbus::Error::MethodError(error, ..)) if error.as_str() == COLLISION => Ok(false),
        Err(e) => Err(e),
        Ok(()) => group.commit().await.map(|()| true),
    }
}
