//! What Avahi says of the link.

use std::collections::BTreeMap;
use std::time::Instant;

use guifi_bus::avahi::AvahiServerProxy;
use zbus::{Message, OwnedObjectPath};

use super::{Found, Link, MAX_FOUND, MAX_RESOLVED, Place};
use crate::avahi::{ANY, tell};

/// What a resolver of Avahi says: interface, protocol, name, type, domain, host, protocol of the
/// address, address, port, TXT, flags.
type Resolved = (
    i32,
    i32,
    String,
    String,
    String,
    String,
    i32,
    String,
    u16,
    Vec<Vec<u8>>,
    u32,
);

fn place_of(resolved: Resolved) -> Place {
    let (_, _, _, _, _, host, _, address, port, txt, _) = resolved;
    let txt = txt.iter().map(|t| String::from_utf8_lossy(t).into_owned());
    Place {
        host,
        address: address.parse().ok(),
        port,
        txt: txt.collect(),
    }
}

impl Link {
    /// Takes a signal of Avahi; says whether what is known has changed.
    pub(crate) async fn hear(&self, message: &Message) -> bool {
        let header = message.header();
        let (Some(path), Some(interface), Some(member)) =
            (header.path(), header.interface(), header.member())
        else {
            return false;
        };
        let body = message.body();
        let changed = match (interface.as_str(), member.as_str()) {
            ("org.freedesktop.Avahi.ServiceTypeBrowser", "ItemNew") => {
                match body.deserialize::<(i32, i32, String, String, u32)>() {
                    Ok((_, _, kind, domain, _)) => self.found_type(kind, &domain).await,
                    Err(_) => false,
                }
            }
            ("org.freedesktop.Avahi.ServiceBrowser", "ItemNew") => match body.deserialize() {
                Ok(item) => self.heard_service(item).await,
                Err(_) => false,
            },
            ("org.freedesktop.Avahi.ServiceBrowser", "ItemRemove") => {
                body.deserialize().is_ok_and(|item| self.lost_service(item))
            }
            ("org.freedesktop.Avahi.ServiceResolver", answer) if self.is_asked(path.as_str()) => {
                let found = (answer == "Found").then(|| body.deserialize().ok().map(place_of));
                self.answer(path.as_str(), found.flatten());
                return false;
            }
            ("org.freedesktop.Avahi.ServiceResolver", "Found") => {
                let placed = body
                    .deserialize()
                    .is_ok_and(|f| self.placed(path.as_str(), f));
                self.free_resolver(path.as_str()).await;
                placed
            }
            ("org.freedesktop.Avahi.ServiceResolver", "Failure") => {
                self.free_resolver(path.as_str()).await;
                false
            }
            _ => return false,
        };
        self.changed.notify_one();
        changed
    }

    async fn found_type(&self, kind: String, domain: &str) -> bool {
        {
            let mut state = self.state();
            state.news = Some(Instant::now());
            if !state.browsing
                || state.types.len() >= MAX_FOUND
                || !state.types.insert(kind.clone())
            {
                return false;
            }
        }
        let browsed = async {
            let server = AvahiServerProxy::new(&self.connection).await?;
            let path = server
                .service_browser_prepare(ANY, ANY, &kind, domain, 0)
                .await?;
            self.state()
                .browsers
                .insert(path.as_str().to_owned(), path.clone());
            tell(&self.connection, &path, "ServiceBrowser", "Start").await
        };
        if let Err(e) = browsed.await {
            log::warn!("cannot browse {kind} on the link: {e}; going on without it");
        }
        false
    }

    async fn heard_service(&self, item: (i32, i32, String, String, String, u32)) -> bool {
        let (interface, protocol, name, kind, domain, _) = item.clone();
        let new = self.found_service(item);
        let instance = (name, kind);
        let suspect = {
            let state = self.state();
            state.resolvers.len() < MAX_RESOLVED
                && state.expected.contains(&instance.1.to_ascii_lowercase())
                && !state.resolvers.values().any(|i| *i == instance)
        };
        if suspect {
            let resolved = self.resolve(instance, &domain, (interface, protocol));
            if let Err(e) = resolved.await {
                log::debug!("cannot look at a service of the link: {e}");
            }
        }
        new
    }

    fn found_service(&self, item: (i32, i32, String, String, String, u32)) -> bool {
        let (interface, protocol, name, kind, domain, flags) = item;
        let mut state = self.state();
        state.news = Some(Instant::now());
        if state.found.len() >= MAX_FOUND {
            return false;
        }
        let found = state.found.entry((name, kind)).or_insert_with(|| Found {
            domain,
            seen: BTreeMap::new(),
            place: None,
        });
        let new = found.seen.is_empty();
        found.seen.insert((interface, protocol), flags);
        // It may have moved.
        found.place = None;
        new
    }

    fn lost_service(&self, item: (i32, i32, String, String, String, u32)) -> bool {
        let (interface, protocol, name, kind, ..) = item;
        let mut state = self.state();
        let key = (name, kind);
        let Some(found) = state.found.get_mut(&key) else {
            return false;
        };
        found.seen.remove(&(interface, protocol));
        if found.seen.is_empty() {
            state.found.remove(&key);
            return true;
        }
        false
    }

    fn placed(&self, path: &str, found: Resolved) -> bool {
        let mut state = self.state();
        state.news = Some(Instant::now());
        let Some(instance) = state.resolvers.get(path).cloned() else {
            return false;
        };
        let Some(known) = state.found.get_mut(&instance) else {
            return false;
        };
        known.place = Some(place_of(found));
        true
    }

    async fn free_resolver(&self, path: &str) {
        if self.state().resolvers.remove(path).is_none() {
            return;
        }
        if let Ok(path) = OwnedObjectPath::try_from(path.to_owned()) {
            // A resolver that is gone needs no freeing.
            let _ = tell(&self.connection, &path, "ServiceResolver", "Free").await;
        }
    }
}
