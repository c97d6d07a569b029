//! Whether this box still is a member, and if not, why: it must be told, since the others no
//! longer speak with it.

use std::time::Duration;

use guifi_streams::Key;
use serde_json::Value;

use super::{Node, Now};
use crate::record::RecordKey;

/// How long somebody who is a member no more is still spoken with, to hear that.
const FAREWELL: Duration = Duration::from_secs(1);

/// What this box knows of its own membership.
#[derive(Debug, Default)]
pub(super) struct Standing {
    member: bool,
    /// The use of an invitation by which it came in.
    admitted_by: Option<RecordKey>,
    expelled: Option<String>,
}

impl Node {
    /// Why this box is a member no more, if that happened since the start.
    #[must_use]
    pub fn expelled(&self) -> Option<&str> {
        self.standing.expelled.as_deref()
    }

    /// Looks anew when the rules have changed who is a member.
    pub(super) fn ruled(&mut self, now: Now) {
        let ruling = self.book.ruling();
        let known = self.configuration.iter().flat_map(|c| &c.members);
        let farewell = known.into_iter().any(|m| !ruling.is_member(m.key));
        let wait = if farewell { FAREWELL } else { Duration::ZERO };
        let member = ruling.is_member(self.own);
        let was = std::mem::replace(&mut self.standing.member, member);
        if member {
            self.standing.admitted_by = self.own_use();
            self.standing.expelled = None;
        } else if was && !self.rotating {
            let why = self.key_is_left().unwrap_or_else(|| self.reason());
            log::error!("this box is no member any more: {why}");
            self.standing.expelled = Some(why);
        }
        self.configure_soon(now.at + wait);
    }

    fn own_use(&self) -> Option<RecordKey> {
        let ruling = self.book.ruling();
        let uses = ruling
            .invitations
            .iter()
            .flat_map(|key| self.book.of_owner(*key));
        let own = self.own.to_string();
        uses.filter(|r| r.key.kind == "member")
            .find(|r| r.json().get("key").and_then(Value::as_str) == Some(&own))
            .map(|r| r.key.clone())
    }

    fn reason(&self) -> String {
        let ruling = self.book.ruling();
        if ruling.is_banned(self.own) {
            return "it is banned".to_owned();
        }
        let held = self.standing.admitted_by.as_ref();
        let joiner = held.and_then(|key| {
            let body = self.book.get(key)?.json();
            body.get("key")?.as_str()?.parse::<Key>().ok()
        });
        match (held, joiner) {
            (Some(_), Some(other)) if other != self.own => {
                "its place of the invitation was used by another box before it".to_owned()
            }
            (Some(_), _) => "the invitation by which it came in was revoked before it came, or the member that admitted it is none".to_owned(),
            (None, _) => "nobody who sponsors it is a member".to_owned(),
        }
    }
}
