//! The daemon and Avahi: what is on this link, for this box and for others.

use std::sync::Arc;

use futures_util::StreamExt as _;
use guifi_bus::avahi::{AVAHI, AvahiServerProxy};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{App, lock};
use crate::bridge::{self, Question};
use crate::{avahi, browse};

impl App {
    pub(super) async fn watch_avahi(self: Arc<Self>) {
        if let Err(e) = self.follow_avahi().await {
            log::debug!("no longer following Avahi: {e}");
        }
    }

    pub(super) async fn follow_avahi(&self) -> zbus::Result<()> {
        let bus = zbus::fdo::DBusProxy::new(&self.connection).await?;
        let mut owners = bus
            .receive_name_owner_changed_with_args(&[(0, AVAHI)])
            .await?;
        let mut signals = avahi::signals(&self.connection).await?;
        self.avahi_state().await;
        loop {
            tokio::select! {
                owner = owners.next() => {
                    if owner.is_none() {
                        return Ok(());
                    }
                    self.link.clear();
                    self.with_publisher(async |p| p.link_down()).await;
                    {
                        let mut state = lock(&self.state);
                        state.avahi = false;
                        state.avahi_starts += 1;
                    }
                    self.import_due.notify_one();
                    self.bump();
                    self.avahi_state().await;
                }
                signal = signals.next() => {
                    let Some(Ok(message)) = signal else { return Ok(()) };
                    self.avahi_signal(&message).await;
                }
            }
        }
    }

    /// Looks whether Avahi is there and its names are settled.
    pub(super) async fn avahi_state(&self) {
        let asked = async {
            AvahiServerProxy::new(&self.connection)
                .await?
                .get_state()
                .await
        };
        let (running, reason) = match asked.await {
            Ok(avahi::RUNNING) => (true, None),
            Ok(state) => (
                false,
                Some(format!("its names are not settled: state {state}")),
            ),
            Err(e) => (false, Some(guifi_bus::error("gone", e).to_string())),
        };
        let was = {
            let mut state = lock(&self.state);
            state.avahi_reason = reason;
            std::mem::replace(&mut state.avahi, running)
        };
        if running && !was {
            self.with_publisher(async |p| p.link_up().await).await;
            self.browse_if_bridge().await;
            self.import_due.notify_one();
            self.bump();
        }
    }

    pub(super) async fn avahi_signal(&self, message: &zbus::Message) {
        let header = message.header();
        let place = (
            header.interface().map(|i| i.as_str()),
            header.member().map(|m| m.as_str()),
        );
        match place {
            (Some("org.freedesktop.Avahi.EntryGroup"), Some("StateChanged")) => {
                let path = header.path().map(ToString::to_string).unwrap_or_default();
                if let Ok((state, error)) = message.body().deserialize::<(i32, String)>() {
                    self.with_publisher(async |p| p.group_changed(&path, state, &error).await)
                        .await;
                }
            }
            (Some(interface), Some("StateChanged"))
                if interface.starts_with("org.freedesktop.Avahi.Server") =>
            {
                self.avahi_state().await;
            }
            _ => {
                if self.link.hear(message).await {
                    self.bump();
                }
            }
        }
    }

    /// Answers other boxes for which this one is the bridge.
    pub(super) async fn answer(self: Arc<Self>, mut asked: mpsc::Receiver<Question>) {
        while let Some((kind, answer)) = asked.recv().await {
            // Somebody who asks takes this box for the bridge, and will ask again.
            let found = self.look_here(&kind).await;
            // The asker may have gone.
            let _ = answer.send(found);
        }
    }

    pub(super) async fn look_here(&self, kind: &str) -> Vec<Value> {
        if !lock(&self.state).avahi {
            return Vec::new();
        }
        match self.link.look(kind, self.is_bridge()).await {
            Ok(found) => found.iter().map(browse::local).collect(),
            Err(e) => {
                log::warn!("cannot look at the link: {e}");
                Vec::new()
            }
        }
    }

    /// What is on the link: from the bridge, or by a look of our own.
    pub(super) async fn on_link(&self, kind: &str) -> Vec<Value> {
        let other = lock(&self.bridge).other;
        if let Some(bridge) = other {
            let (socket, wanted) = (self.socket(), kind.to_owned());
            let asked = tokio::task::spawn_blocking(move || bridge::ask(&socket, bridge, &wanted));
            match asked.await {
                Ok(Ok(mut found)) => {
                    found.retain(|s| !browse::is_imported(s));
                    self.mark_own(&mut found);
                    return found;
                }
                Ok(Err(e)) => log::info!(
                    "the bridge {bridge} does not answer: {e}; looking at the link from here"
                ),
                Err(e) => log::warn!("cannot ask the bridge: {e}"),
            }
        }
        self.look_here(kind).await
    }

    /// Another box cannot tell which services are this one's.
    pub(super) fn mark_own(&self, found: &mut [Value]) {
        let own = lock(&self.own).clone();
        for service in found {
            let ours = own
                .iter()
                .any(|o| o["type"] == service["type"] && o["shown_as"] == service["name"]);
            service["own"] = ours.into();
        }
    }

    /// The list that `Browse` answers: a document a line.
    pub(crate) async fn browse(&self, kind: &str, scope: &str, zone: &str) -> String {
        // A zone is of the community: a link has none.
        let local = match scope {
            "community" => Vec::new(),
            "all" if !zone.is_empty() => Vec::new(),
            _ => self.on_link(kind).await,
        };
        let mut list = browse::List::new(local);
        if scope != "local" {
            lock(&self.community).services(kind, zone, |service| list.push(&service));
        }
        list.end()
    }
}
