//! Services of this box in the registry.

use std::collections::BTreeSet;

use guifi_bus::{Failure, RegistryProviderProxy};

use super::{Active, Publisher};

/// The kind of record.
const KIND: &str = "service";

impl Publisher {
    pub(super) fn own_record(&mut self, record: &str) -> Result<(), Failure> {
        if self.store.records.iter().any(|r| r == record) {
            return Ok(());
        }
        let mut store = self.store.clone();
        store.records.push(record.to_owned());
        store.save()?;
        self.store = store;
        Ok(())
    }

    pub(super) async fn put(&self, active: &Active) -> Result<(), Failure> {
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
    pub(super) async fn take_back(&mut self, record: &str) -> Result<(), Failure> {
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

    pub(super) async fn remove_record(&mut self, record: &str) {
        if let Err(e) = self.take_back(record).await {
            log::warn!("{e}; tried again when the registry returns");
        }
    }

    /// Brings the registry to what is wanted: after a start, a joining, a failure.
    pub(crate) async fn reconcile(&mut self) {
        let wanted: BTreeSet<String> = self
            .active
            .values()
            .filter(|a| a.service.global && !a.absent)
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
            .filter(|(_, a)| a.service.global && !a.absent)
            .map(|(k, _)| k.clone())
            .collect();
        for key in names {
            self.tell(&key).await;
        }
    }

    /// Brings the record of one service to what it is.
    pub(super) async fn tell(&mut self, key: &(String, String)) {
        let Some(active) = self.active.get(key) else {
            return;
        };
        let record = active.service.record_name();
        if active.absent {
            return self.remove_record(&record).await;
        }
        let put = match self.own_record(&record) {
            Ok(()) => self.put(&self.active[key]).await,
            Err(e) => Err(e),
        };
        if let Err(e) = put {
            let name = &self.active[key].service.name;
            log::warn!("'{name}': {e}; tried again when the registry returns");
        }
    }
}
