//! Two boxes with one key, as when a disk is copied to a second machine: each sees that another
//! speaks with its key.
//!
//! One record that this box does not remember proves nothing: a box restored from a backup gets
//! its own last words from the others. A second one, signed after this box has answered the
//! first, does.

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
    /// Versions of its `box` records, one for each answer of this box.
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
        self.twin.heard = self.twin.heard.saturating_add(1);
        // A living one answers to that, and is answered once more: it needs two words as well.
        // No more than that, lest the two never end.
        if self.twin.heard <= 2 {
            self.renew_soon(now);
        }
        if self.twin.heard == 1 {
            self.twin.asks = ASKS;
            self.ask_for_twin(now);
        } else if self.twin.heard == 2 {
            log::error!(
                "another box, at {addresses:?}, uses the key of this one: one of the two needs a key of its own"
            );
        }
        self.twin.last = Some((now.at, addresses));
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
