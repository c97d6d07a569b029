//! `net.guifi.Storage1` on the system bus, and what the registry tells there. Without the bus
//! shares are served all the same, if the community is known already or does not matter.

use std::sync::Arc;

use guifi_bus::{Failure, Resident, STORAGE, reside};
use guifi_core::Error;
use guifi_streams::Key;
use guifi_tahoe::announcement::KIND;
use zbus::{Connection, connection, interface};

use crate::state::App;
use crate::store::Fault;
use crate::{announce, describe, keep, registry, streams};

struct Reads(Arc<App>);

struct Provider(Arc<App>);

struct Admin(Arc<App>);

fn failure(fault: Fault) -> Failure {
    match fault {
        Fault::TooMany => Failure::TryLater(fault.to_string()),
        fault => Failure::Failed(fault.to_string()),
    }
}

#[interface(name = "net.guifi.Storage1")]
impl Reads {
    async fn describe(&self) -> Result<String, Failure> {
        let document = describe::describe(&self.0).await.map_err(failure)?;
        Ok(document.to_string())
    }
}

#[interface(name = "net.guifi.Storage1.Provider")]
impl Provider {
    /// The account of this box itself, for its own gateway.
    async fn account(&self) -> Result<String, Failure> {
        let own = self.0.state().own.clone().unwrap_or_default();
        let key = own.key.filter(|_| own.joined);
        let key = key.and_then(|key| key.parse().ok());
        let key = key.unwrap_or(Key(self.0.identity.own));
        let owner = streams::owner(&self.0, key).await.map_err(failure)?;
        Ok(owner.document)
    }
}

#[interface(name = "net.guifi.Storage1.Admin")]
impl Admin {
    /// Every account with what it has here.
    async fn accounts(&self) -> Result<String, Failure> {
        let accounts = self.0.blocking(crate::store::Store::accounts).await;
        Ok(serde_json::Value::Array(accounts.map_err(failure)?).to_string())
    }

    /// Deletes what nobody wants any more, and says how much that was.
    async fn collect(&self) -> Result<String, Failure> {
        let done = keep::collect(&self.0).await.map_err(failure)?;
        serde_json::to_string(&done).map_err(|e| Failure::Failed(e.to_string()))
    }

    /// Has all shares looked at, beginning now.
    fn scrub(&self) {
        self.0.scrub.notify_one();
    }
}

/// The daemon as the bus knows it.
#[derive(Clone)]
struct Storage(Arc<App>);

impl Resident for Storage {
    const KIND: &'static str = KIND;

    async fn serve(&self) -> zbus::Result<Connection> {
        connection::Builder::system()
            .serve_at(STORAGE.path, Reads(self.0.clone()))
            .serve_at(STORAGE.path, Provider(self.0.clone()))
            .serve_at(STORAGE.path, Admin(self.0.clone()))
            .name(STORAGE.name)
            .build()
            .await
    }

    async fn look(&self, bus: &Connection) -> Result<(), Error> {
        refresh(bus, &self.0).await
    }

    fn is_joined(&self) -> bool {
        *self.0.joined.borrow()
    }

    /// Where nobody has a registry there is nothing to wait for.
    fn insists(&self) -> bool {
        self.is_joined()
    }

    fn on_bus(&self, bus: Option<&Connection>) {
        self.0.state().bus = bus.cloned();
    }
}

/// Comes on the bus and stays there; returns after the first attempt.
pub(crate) async fn start(app: &Arc<App>) {
    reside(Storage(app.clone())).await;
}

/// Takes what the registry says.
async fn refresh(connection: &Connection, app: &Arc<App>) -> Result<(), Error> {
    let (own, published) = registry::look(connection).await?;
    let joined = own.joined;
    {
        let mut state = app.state();
        state.own = Some(own);
        state.published = published;
    }
    app.joined
        .send_if_modified(|known| std::mem::replace(known, joined) != joined);
    announce::settle(app).await;
    Ok(())
}

/// Asks the registry again: addresses change without being told here.
pub(crate) async fn look_again(app: &Arc<App>) {
    let bus = app.state().bus.clone();
    if let Some(bus) = bus.filter(|_| *app.joined.borrow())
        && let Err(e) = refresh(&bus, app).await
    {
        log::debug!("{e}");
    }
}
