//! What an administrator decides about members: bans, appointments, names. What each decision
//! leads to is worked out by the rules themselves, before anything is written.

use guifi_core::{Error, Kind};
use guifi_streams::Key;
use serde_json::{Map, Value, json};

use super::{Node, Now};
use crate::record::RecordKey;
use crate::rules::{Claim, LAST_ADMINISTRATOR_SLOT, Ruling};

impl Node {
    /// The rules' outcome if this box wrote that; nothing is written.
    fn ruling_with(
        &self,
        kind: &str,
        name: &str,
        body: Option<Map<String, Value>>,
        now: Now,
    ) -> Result<Ruling, Error> {
        let key = RecordKey {
            owner: self.own,
            kind: kind.into(),
            name: name.into(),
        };
        let draft = self.draft(&key, body, self.community_time(now).max(1), 0);
        // Signatures are checked before the rules are asked.
        let record = draft.sign(|_| Ok([0; 64])).map_err(Error::failed)?;
        let others = self.book.records().map(|r| r.as_ref());
        let records = others.filter(|r| r.key != key);
        Ruling::of(&self.community(), records.chain(std::iter::once(&record)))
            .map_err(Error::failed)
    }

    /// Members that would be none under `after`, by the keys that they use now.
    fn lost_under(&self, after: &Ruling) -> Vec<Key> {
        let members = self.book.ruling().members.iter();
        let lost = members.filter(|(identity, _)| !after.members.contains_key(identity));
        lost.map(|(_, member)| member.current).collect()
    }

    fn person(&self, key: Key) -> Value {
        let standing = self.book.view().of_owner(key).next().map(|e| &e.standing);
        json!({
            "key": key,
            "name": standing.map(|s| s.label.clone()),
            "zone": standing.map(|s| s.zone.clone()),
        })
    }

    /// What a ban of `key` would lead to: `key`, whether it `counts`, and the `members` that
    /// would be lost with it.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`] if this box does not administer, [`Kind::Failed`] for a ban of itself.
    pub fn sponsored(&self, key: Key, now: Now) -> Result<Value, Error> {
        let after = self.ruling_without(key, now)?;
        let ruling = self.book.ruling();
        let identity = ruling.identity(key);
        let lost = self.lost_under(&after);
        let members = lost.iter().filter(|k| ruling.identity(**k) != identity);
        let mut document = self.person(key);
        document["administrator"] = ruling.administrators.contains(&identity).into();
        document["counts"] = after.is_banned(key).into();
        document["members"] = members.map(|k| self.person(*k)).collect();
        Ok(document)
    }

    fn ruling_without(&self, key: Key, now: Now) -> Result<Ruling, Error> {
        self.must_administer()?;
        let ruling = self.book.ruling();
        if ruling.identity(key) == ruling.identity(self.own) {
            return Err(Error::failed("an administrator does not ban himself")
                .hint("guifi-leave leaves the community; the appointer dismisses"));
        }
        self.ruling_with("ban", &key.to_string(), Some(Map::new()), now)
    }

    /// Bans `key` for ever. Members that hang on it are sponsored by this box first, or banned
    /// as well. Answers whom that was: `key`, `counts`, `kept` and `banned`.
    ///
    /// # Errors
    /// As [`Node::sponsored`]; [`Kind::NotAllowed`] for an administrator of a higher rank.
    pub fn ban(&mut self, key: Key, with_sponsored: bool, now: Now) -> Result<Value, Error> {
        let after = self.ruling_without(key, now)?;
        let ruling = self.book.ruling();
        let counts = after.is_banned(key);
        let own = ruling.identity(self.own);
        let mut founders = ruling.founding.administrators.iter();
        if !counts && !founders.any(|f| ruling.identity(*f) == own) {
            return Err(Error::new(
                Kind::NotAllowed,
                "the ban of an administrator of a higher rank does not count",
            )
            .hint("more than half of the founding administrators can ban it together"));
        }
        let identity = ruling.identity(key);
        let mut hanging = self.lost_under(&after);
        hanging.retain(|k| ruling.identity(*k) != identity);
        if !with_sponsored {
            self.keep(&hanging, now)?;
        }
        let also = if with_sponsored { &hanging[..] } else { &[] };
        for target in also.iter().chain(std::iter::once(&key)) {
            self.write("ban", &target.to_string(), Some(Map::new()), 0, now)
                .map_err(Error::failed)?;
            log::info!("{target} is banned by this box");
        }
        self.pump(now);
        Ok(json!({
            "key": key,
            "counts": counts,
            "kept": if with_sponsored { &[] } else { &hanging[..] },
            "banned": also,
        }))
    }

    /// Sponsors members, so that they stay whatever happens to their other sponsors.
    fn keep(&mut self, members: &[Key], now: Now) -> Result<(), Error> {
        for key in members {
            let slot = self
                .free_slot("member", LAST_ADMINISTRATOR_SLOT)
                .ok_or_else(|| Error::failed("all slots of this sponsor are used"))?;
            let body = json!({"key": key}).as_object().cloned();
            self.write("member", &slot.to_string(), body, 0, now)
                .map_err(Error::failed)?;
        }
        self.pump(now);
        Ok(())
    }

    /// Makes a member an administrator.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`], [`Kind::Failed`] if it is no member.
    pub fn appoint(&mut self, key: Key, now: Now) -> Result<Value, Error> {
        self.must_administer()?;
        let ruling = self.book.ruling();
        if !ruling.is_member(key) {
            return Err(Error::failed(format!("{key} is not a member")).hint("approve it first"));
        }
        if !ruling.is_administrator(key) {
            let slot = self
                .free_slot("admin", LAST_ADMINISTRATOR_SLOT)
                .ok_or_else(|| Error::failed("this administrator has appointed all it can"))?;
            let body = json!({"key": key}).as_object().cloned();
            self.write("admin", &slot.to_string(), body, 0, now)
                .map_err(Error::failed)?;
            self.pump(now);
        }
        Ok(self.person(key))
    }

    /// Ends an appointment that this box has made. Who hung on it, itself included, stays a
    /// member: this box sponsors it.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`] if another has appointed it.
    pub fn dismiss(&mut self, key: Key, now: Now) -> Result<Value, Error> {
        self.must_administer()?;
        let ruling = self.book.ruling();
        if !ruling.is_administrator(key) {
            return Err(Error::failed(format!("{key} is not an administrator")));
        }
        let identity = ruling.identity(key);
        let appointments: Vec<String> = self
            .book
            .of_owner(self.own)
            .filter(|r| r.key.kind == "admin" && !r.is_removal())
            .filter(|r| {
                let body = r.json();
                let named = body.get("key").and_then(Value::as_str);
                named
                    .and_then(|k| k.parse().ok())
                    .is_some_and(|k| ruling.identity(k) == identity)
            })
            .map(|r| r.key.name.clone())
            .collect();
        if appointments.is_empty() {
            return Err(Error::new(
                Kind::NotAllowed,
                "this box has not appointed that administrator",
            )
            .hint(
                "whoever has appointed it dismisses it; founding administrators can only be banned",
            ));
        }
        for name in appointments {
            let after = self.ruling_with("admin", &name, None, now)?;
            let lost = self.lost_under(&after);
            self.keep(&lost, now)?;
            self.write("admin", &name, None, 0, now)
                .map_err(Error::failed)?;
        }
        self.pump(now);
        Ok(self.person(key))
    }

    /// Confirms that a name is `key`'s, or, without one, its present holder's. Answers `name`,
    /// `zone` and the `key` that holds it now: a higher rank may have confirmed another.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`], [`Kind::Failed`] if that key does not claim it.
    pub fn confirm_name(
        &mut self,
        name: &str,
        zone: &str,
        key: Option<Key>,
        now: Now,
    ) -> Result<Value, Error> {
        self.must_administer()?;
        let (name, zone) = (name.to_ascii_lowercase(), zone.to_ascii_lowercase());
        let claimed = ("dns".to_owned(), zone.clone(), name.clone());
        let ruling = self.book.ruling();
        let unclaimed = || {
            Error::failed(format!("nobody claims the name '{name}' in zone '{zone}'"))
                .hint("guifi-registry list claim")
        };
        let identity = match key {
            Some(key) => ruling.identity(key),
            None => *ruling.names.get(&claimed).ok_or_else(unclaimed)?,
        };
        let claims = |owner: &Key| {
            let records = self.book.of_owner(*owner).filter(|r| r.key.kind == "claim");
            let mut claims = records.filter_map(|r| Claim::read(r));
            claims.any(|c| c.space == "dns" && c.zone == zone && c.name == name)
        };
        if !ruling.keys(identity).iter().any(claims) {
            return Err(unclaimed());
        }
        let body = json!({"key": identity}).as_object().cloned();
        self.write("confirm", &format!("claim/dns/{zone}/{name}"), body, 0, now)
            .map_err(Error::failed)?;
        self.pump(now);
        let ruling = self.book.ruling();
        let holder = ruling.names.get(&claimed).copied();
        let holder = holder.and_then(|h| ruling.members.get(&h).map(|m| m.current));
        Ok(json!({"name": name, "zone": zone, "key": holder}))
    }
}
