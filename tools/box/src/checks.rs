//! From what the daemons say to what is wrong with the box: one function a part, from
//! documents to a verdict.

use guifi_core::Root;
use serde_json::Value;

use crate::firewall::Firewall;

mod gateway;
pub(crate) mod peer;
mod portal;
mod storage;
mod updates;

/// Less room than this, in bytes, and nothing new can be kept for long.
const LITTLE_ROOM: u64 = 64 << 20;
/// Less room than this and nothing can be kept.
const NO_ROOM: u64 = 4 << 20;
/// A clock that differs more than this from the community's, in milliseconds, is wrong.
const CLOCK_MS: u64 = 60_000;

/// How well a part is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum State {
    /// It works.
    Ok,
    /// It works in part.
    Degraded,
    /// It does not work.
    Down,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// One part of the box.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) reason: String,
    pub(crate) hint: Option<String>,
}

impl Part {
    fn new(name: &'static str, state: State, reason: impl Into<String>) -> Self {
        Self {
            name,
            state,
            reason: reason.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What is known of the box.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// Why the bus does not answer, if it does not.
    pub(crate) bus: Option<String>,
    pub(crate) peer: Result<Value, String>,
    pub(crate) registry: Result<Value, String>,
    pub(crate) discovery: Result<Value, String>,
    pub(crate) dns: Result<Value, String>,
    /// `None` where guifi-gatewayd is not installed.
    pub(crate) gateway: Option<Result<Value, String>>,
    /// `None` where guifi-portald is not installed.
    pub(crate) portal: Option<Result<Value, String>>,
    /// `None` where guifi-storaged is not installed.
    pub(crate) storage: Option<Result<Value, String>>,
    /// What guifi-mirrord-apt says of packages and mirrors.
    pub(crate) updates: Result<Value, String>,
    /// Free bytes where the state is kept.
    pub(crate) disk: Option<u64>,
    /// What is known of the machine's own firewall; looked at only if a port is closed.
    pub(crate) firewall: Firewall,
}

impl Default for Evidence {
    fn default() -> Self {
        let unknown = || Err("does not answer".to_owned());
        Self {
            bus: None,
            peer: unknown(),
            registry: unknown(),
            discovery: unknown(),
            dns: unknown(),
            gateway: None,
            portal: None,
            storage: None,
            updates: unknown(),
            disk: None,
            firewall: Firewall::NotSeen,
        }
    }
}

/// Free bytes where the daemons keep their state: the least of all, as each may be a file
/// system of its own.
pub(crate) fn disk(root: &Root) -> Option<u64> {
    [
        "",
        "/peerd",
        "/registryd",
        "/discoveryd",
        "/dnsd",
        "/portald",
        "/storaged",
    ]
    .iter()
    .filter_map(|part| rustix::fs::statvfs(root.join(format!("/var/lib/guifi{part}"))).ok())
    .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    .min()
}

/// Every part, in the order in which they stand on each other.
pub(crate) fn all(evidence: &Evidence) -> Vec<Part> {
    if let Some(why) = &evidence.bus {
        return vec![Part::new("bus", State::Down, why).hint("systemctl status dbus")];
    }
    let mut parts = vec![room(evidence.disk)];
    parts.push(part("peerd", &evidence.peer, |document| {
        peer::peer(document, &evidence.firewall)
    }));
    parts.push(part("registryd", &evidence.registry, registry));
    if let Ok(document) = &evidence.registry {
        parts.push(clock(document));
    }
    parts.push(part("discoveryd", &evidence.discovery, discovery));
    parts.push(part("dnsd", &evidence.dns, dns));
    let gateway = evidence.gateway.iter();
    parts.extend(gateway.map(|document| part(gateway::NAME, document, gateway::gateway)));
    let portal = evidence.portal.iter();
    parts.extend(portal.map(|document| part(portal::NAME, document, portal::portal)));
    let storage = evidence.storage.iter();
    parts.extend(storage.map(|document| part(storage::NAME, document, storage::storage)));
    parts.push(match &evidence.updates {
        Ok(document) => updates::updates(document),
        Err(why) => {
            Part::new("updates", State::Degraded, why).hint("apt install --reinstall guifi-box")
        }
    });
    parts
}

fn part(
    name: &'static str,
    document: &Result<Value, String>,
    judge: impl FnOnce(&Value) -> Part,
) -> Part {
    match document {
        Ok(document) => judge(document),
        Err(why) => Part::new(name, State::Down, why).hint(format!(
            "systemctl status guifi-{name}; journalctl -u guifi-{name}"
        )),
    }
}

fn room(free: Option<u64>) -> Part {
    let hint = "make room: df -h /var/lib/guifi; apt clean; journalctl --vacuum-size=100M";
    match free {
        Some(free) if free < NO_ROOM => {
            Part::new("disk", State::Down, "the disk is full").hint(hint)
        }
        Some(free) if free < LITTLE_ROOM => Part::new(
            "disk",
            State::Degraded,
            format!("the disk is nearly full: {} MiB left", free >> 20),
        )
        .hint(hint),
        Some(free) => Part::new("disk", State::Ok, format!("{} MiB left", free >> 20)),
        None => Part::new("disk", State::Degraded, "cannot look at /var/lib/guifi"),
    }
}

fn flag(document: &Value, member: &str) -> bool {
    document[member].as_bool().unwrap_or_default()
}

fn number(document: &Value, member: &str) -> u64 {
    document[member].as_u64().unwrap_or_default()
}

/// What is wrong with the key of the box.
fn key(document: &Value) -> Option<Part> {
    let bad = |state, reason: String| Some(Part::new("registryd", state, reason));
    match document["key_state"].as_str() {
        Some("left") => {
            let key = document["key_left_for"].as_str().unwrap_or_default();
            let reason =
                format!("the key of this box was given up for {key}, which it does not have");
            let hint = "if a thief did that: guifi-peer key rotate, and tell an administrator";
            return bad(State::Down, reason).map(|part| part.hint(hint));
        }
        Some("frozen") => {
            let reason = "the key of this box was given up for two others";
            let hint = "an administrator decides which counts: guifi-registry confirm-key KEY";
            return bad(State::Down, reason.to_owned()).map(|part| part.hint(hint));
        }
        _ => {}
    }
    let addresses = document["twin"]["addresses"].as_array()?;
    let addresses: Vec<&str> = addresses.iter().filter_map(Value::as_str).collect();
    let reason = format!(
        "another box, at {}, uses the key of this one",
        addresses.join(" and ")
    );
    let hint = "on one of the two: guifi-leave, guifi-peer key rotate, guifi-join";
    bad(State::Degraded, reason).map(|part| part.hint(hint))
}

fn registry(document: &Value) -> Part {
    let name = "registryd";
    if !flag(document, "peerd") {
        return Part::new(
            name,
            State::Down,
            "guifi-peerd, which holds the key, does not answer",
        )
        .hint("systemctl status guifi-peerd");
    }
    if !flag(document, "joined") {
        return Part::new(name, State::Degraded, "this box has not joined a community")
            .hint("guifi-join");
    }
    let community = document["community"]["name"].as_str().unwrap_or_default();
    if flag(document, "banned") {
        return Part::new(
            name,
            State::Down,
            format!("this box is banned from {community}"),
        )
        .hint("talk to an administrator of the community");
    }
    if let Some(part) = key(document) {
        return part;
    }
    // After a damaged database the records that say so are still on their way.
    let empty = document["expelled"].is_null() && document["damaged_database"].is_string();
    if document["member"] == false && !empty {
        let why = document["expelled"].as_str();
        let why = why.unwrap_or("nobody who sponsors it is a member");
        return Part::new(
            name,
            State::Down,
            format!("this box is no member of {community} any more: {why}"),
        )
        .hint("ask an administrator, or for a new invitation; then guifi-leave and guifi-join");
    }
    if !flag(document, "saved") {
        return Part::new(name, State::Down, "records cannot be written to the disk")
            .hint("is it full? df /var/lib/guifi");
    }
    let boxes = number(document, "boxes");
    let members = number(document, "members");
    let connected = document["connected_peers"].as_array().map_or(0, Vec::len);
    if members > 1 && connected == 0 {
        return Part::new(
            name,
            State::Degraded,
            format!(
                "no peers: none of the {} other members of {community} is connected",
                members - 1
            ),
        )
        .hint("is the network up? can this box reach the others' port? guifi-peer list");
    }
    if !flag(document, "synced") {
        return Part::new(
            name,
            State::Degraded,
            format!("the records of {community} are not complete yet"),
        );
    }
    if let Some(aside) = document["damaged_database"].as_str() {
        return Part::new(
            name,
            State::Degraded,
            format!("the database was damaged and has been rebuilt; the damaged one is {aside}"),
        )
        .hint("check the disk, then remove that file and restart guifi-registryd");
    }
    let wished = document["wished_name"].as_str().unwrap_or_default();
    let called = document["name"].as_str().unwrap_or_default();
    if !wished.eq_ignore_ascii_case(called) {
        return Part::new(
            name,
            State::Degraded,
            format!("the name {wished} is another's: this box is {called}"),
        )
        .hint("guifi-join --name NAME chooses another");
    }
    let zone = document["zone"].as_str().unwrap_or_default();
    let dot = if zone.is_empty() { "" } else { "." };
    Part::new(
        name,
        State::Ok,
        format!(
            "{called}{dot}{zone} in {community}: {} of {boxes} boxes live, {} records",
            number(document, "boxes_live"),
            number(document, "records")
        ),
    )
}

fn clock(document: &Value) -> Part {
    let offset = document["community_time_offset_ms"]
        .as_i64()
        .unwrap_or_default();
    let hint = "timedatectl set-ntp true, or set it by hand: timedatectl set-time";
    if flag(document, "clock_before_build") {
        return Part::new(
            "clock",
            State::Degraded,
            "the clock is wrong: it is older than this software",
        )
        .hint(hint);
    }
    if offset.unsigned_abs() > CLOCK_MS {
        let side = if offset > 0 { "behind" } else { "ahead of" };
        let seconds = offset.unsigned_abs() / 1000;
        return Part::new(
            "clock",
            State::Degraded,
            format!("the clock is wrong: {seconds} s {side} the community's"),
        )
        .hint(hint);
    }
    Part::new("clock", State::Ok, "agrees with the community's")
}

fn discovery(document: &Value) -> Part {
    let name = "discoveryd";
    let avahi = &document["avahi"];
    if !flag(avahi, "running") {
        let reason = avahi["reason"].as_str().unwrap_or("it is gone");
        return Part::new(
            name,
            State::Degraded,
            format!("Avahi does not answer ({reason}): services on this link are not seen"),
        )
        .hint("systemctl status avahi-daemon");
    }
    let sick = number(document, "unhealthy");
    let published = number(document, "published");
    if sick > 0 {
        return Part::new(
            name,
            State::Degraded,
            format!("{sick} of {published} published services do not answer their check"),
        )
        .hint("guifi-browse --scope local");
    }
    Part::new(
        name,
        State::Ok,
        format!("{published} services published by this box"),
    )
}

fn dns(document: &Value) -> Part {
    let name = "dnsd";
    let listed: Vec<&Value> = document["listen"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let is = |entry: &&&Value, state: &str| entry["state"].as_str() == Some(state);
    let listening = listed.iter().filter(|e| is(e, "listening")).count();
    let taken: Vec<String> = listed
        .iter()
        .filter(|e| !is(e, "listening"))
        .map(|e| {
            let address = e["address"].as_str().unwrap_or_default();
            format!(
                "{address} ({})",
                e["reason"].as_str().unwrap_or("not to be had")
            )
        })
        .collect();
    if !taken.is_empty() {
        let state = if listening == 0 {
            State::Down
        } else {
            State::Degraded
        };
        return Part::new(
            name,
            state,
            format!("port 53 is taken on {}", taken.join(", ")),
        )
        .hint("stop the other server, or name the addresses in /etc/guifi/dnsd.toml (listen)");
    }
    if listening == 0 {
        return Part::new(name, State::Down, "it listens nowhere").hint("journalctl -u guifi-dnsd");
    }
    let hosted = document["hosted"].as_array().into_iter().flatten();
    let faulty =
        hosted.filter_map(|zone| Some((zone["domain"].as_str()?, zone["fault"].as_str()?)));
    if let Some((domain, fault)) = faulty.into_iter().next() {
        let domain = domain.trim_end_matches('.');
        return Part::new(name, State::Degraded, format!("zone {domain}: {fault}"))
            .hint("guifi-dns hosted");
    }
    Part::new(name, State::Ok, format!("answers on {listening} addresses"))
}

#[cfg(test)]
mod tests;
