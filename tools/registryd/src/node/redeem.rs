//! Admitting who brings an invitation; any member does.

use guifi_streams::Key;
use serde_json::{Map, Value, json};

use super::{Admission, Home, Node, Now};
use crate::record::{Record, RecordKey};
use crate::rules::{CLAIM_CONTEXT, countersigned};
use crate::view::time_text;

/// One use of an invitation, for its holder to sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// In which slot.
    pub slot: u32,
    /// When, in milliseconds of community time.
    pub time: u64,
    /// The member that admits.
    pub by: Key,
    /// Its signature.
    pub countersignature: [u8; 64],
}

impl Node {
    /// Whether the holder of the invitation `key` may come in as `home`: the use that it is to
    /// sign, or why not.
    ///
    /// # Errors
    /// The [`Admission`] to answer with.
    pub fn grant(
        &mut self,
        key: Key,
        joiner: Key,
        home: &Home,
        now: Now,
    ) -> Result<Grant, Admission> {
        // Whoever is banned, is a member, or asks for a taken name is told so.
        if let Some(told) = self.before_the_door(joiner, home) {
            return Err(told);
        }
        let time = self.community_time(now);
        let no = |why: String| Err(Admission::Refused(why));
        let Some(invite) = self.invites().into_iter().find(|i| i.key == key) else {
            return no(
                "no administrator has made this invitation, or word of it is still under way"
                    .into(),
            );
        };
        match invite.state(time) {
            "revoked" => return no("the invitation has been revoked".into()),
            "used" => {
                return no(format!(
                    "all {} uses of the invitation are spent",
                    invite.uses
                ));
            }
            "expired" => return no(format!("the invitation ended at {}", time_text(invite.end))),
            _ => {}
        }
        // Not always the first: two halves of a split shall seldom choose the same.
        let seed = joiner.0.first_chunk().map_or(0, |c| u32::from_be_bytes(*c));
        let free = (0..invite.uses)
            .map(|n| ((u64::from(seed) + u64::from(n)) % u64::from(invite.uses)) as u32)
            .find(|slot| invite.used.iter().all(|(used, ..)| used != slot));
        let Some(slot) = free else {
            return no(format!(
                "all {} uses of the invitation are spent",
                invite.uses
            ));
        };
        let message = countersigned(&self.community(), key, slot, joiner, time);
        match self.signer.sign(CLAIM_CONTEXT, &message) {
            Ok(countersignature) => Ok(Grant {
                slot,
                time,
                by: self.own,
                countersignature,
            }),
            Err(e) => Err(Admission::Later(e)),
        }
    }

    /// Takes the use that the holder of an invitation has signed.
    pub fn redeem(&mut self, record: Record, joiner: Key, now: Now) -> Admission {
        let key = record.key.clone();
        self.merge(vec![record], now);
        if self.book.ruling().is_member(joiner) {
            log::info!("{joiner} is a member now, by an invitation");
            return Admission::Member(self.proof(joiner));
        }
        Admission::Refused(match self.book.get(&key) {
            Some(held) if !names(held, joiner) => {
                "another box has used this place of the invitation meanwhile".to_owned()
            }
            _ => "the use of the invitation does not count".to_owned(),
        })
    }
}

/// Whether a `member` record is about `key`.
fn names(record: &Record, key: Key) -> bool {
    record.json().get("key").and_then(Value::as_str) == Some(key.to_string().as_str())
}

/// The name and body of the use that a [`Grant`] allows.
#[must_use]
pub fn use_of(invite: Key, joiner: Key, grant: &Grant) -> (RecordKey, Map<String, Value>) {
    let signature = data_encoding::BASE32_NOPAD.encode(&grant.countersignature);
    let body = json!({
        "key": joiner, "invite": true, "by": grant.by,
        "countersignature": signature.to_lowercase(),
    });
    let key = RecordKey {
        owner: invite,
        kind: "member".into(),
        name: grant.slot.to_string(),
    };
    (key, body.as_object().cloned().unwrap_or_default())
}
