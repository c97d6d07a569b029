//! Invitations: an administrator's box makes, lists and revokes them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use guifi_core::{Error, Kind};
use guifi_streams::Key;
use serde_json::{Value, json};

use super::{Admission, Node, Now};
use crate::book::box_key;
use crate::invitation::{Invitation, MAX_ADDRESSES, MAX_SEEDS, MAX_USES};
use crate::record::Record;
use crate::rules::LAST_ADMINISTRATOR_SLOT;
use crate::view::time_text;

/// How long an invitation may work.
const LIFE: (Duration, Duration) = (
    Duration::from_secs(60),
    Duration::from_secs(366 * 24 * 3600),
);
/// A use that has stood for this is made independent of the invitation by its administrator.
const STANDS_MS: u64 = 24 * 3600 * 1000;

/// What an `invite` record says, and what has come of it.
pub(super) struct Invite {
    record: Arc<Record>,
    pub(super) key: Key,
    pub(super) uses: u32,
    pub(super) end: u64,
    revoked: bool,
    /// Its uses by slot and joiner.
    pub(super) used: Vec<(u32, Key, u64)>,
}

impl Invite {
    /// What can be said of it at `time`, in one word.
    pub(super) fn state(&self, time: u64) -> &'static str {
        match self {
            _ if self.revoked => "revoked",
            _ if self.used.len() >= self.uses as usize => "used",
            _ if self.end < time => "expired",
            _ => "open",
        }
    }
}

impl Node {
    pub(super) fn invites(&self) -> Vec<Invite> {
        let ruling = self.book.ruling();
        let of_administrators = self.book.records().filter(|r| {
            r.key.kind == "invite"
                && !r.is_removal()
                && ruling.counts(r)
                && ruling
                    .administrators
                    .contains(&ruling.identity(r.key.owner))
        });
        of_administrators
            .filter_map(|r| self.read_invite(r))
            .collect()
    }

    fn read_invite(&self, record: &Arc<Record>) -> Option<Invite> {
        let body = record.json();
        let key = body.get("key")?.as_str()?.parse().ok()?;
        let used = self
            .book
            .of_owner(key)
            .filter(|r| r.key.kind == "member" && !r.is_removal())
            .filter_map(|r| {
                let joiner = r.json().get("key")?.as_str()?.parse().ok()?;
                Some((r.key.name.parse().ok()?, joiner, r.version))
            });
        Some(Invite {
            record: record.clone(),
            key,
            uses: u32::try_from(body.get("uses")?.as_u64()?).ok()?,
            end: body.get("expires")?.as_u64()?,
            revoked: body.get("revoked") == Some(&Value::Bool(true)),
            used: used.collect(),
        })
    }

    /// Makes an invitation that admits `uses` boxes within `life`, with 32 random bytes as its
    /// right. Answers the document of `Invite`.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`], [`Kind::Usage`], [`Kind::Failed`].
    pub fn invite(
        &mut self,
        uses: u32,
        life: Duration,
        right: [u8; 32],
        now: Now,
    ) -> Result<Value, Error> {
        self.must_administer()?;
        if !(1..=MAX_USES).contains(&uses) {
            return Err(Error::usage(format!(
                "an invitation admits 1 to {MAX_USES} boxes, not {uses}"
            )));
        }
        if life < LIFE.0 || life > LIFE.1 {
            return Err(Error::usage(
                "an invitation works for a minute at least and a year at most",
            ));
        }
        let slot = self
            .free_slot("invite", LAST_ADMINISTRATOR_SLOT)
            .ok_or_else(|| Error::failed("this administrator has made all its invitations"))?;
        let seeds = self.seeds();
        if seeds.is_empty() {
            return Err(Error::failed("this box has no address that others reach")
                .hint("is the network up? ip address"));
        }
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let end = self.community_time(now).saturating_add(life);
        let invitation = Invitation::new(self.community(), right, end, seeds);
        let body = json!({"key": invitation.key(), "uses": uses, "expires": end});
        self.write(
            "invite",
            &slot.to_string(),
            body.as_object().cloned(),
            0,
            now,
        )
        .map_err(Error::failed)?;
        self.pump(now);
        let seeds: Vec<Key> = invitation.seeds.iter().map(|(key, _)| *key).collect();
        Ok(json!({
            "invitation": invitation.text(),
            "number": slot,
            "key": invitation.key(),
            "uses": uses,
            "expires_at": time_text(end),
            "seeds": seeds,
        }))
    }

    /// This box and live members that are well reached: those that others have met first.
    fn seeds(&self) -> Vec<(Key, Vec<SocketAddr>)> {
        let port = self.reach.port;
        let own = self.reach.addresses.iter();
        let mut own: Vec<SocketAddr> = own.map(|a| SocketAddr::new(*a, port)).collect();
        own.sort_by_key(|a| by_use(&a.ip()));
        let members = self.members().members;
        let mut others: Vec<(bool, bool, Key, Vec<SocketAddr>)> = members
            .into_iter()
            .filter(|m| m.key != self.own && self.is_live(m.key))
            .filter_map(|m| {
                let met = &self.book.view().get(&box_key(m.key))?.standing.witnessed;
                let mut addresses = m.addresses;
                addresses.sort_by_key(|a| (!met.contains(&a.ip()), by_use(&a.ip())));
                Some((met.is_empty(), !self.links.is_up(m.key), m.key, addresses))
            })
            .collect();
        others.sort();
        std::iter::once((self.own, own))
            .chain(others.into_iter().map(|(_, _, key, at)| (key, at)))
            .map(|(key, mut addresses)| {
                addresses.truncate(MAX_ADDRESSES);
                (key, addresses)
            })
            .filter(|(_, addresses)| !addresses.is_empty())
            .take(MAX_SEEDS)
            .collect()
    }

    /// The invitations of all administrators.
    #[must_use]
    pub fn invitations(&self, now: Now) -> Vec<Value> {
        let time = self.community_time(now);
        let invites = self.invites();
        invites
            .iter()
            .map(|invite| {
                let owner = invite.record.key.owner;
                json!({
                    "number": invite.record.key.name.parse::<u32>().ok(),
                    "key": invite.key,
                    "by": owner,
                    "own": owner == self.own,
                    "uses": invite.uses,
                    "used": invite.used.len(),
                    "made_at": time_text(invite.record.version),
                    "expires_at": time_text(invite.end),
                    "state": invite.state(time),
                })
            })
            .collect()
    }

    /// Ends an invitation of this box, by number or key. Whom it has admitted stays: this box
    /// sponsors them itself from now on. Answers `number` and `kept`.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`], [`Kind::Failed`].
    pub fn revoke(&mut self, which: &str, now: Now) -> Result<Value, Error> {
        self.must_administer()?;
        let key = which.parse::<Key>().ok();
        let mut invites = self.invites();
        invites.retain(|i| match key {
            Some(key) => i.key == key,
            None => i.record.key.owner == self.own && i.record.key.name == which,
        });
        let invite = invites.first().ok_or_else(|| {
            Error::failed(format!("there is no invitation '{which}'")).hint("guifi-invite list")
        })?;
        if invite.record.key.owner != self.own {
            return Err(Error::new(
                Kind::NotAllowed,
                "another administrator has made this invitation, and revokes it",
            ));
        }
        let time = self.community_time(now);
        if invite.revoked {
            return Ok(json!({"number": invite.record.key.name.parse::<u32>().ok(), "kept": 0}));
        }
        let kept = self.stand_alone(&invite.used, u64::MAX, now)?;
        // The uses that are there go on counting, for boxes that have not heard of it.
        let uses = invite.used.iter().map(|(slot, ..)| slot + 1).max();
        let body = json!({
            "key": invite.key, "uses": uses.unwrap_or(1), "expires": time.min(invite.end),
            "revoked": true,
        });
        let name = invite.record.key.name.clone();
        self.write("invite", &name, body.as_object().cloned(), 0, now)
            .map_err(Error::failed)?;
        self.pump(now);
        Ok(json!({"number": name.parse::<u32>().ok(), "kept": kept}))
    }

    /// Sponsors the members that came in by `uses` made up to `time`, unless this box does so
    /// already: they no longer hang on the invitation. Says how many.
    fn stand_alone(
        &mut self,
        uses: &[(u32, Key, u64)],
        time: u64,
        now: Now,
    ) -> Result<usize, Error> {
        let hanging: Vec<Key> = uses
            .iter()
            .filter(|(_, _, used)| *used <= time)
            .map(|(_, joiner, _)| *joiner)
            .filter(|joiner| self.book.ruling().is_member(*joiner))
            .filter(|joiner| !self.sponsors_itself(*joiner))
            .collect();
        for joiner in &hanging {
            match self.sponsor(*joiner, LAST_ADMINISTRATOR_SLOT, now) {
                Admission::Member(_) => {}
                Admission::Later(why) | Admission::Refused(why) => return Err(Error::failed(why)),
                _ => return Err(Error::failed("the registry does not sponsor it")),
            }
        }
        Ok(hanging.len())
    }

    /// Whether this box has signed a `member` record for the identity of `key`.
    pub(super) fn sponsors_itself(&self, key: Key) -> bool {
        let ruling = self.book.ruling();
        let identity = ruling.identity(key);
        self.book
            .of_owner(self.own)
            .filter(|r| r.key.kind == "member" && !r.is_removal())
            .filter_map(|r| r.json().get("key")?.as_str()?.parse::<Key>().ok())
            .any(|target| ruling.identity(target) == identity)
    }

    /// What an administrator's box does by itself: uses of its invitations that have stood for
    /// a day no longer depend on whoever else has the invitation.
    pub(super) fn settle_invited(&mut self, now: Now) {
        if !self.book.ruling().is_administrator(self.own) {
            return;
        }
        let old = self.community_time(now).saturating_sub(STANDS_MS);
        let own: Vec<Invite> = self
            .invites()
            .into_iter()
            .filter(|i| i.record.key.owner == self.own)
            .collect();
        for invite in own {
            if let Err(e) = self.stand_alone(&invite.used, old, now) {
                log::warn!("cannot sponsor whom an invitation has admitted: {e}");
                return;
            }
        }
    }
}

/// Addresses that a stranger in another network may reach come first.
fn by_use(address: &IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 0,
        IpAddr::V6(a) if a.is_unique_local() => 2,
        IpAddr::V6(_) => 1,
    }
}
