//! Services of this box on the link, through Avahi.

use super::{Active, Publisher};
use crate::avahi::{ANY, group};
use crate::entry::{self, Entry};
use crate::service::Service;

/// Attempts to find a free name on the link.
const MAX_RENAMES: u32 = 20;

impl Publisher {
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

    pub(super) async fn announce_all(&mut self) {
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

    pub(super) async fn announce(&mut self, key: &(String, String)) {
        if !self.link_up {
            return;
        }
        let Some(active) = self.active.get_mut(key) else {
            return;
        };
        if active.service.heard.is_some() {
            // Its machine announces it.
            return;
        }
        let mut name = active
            .shown_as
            .clone()
            .unwrap_or_else(|| active.service.name.clone());
        loop {
            let group = active.group.take();
            let added =
                entry::add(&self.connection, group, &entry_of(&active.service, &name)).await;
            match added {
                Ok(Some(path)) => {
                    active.group = Some(path);
                    active.shown_as = Some(name);
                    return;
                }
                // Taken by another program of this box: Avahi says so at once.
                Ok(None) if active.renames < MAX_RENAMES => {
                    active.renames += 1;
                    match entry::give_way(&self.connection, &name).await {
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
                if let Some(other) = entry::give_way(&self.connection, &name).await {
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

    pub(super) async fn unannounce(&self, active: &Active) {
        if let Some(path) = &active.group {
            entry::free(&self.connection, path).await;
        }
    }
}

/// A service as it is shown on the link under `name`.
fn entry_of<'a>(service: &'a Service, name: &'a str) -> Entry<'a> {
    Entry {
        interface: ANY,
        name,
        kind: &service.r#type,
        host: service
            .host
            .as_ref()
            .map(|h| (format!("{}.local", h.name), h.addresses.as_slice())),
        port: service.port,
        txt: &service.txt,
    }
}
