//! Two boxes with one key, as when a disk is copied to a second machine: each sees that another
//! speaks with its key.
//!
//! One record that this box does not remember proves nothing: a box restored from a backup gets
//! its own last words from the others. A second one, signed after this box has answered the
//! first, does. Who knows says so in its own record (`twin`), which is proof enough for the
//! other, and goes on answering until the other says so too: words may overtake one another.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guifi_streams::Key;
use serde_json::Value;

use super::{Node, Now};
use crate::record::Record;

/// After the first such word others are asked often, for a while: with one key for two boxes
/// what one says is pushed to one of them only.
const ASK: Duration = Duration::from_secs(10);
const ASKS: u32 = 30;
/// After so long without another word the other box is taken for gone.
const GONE: Duration = Duration::from_secs(3 * 3600);

/// What another box has said with this box's key.
#[derive(Debug, Default)]
pub(super) struct Twin {
    /// Its `box` records that were heard; one that says that it knows of this box counts twice.
    heard: u32,
    /// How often others are still asked.
    asks: u32,
    last: Option<(Instant, Vec<IpAddr>)>,
}

impl Node {
    /// Where another box is that uses the key of this one, if there is one.
    #[must_use]
    pub fn twin(&self, now: Now) -> Option<&[IpAddr]> {
        let (at, addresses) = self.twin.last.as_ref()?;
        let lives = now.at.saturating_duration_since(*at) < GONE;
        (self.twin.heard > 1 && lives).then_some(addresses)
    }

    /// Whether this box knows of another with its key.
    pub(super) fn knows_twin(&self, now: Now) -> bool {
        self.twin(now).is_some()
    }

    /// Looks for `box` records of this box's key that are above all that this box has signed.
    pub(super) fn watch_twin(&mut self, accepted: &[Arc<Record>], now: Now) {
        let foreign = accepted
            .iter()
            .find(|r| is_box_of(self.own, r) && r.version > self.own_last);
        let Some(record) = foreign else { return };
        let body = record.json();
        let spine = body.get("spine");
        let addresses: Vec<IpAddr> = spine
            .and_then(|s| s.get("addresses"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|a| a.as_str()?.parse().ok())
            .collect();
        let knew = self.knows_twin(now);
        let knows = spine.and_then(|s| s.get("twin")).and_then(Value::as_bool) == Some(true);
        self.twin.heard = self.twin.heard.saturating_add(if knows { 2 } else { 1 });
        self.twin.last = Some((now.at, addresses.clone()));
        if self.twin.heard == 1 {
            self.twin.asks = ASKS;
            self.ask_for_twin(now);
        } else if !knew {
            log::error!(
                "another box, at {addresses:?}, uses the key of this one: one of the two needs a key of its own"
            );
        }
        // When both have said that they know there is nothing more to say.
        if !(knew && knows) {
            self.renew_soon(now);
        }
    }

    /// Looks soon for another word of the other box, if one word was heard.
    pub(super) fn ask_for_twin(&mut self, now: Now) {
        if self.twin.heard == 1 && self.twin.asks > 0 {
            self.twin.asks -= 1;
            self.syncs.after(ASK, now.at);
        }
    }
}

fn is_box_of(own: Key, record: &Record) -> bool {
    record.key.owner == own && record.key.kind == "box"
}
