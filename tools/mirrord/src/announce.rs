//! The `mirror` record of this box: there as long as a whole tree is served.

use guifi_bus::RegistryProviderProxy;
use guifi_core::Error;
use serde_json::{Value, json};
use zbus::Connection;

use crate::book::KIND;
use crate::describe;
use crate::state::App;

/// Days that the record lives when this box is gone; the registry renews it until then.
const LIFETIME_SECONDS: u32 = 3 * 86_400;

/// What others should read, or nothing.
fn wanted(app: &App) -> Option<Value> {
    let settings = app.settings();
    let state = app.state();
    let served = state
        .listen
        .iter()
        .any(|listen| listen.state == "listening");
    let whole = !matches!(
        describe::tree(&state, &settings, jiff::Timestamp::now()).0,
        "empty" | "damaged"
    );
    let held = state
        .held
        .as_ref()
        .filter(|_| served && whole && state.joined == Some(true))?;
    Some(json!({
        "port": settings.port,
        "path": "/",
        "suite": settings.plan.suite,
        "date": held.release.date.to_string(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
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
    let suite = app.settings().plan.suite;
    match write(&bus, &suite, wanted.as_ref()).await {
        Ok(()) => {
            log::info!(
                "{}",
                if wanted.is_some() {
                    "announced"
                } else {
                    "no longer announced"
                }
            );
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
    if let Err(e) = write(&bus, &app.settings().plan.suite, None).await {
        log::warn!("{e}; it ends by itself within three days");
    }
}

async fn write(bus: &Connection, suite: &str, body: Option<&Value>) -> Result<(), Error> {
    let failed = |e| guifi_bus::error("cannot announce the mirror", e);
    let provider = RegistryProviderProxy::new(bus).await.map_err(failed)?;
    match body {
        Some(body) => {
            let body = body.to_string();
            provider
                .put(KIND, suite, &body, LIFETIME_SECONDS)
                .await
                .map(drop)
                .map_err(failed)
        }
        None => provider.remove(KIND, suite).await.map_err(failed),
    }
}
