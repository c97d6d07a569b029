//! The `storage` record of this box: there as long as it serves in a community.

use std::collections::BTreeMap;

use guifi_bus::RegistryProviderProxy;
use guifi_core::Error;
use guifi_streams::Key;
use guifi_tahoe::announcement::{Announcement, KIND, MAX_NURLS, NAME, Nurl, ServerId};
use serde_json::{Value, json};
use zbus::Connection;

use crate::state::App;

/// Seconds that the record lives when this box is gone; the registry renews it until then.
const LIFETIME_SECONDS: u32 = 3 * 86_400;
/// In how many steps free space is told, so that the record changes seldom.
const STEPS: u64 = 16;

/// What this server says of itself, in a community or not.
pub(crate) fn announcement(app: &App) -> Announcement {
    let settings = app.settings();
    let figures = app.shop.store.figures();
    let own = app.state().own.clone().unwrap_or_default();
    let hosts = match settings.hosts.is_empty() {
        true => &own.addresses,
        false => &settings.hosts,
    };
    let nurl = |host: &String| Nurl {
        hash: app.identity.hash,
        host: host.clone(),
        port: settings.port,
        swissnum: app.identity.swissnum.clone(),
    };
    let key = own.key.filter(|_| own.joined);
    let key = key.and_then(|key| key.parse().ok());
    let step = (figures.given / STEPS).max(1);
    Announcement {
        server: ServerId(key.map_or(app.identity.own, |Key(key)| key)),
        tubid: app.identity.tubid,
        seed: app.identity.own,
        nickname: settings.nickname.or(own.name).unwrap_or_default(),
        nurls: hosts.iter().take(MAX_NURLS).map(nurl).collect(),
        given_bytes: figures.given,
        free_bytes: figures.available / step * step,
        other: BTreeMap::from([("version".to_owned(), json!(env!("CARGO_PKG_VERSION")))]),
    }
}

/// What others should read, or nothing.
fn wanted(app: &App) -> Option<Value> {
    let serves = {
        let state = app.state();
        let listens = state
            .listen
            .iter()
            .any(|listen| listen.state == "listening");
        (listens || state.streams) && state.own.as_ref().is_some_and(|own| own.joined)
    };
    serves.then(|| announcement(app).to_body().ok()).flatten()
}

/// Makes the record what it should be. What fails is tried again at the next occasion.
pub(crate) async fn settle(app: &App) {
    let wanted = wanted(app);
    let (bus, published) = {
        let state = app.state();
        (state.bus.clone(), state.published.clone())
    };
    let Some(bus) = bus.filter(|_| wanted != published) else {
        return;
    };
    match write(&bus, wanted.as_ref()).await {
        Ok(()) => {
            match (&published, &wanted) {
                (None, _) => log::info!("announced"),
                (_, None) => log::info!("no longer announced"),
                _ => {}
            }
            app.state().published = wanted;
        }
        Err(e) => log::warn!("{e}; trying again later"),
    }
}

/// Takes the record back, for good.
pub(crate) async fn withdraw(app: &App) {
    let (bus, published) = {
        let mut state = app.state();
        (state.bus.clone(), state.published.take())
    };
    let Some(bus) = bus.filter(|_| published.is_some()) else {
        return;
    };
    if let Err(e) = write(&bus, None).await {
        log::warn!("{e}; it ends by itself within three days");
    }
}

async fn write(bus: &Connection, body: Option<&Value>) -> Result<(), Error> {
    let failed = |e| guifi_bus::error("cannot announce the storage", e);
    let provider = RegistryProviderProxy::new(bus).await.map_err(failed)?;
    match body {
        Some(body) => provider
            .put(KIND, NAME, &body.to_string(), LIFETIME_SECONDS)
            .await
            .map(drop)
            .map_err(failed),
        None => provider.remove(KIND, NAME).await.map_err(failed),
    }
}
