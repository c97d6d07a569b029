//! The door of a closed community: strangers without an invitation wait, on the boxes of its
//! administrators, until one of them says yes or no.
//!
//! Keys cost nothing, so whoever waits is bounded: in all, from one network, and in time. Who
//! asks again stays; who has not for a while gives way first.

use std::net::IpAddr;
use std::time::Duration;

use guifi_core::{Error, Kind};
use guifi_streams::Key;
use serde_json::{Value, json};

use super::sponsor::network;
use super::{Admission, Home, Node, Now, Request};
use crate::rules::LAST_ADMINISTRATOR_SLOT;
use crate::view::time_text;

/// Requests that wait at a time.
const MAX_WAITING: usize = 64;
/// Of these from one /24 (IPv4) or /48 (IPv6).
const MAX_OF_NETWORK: usize = 4;
/// Refusals that are remembered.
const MAX_REFUSED: usize = 128;
/// How long a request waits after its last word.
const WAITS: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a refusal is remembered.
const REFUSED: Duration = Duration::from_secs(30 * 24 * 3600);
/// A request that has been silent for this gives way when there are too many.
const SILENT: Duration = Duration::from_secs(3600);
/// Repeated words are written to disk this seldom.
const WRITE: Duration = Duration::from_secs(600);

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Who waits and who was refused.
#[derive(Debug, Default)]
pub(super) struct Door(Vec<Request>);

/// What became of a request.
#[derive(Debug, Eq, PartialEq)]
enum Knock {
    /// It waits; it is news, or must be written for another reason.
    New,
    /// It waits, as before.
    Again,
    Refused,
    Full,
}

impl Door {
    pub(super) fn new(requests: Vec<Request>) -> Self {
        Self(requests)
    }

    fn tidy(&mut self, time: u64) {
        self.0.retain(|r| {
            let life = if r.refused { REFUSED } else { WAITS };
            r.last + ms(life) > time
        });
    }

    fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.0.iter().filter(|r| !r.refused)
    }

    fn knock(&mut self, request: Request) -> Knock {
        let time = request.last;
        self.tidy(time);
        if let Some(held) = self.0.iter_mut().find(|r| r.key == request.key) {
            if held.refused {
                return Knock::Refused;
            }
            let news = held.home != request.home || held.last + ms(WRITE) <= time;
            if news {
                held.last = time;
                held.home = request.home;
                held.address = request.address;
            }
            return if news { Knock::New } else { Knock::Again };
        }
        let place = request.address.map(network);
        let near = |r: &&Request| place.is_some() && r.address.map(network) == place;
        let crowded = self.waiting().filter(near).count() >= MAX_OF_NETWORK;
        if crowded || self.waiting().count() >= MAX_WAITING {
            let silent = self
                .waiting()
                .filter(|r| r.last + ms(SILENT) <= time)
                .filter(|r| !crowded || near(r))
                .min_by_key(|r| r.last)
                .map(|r| r.key);
            let Some(silent) = silent else {
                return Knock::Full;
            };
            self.0.retain(|r| r.key != silent);
        }
        self.0.push(request);
        Knock::New
    }

    /// Whom a person means: a key, a name, or `NAME.ZONE`.
    fn find(&self, who: &str) -> Result<Request, Error> {
        let named = |r: &&Request| {
            let (name, zone) = who.split_once('.').unwrap_or((who, ""));
            r.home.name.eq_ignore_ascii_case(name)
                && (zone.is_empty() || r.home.zone.eq_ignore_ascii_case(zone))
        };
        let found: Vec<&Request> = match who.parse::<Key>() {
            Ok(key) => self.0.iter().filter(|r| r.key == key).collect(),
            Err(_) => self.waiting().filter(named).collect(),
        };
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Error::failed(format!("nobody called '{who}' waits here"))
                .hint("guifi-registry pending")),
            _ => Err(
                Error::failed(format!("several that call themselves '{who}' wait"))
                    .hint("guifi-registry pending shows their keys"),
            ),
        }
    }
}

/// What the bus says of a request.
fn document(request: &Request) -> Value {
    json!({
        "key": request.key,
        "name": request.home.name,
        "zone": request.home.zone,
        "address": request.address,
        "first_asked_at": time_text(request.first),
        "last_asked_at": time_text(request.last),
    })
}

impl Node {
    /// The stranger `key`, seen at `address`, waits to be let in.
    pub fn knock(&mut self, key: Key, address: Option<IpAddr>, home: &Home, now: Now) -> Admission {
        let time = self.community_time(now);
        let knock = self.door.knock(Request {
            key,
            home: home.clone(),
            address,
            first: time,
            last: time,
            refused: false,
        });
        match knock {
            Knock::New => {
                log::info!("{key} asks to be admitted as {}", home.name);
                self.save_door();
                Admission::Wait
            }
            Knock::Again => Admission::Wait,
            Knock::Refused => {
                Admission::Refused("an administrator has refused its request".to_owned())
            }
            Knock::Full => Admission::Later("too many wait for the administrators".to_owned()),
        }
    }

    /// Requests that wait here, the oldest first.
    pub fn pending(&mut self, now: Now) -> Vec<Value> {
        self.door.tidy(self.community_time(now));
        let ruling = self.book.ruling();
        let mut waiting: Vec<&Request> = self
            .door
            .waiting()
            .filter(|r| !ruling.is_member(r.key) && !ruling.is_banned(r.key))
            .collect();
        waiting.sort_by_key(|r| (r.first, r.key));
        waiting.into_iter().map(document).collect()
    }

    /// Admits a key, or whoever waits under a name. Answers what is known of it.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`] if this box is no administrator's, [`Kind::Failed`].
    pub fn approve(&mut self, who: &str, now: Now) -> Result<Value, Error> {
        self.must_administer()?;
        let found = self.door.find(who);
        let (key, told) = match (found, who.parse::<Key>()) {
            (Ok(request), _) => (request.key, document(&request)),
            // A key may be admitted before it asks.
            (Err(_), Ok(key)) => (key, json!({"key": key})),
            (Err(e), Err(_)) => return Err(e),
        };
        let ruling = self.book.ruling();
        if ruling.is_banned(key) {
            return Err(Error::failed(format!(
                "{key} is banned, and a ban stands for ever"
            )));
        }
        if !ruling.is_member(key) {
            match self.sponsor(key, LAST_ADMINISTRATOR_SLOT, now) {
                Admission::Member(_) => log::info!("{key} is a member now, approved here"),
                Admission::Refused(why) | Admission::Later(why) => return Err(Error::failed(why)),
                _ => return Err(Error::failed("the registry does not admit it")),
            }
        }
        self.door.0.retain(|r| r.key != key);
        self.save_door();
        Ok(told)
    }

    /// Says no to somebody who waits; the key is refused for a month.
    ///
    /// # Errors
    /// As [`Node::approve`].
    pub fn refuse(&mut self, who: &str, now: Now) -> Result<Value, Error> {
        self.must_administer()?;
        let time = self.community_time(now);
        let request = self.door.find(who)?;
        self.door.0.retain(|r| r.key != request.key);
        let refused = self.door.0.iter().filter(|r| r.refused);
        if refused.clone().count() >= MAX_REFUSED
            && let Some(oldest) = refused.min_by_key(|r| r.last).map(|r| r.key)
        {
            self.door.0.retain(|r| r.key != oldest);
        }
        let told = document(&request);
        self.door.0.push(Request {
            last: time,
            refused: true,
            ..request
        });
        self.save_door();
        Ok(told)
    }

    /// # Errors
    /// [`Kind::NotAllowed`] if this box is no administrator's.
    pub(super) fn must_administer(&self) -> Result<(), Error> {
        if self.book.ruling().is_administrator(self.own) {
            return Ok(());
        }
        Err(Error::new(
            Kind::NotAllowed,
            "this box is not an administrator of the community",
        )
        .hint("guifi-registry administrators"))
    }

    fn save_door(&mut self) {
        if let Err(e) = self.store.set_requests(&self.door.0) {
            log::warn!("{e}; a restart forgets it");
        }
    }
}
