//! `net.guifi.Mirror1` on the system bus, and what the registry tells there. Without the bus
//! the tree is served all the same.

use std::sync::Arc;

use guifi_bus::{Failure, MIRROR, Resident, reside};
use guifi_core::Error;
use zbus::{Connection, connection, interface};

use crate::state::App;
use crate::{announce, book, describe};

struct Reads(Arc<App>);

struct Admin(Arc<App>);

#[interface(name = "net.guifi.Mirror1")]
impl Reads {
    fn describe(&self) -> String {
        describe::describe(&self.0).to_string()
    }
}

#[interface(name = "net.guifi.Mirror1.Admin")]
impl Admin {
    /// Checks everything, synchronises, and answers when that is done.
    async fn update(&self) -> Result<String, Failure> {
        let mut rounds = self.0.rounds.subscribe();
        let begin = *rounds.borrow_and_update();
        self.0.state().check = true;
        self.0.wake.notify_one();
        // One that is under way had begun before, and leaves the wish for a check standing.
        let finished = rounds.wait_for(|round| *round > begin && !self.0.state().check);
        finished
            .await
            .map_err(|_| Failure::Unavailable("the daemon is stopping".into()))?;
        Ok(describe::describe(&self.0).to_string())
    }
}

/// The daemon as the bus knows it.
#[derive(Clone)]
struct Mirror(Arc<App>);

impl Resident for Mirror {
    const KIND: &'static str = book::KIND;

    async fn serve(&self) -> zbus::Result<Connection> {
        connection::Builder::system()
            .serve_at(MIRROR.path, Reads(self.0.clone()))
            .serve_at(MIRROR.path, Admin(self.0.clone()))
            .name(MIRROR.name)
            .build()
            .await
    }

    async fn look(&self, bus: &Connection) -> Result<(), Error> {
        refresh(bus, &self.0).await
    }

    fn is_joined(&self) -> bool {
        self.0.state().joined == Some(true)
    }

    fn on_bus(&self, bus: Option<&Connection>) {
        self.0.state().bus = bus.cloned();
    }
}

/// Comes on the bus and stays there; returns after the first attempt.
pub(crate) async fn start(app: &Arc<App>) {
    reside(Mirror(app.clone())).await;
}

/// Takes what the registry says: whether to serve, whether somebody has a newer index, and
/// whether our own record is as it should be.
async fn refresh(connection: &Connection, app: &Arc<App>) -> Result<(), Error> {
    let settings = app.settings();
    let listing = book::list(connection, &settings.plan.suite).await?;
    let joined = listing.own.joined;
    let newer = {
        let mut state = app.state();
        let first = state.joined.replace(joined) != Some(joined);
        state.published = listing.published;
        let held = state.held.as_ref().map(|held| held.release.date);
        let dates = listing
            .mirrors
            .iter()
            .filter(|m| m.live && !m.own)
            .filter_map(|m| m.date);
        (first && joined) || (settings.boxes && joined && dates.max() > held)
    };
    app.open
        .send_if_modified(|open| std::mem::replace(open, joined) != joined);
    if newer {
        app.wake.notify_one();
    }
    announce::settle(app).await;
    Ok(())
}
