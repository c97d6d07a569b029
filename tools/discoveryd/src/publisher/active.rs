//! One service of this box and its standing.

use serde_json::{Value, json};
use zbus::OwnedObjectPath;

use crate::service::Service;

/// Failed checks in a row before others are told.
const FAILURES: u32 = 2;

/// What a look at a service found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It answers.
    Answers,
    /// It does not answer.
    Silent,
    /// Its machine announces it no more.
    Gone,
}

impl From<bool> for Outcome {
    fn from(answers: bool) -> Self {
        if answers { Self::Answers } else { Self::Silent }
    }
}

/// A look at a service.
pub(crate) struct Seen {
    /// As it was known.
    pub(crate) was: Service,
    /// As it is: a guest may have another address.
    pub(crate) now: Service,
    pub(crate) outcome: Outcome,
}

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
    /// Its machine announces it no more: it is not published until it does.
    pub(super) absent: bool,
    pub(super) group: Option<OwnedObjectPath>,
    /// Its name on the link, when settled.
    pub(super) shown_as: Option<String>,
    pub(super) renames: u32,
}

impl Active {
    pub(super) fn new(service: Service, source: Source) -> Self {
        Self {
            service,
            source,
            healthy: None,
            failures: 0,
            absent: false,
            group: None,
            shown_as: None,
            renames: 0,
        }
    }

    /// Takes the outcome of a check; says whether others must be told.
    pub(super) fn checked(&mut self, outcome: Outcome) -> bool {
        let answers = outcome == Outcome::Answers;
        self.failures = if answers { 0 } else { self.failures + 1 };
        // The first look counts at once: who publishes is told.
        let now = answers || (self.failures < FAILURES && self.healthy == Some(true));
        let absent = !now && outcome == Outcome::Gone;
        let changed = self.healthy != Some(now) || self.absent != absent;
        (self.healthy, self.absent) = (Some(now), absent);
        changed
    }

    pub(super) fn body(&self) -> Value {
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
            "absent": self.absent,
            "heard": service.heard,
            "shown_as": self.shown_as.as_ref().or(service.heard.as_ref()),
            "source": match self.source {
                Source::Command => "command",
                Source::Declared => "declared",
            },
        })
    }
}
