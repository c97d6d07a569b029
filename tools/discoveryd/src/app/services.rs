//! The services of this box: published, checked, withdrawn.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{App, lock};
use crate::health;
use crate::publisher::{Outcome, Seen};
use crate::service::Service;

/// Between the first two checks of a service that does not answer.
const SOON: Duration = Duration::from_secs(1);
/// Checks under way at a time.
const CHECKS: usize = 16;

impl App {
    pub(super) async fn watch_health(self: Arc<Self>) {
        let mut soon = SOON;
        loop {
            let settings = self.settings();
            let services = self.publisher.lock().await.to_check();
            let patience = Duration::from_secs(settings.check_timeout_seconds.into());
            let looks: Vec<Seen> = futures_util::stream::iter(services)
                .map(|service| self.see(service, patience))
                .buffer_unordered(CHECKS)
                .collect()
                .await;
            let idle = looks.is_empty();
            let all_well = looks.iter().all(|l| l.outcome == Outcome::Answers);
            if self.with_publisher(async |p| p.checked(looks).await).await {
                self.bump();
            }
            self.link.rest().await;
            let usual = Duration::from_secs(settings.check_seconds.into());
            // A box that publishes nothing sleeps until it does; one whose service is starting
            // looks again soon, and then more and more rarely.
            let wait = match (idle, all_well) {
                (true, _) => Duration::from_secs(3600),
                (false, true) => usual,
                (false, false) => soon.min(usual),
            };
            soon = if all_well {
                SOON
            } else {
                (soon * 2).min(usual)
            };
            if tokio::time::timeout(wait, self.look.notified())
                .await
                .is_ok()
            {
                soon = SOON;
            }
        }
    }

    /// Publishes a service of this box.
    pub(crate) async fn publish(&self, service: Service) -> Result<Value, guifi_bus::Failure> {
        let patience = Duration::from_secs(self.settings().check_timeout_seconds.into());
        let answers = health::answers(&service, patience).await;
        let global = service.global;
        let mut document = self
            .with_publisher(async |p| p.publish(service, answers).await)
            .await?;
        self.look.notify_one();
        self.bump();
        let standing = lock(&self.state).clone();
        document["seen_by"] = json!(self.seen_by(global, standing.avahi).await);
        Ok(document)
    }

    /// Who can see a service, in words.
    pub(super) async fn seen_by(&self, global: bool, avahi: bool) -> String {
        let link = if avahi {
            "this link"
        } else {
            "nobody until Avahi runs"
        };
        if !global {
            return link.to_owned();
        }
        let document = self.describe_registry().await.unwrap_or_default();
        let name = document
            .pointer("/community/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let boxes = document["boxes"].as_u64().unwrap_or_default();
        format!("{link}, and the community {name} ({boxes} boxes)")
    }

    /// Stops publishing.
    pub(crate) async fn unpublish(
        &self,
        name: &str,
        kind: &str,
    ) -> Result<u32, guifi_bus::Failure> {
        let count = self
            .with_publisher(async |p| p.unpublish(name, kind).await)
            .await?;
        self.bump();
        Ok(count)
    }
}
