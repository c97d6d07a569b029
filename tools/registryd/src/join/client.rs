//! Joining: finding out what stands behind a seed, asking to be admitted, founding.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use guifi_core::{Error, Kind};
use guifi_streams::{Client, Configuration, Key, Stream};
use serde_json::{Value, json};

use super::found::found;
use super::invited;
use super::{SILENCE, Verdict, Wish, admit_frame};
use crate::engine::Handle;
use crate::frame::{Frame, kind};
use crate::home::Membership;
use crate::invitation::Invitation;
use crate::net::JOIN;
use crate::node::Home;
use crate::record::Record;
use crate::rules::{Founding, Policy, is_label, is_zone};

/// Port of peerd where a seed names none.
const PORT: u16 = 7656;
/// How long a seed may take to say who it is, and to be dialled.
const DIAL: Duration = Duration::from_secs(8);

/// What a person wants when joining.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name or identity of the community; any that the seeds belong to if empty.
    pub community: String,
    /// Found it.
    pub create: bool,
    /// DNS domain of a new community, `NAME.internal` if empty.
    pub domain: String,
    /// Terms of a new community.
    pub terms: String,
    /// The zone of this box; none if empty.
    pub zone: String,
    /// What the box is to be called.
    pub name: String,
    /// Only administrators admit to a new community.
    pub closed: bool,
    /// Keys of further founding administrators.
    pub administrators: Vec<String>,
    /// An invitation, which names the community and seeds as well.
    pub invitation: String,
    /// Where to ask: `KEY@HOST:PORT` or `HOST[:PORT]`.
    pub seeds: Vec<String>,
}

/// What came of joining.
#[derive(Debug)]
pub enum Outcome {
    /// This box is a member: the document of `Join`.
    Member(Value),
    /// Somebody has to decide first: what is waited for.
    Waits(String),
}

/// What stands behind a seed.
pub struct Offer {
    /// The seed's key.
    pub key: Key,
    /// Where it was reached.
    pub addresses: Vec<SocketAddr>,
    /// The founding record of its community.
    pub founding: Record,
    /// What that says.
    pub community: Founding,
    pub(super) stream: Stream,
}

impl Offer {
    /// The document that `Probe` answers.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "key": self.key,
            "addresses": self.addresses,
            "community": {
                "id": Key(self.founding.hash),
                "name": self.community.name,
                "domain": self.community.domain,
                "policy": match self.community.policy {
                    Policy::Open => "open",
                    Policy::Closed => "closed",
                },
                "terms": self.community.terms,
            },
        })
    }
}

/// A seed as a person writes it.
fn parse(seed: &str) -> Result<(Option<Key>, String), Error> {
    let usage = |why: &str| {
        Error::usage(format!("'{seed}' is not a seed: {why}"))
            .hint("write HOST, HOST:PORT or KEY@HOST:PORT")
    };
    let (key, place) = match seed.split_once('@') {
        Some((key, place)) => (
            Some(key.parse().map_err(|_| usage("the key is not valid"))?),
            place,
        ),
        None => (None, seed),
    };
    if place.is_empty() || place.len() > 255 {
        return Err(usage("the host is missing"));
    }
    let bare_v6 = place.parse::<std::net::Ipv6Addr>().is_ok();
    let has_port = !bare_v6
        && place
            .rsplit_once(':')
            .is_some_and(|(_, p)| p.parse::<u16>().is_ok());
    Ok((
        key,
        match (has_port, bare_v6) {
            (true, _) => place.to_owned(),
            (false, true) => format!("[{place}]:{PORT}"),
            (false, false) => format!("{place}:{PORT}"),
        },
    ))
}

fn unavailable(text: String) -> Error {
    Error::new(Kind::Unavailable, text)
}

fn online(client: &Client, community: Option<String>, name: &str) -> Result<(), Error> {
    let configuration = Configuration {
        community,
        name: name.to_owned(),
        members: Vec::new(),
        banned: Vec::new(),
    };
    client
        .configure(&configuration)
        .map_err(|e| unavailable(format!("guifi-peerd: {e}")))
}

/// Asks a seed for its community. peerd must be free: this box has not joined.
///
/// # Errors
/// [`Kind::Usage`] for a seed that is none, [`Kind::Unavailable`] if it does not answer.
pub fn probe(client: &Client, seed: &str) -> Result<Offer, Error> {
    let (key, place) = parse(seed)?;
    let no = |why: String| {
        unavailable(format!("cannot reach seed {seed}: {why}"))
            .hint("is the address right, and its port open (UDP and TCP 7656)?")
    };
    let addresses: Vec<SocketAddr> = place
        .to_socket_addrs()
        .map_err(|e| no(e.to_string()))?
        .take(8)
        .collect();
    let who = client.who(&place, DIAL).map_err(|e| no(e.to_string()))?;
    if key.is_some_and(|key| key != who.key) {
        return Err(
            Error::failed(format!("seed {seed} answers with another key: {}", who.key))
                .hint("somebody stands between, or the box was set up anew: ask its owner"),
        );
    }
    let community = who
        .community
        .ok_or_else(|| no("it has not joined a community itself".to_owned()))?;
    online(client, Some(community.clone()), &who.name)?;
    let stream = client
        .open(who.key, JOIN, &addresses, DIAL)
        .map_err(|e| no(e.to_string()))?;
    let io = |e: std::io::Error| no(e.to_string());
    stream.socket.set_read_timeout(Some(SILENCE)).map_err(io)?;
    stream.socket.set_write_timeout(Some(SILENCE)).map_err(io)?;
    Frame::new(kind::FOUNDING, [])
        .write(&mut &stream.socket)
        .map_err(io)?;
    let frame = Frame::read(&mut &stream.socket).map_err(io)?;
    let founding = Record::decode(&frame.payload).map_err(no)?;
    if Key(founding.hash).to_string() != community || !founding.verify() {
        return Err(no(
            "what it shows is not the founding record of its community".to_owned(),
        ));
    }
    let read = Founding::read(&founding).map_err(no)?;
    Ok(Offer {
        key: who.key,
        addresses,
        founding,
        community: read,
        stream,
    })
}

/// Joins or founds a community, or changes what the box calls itself in the one that it is a
/// member of.
///
/// # Errors
/// [`Kind::Usage`], [`Kind::Unavailable`], [`Kind::TryLater`], [`Kind::NotAllowed`].
pub fn join(handle: &Handle, options: &Options) -> Result<Outcome, Error> {
    let home = Home {
        name: options.name.to_ascii_lowercase(),
        zone: options.zone.to_ascii_lowercase(),
    };
    if !is_label(&home.name) {
        return Err(Error::usage(format!(
            "'{}' is not a host name: letters, digits and hyphens, at most 63",
            options.name
        ))
        .hint("choose one with --name"));
    }
    if !(home.zone.is_empty() || is_zone(&home.zone)) {
        return Err(Error::usage(format!(
            "'{}' is not a zone: labels of letters, digits and hyphens with dots between",
            options.zone
        )));
    }
    let wanted = options.community.clone();
    let moved = home.clone();
    let client = handle.client()?;
    let member_of = handle.call(move |engine| -> Result<Option<Value>, Error> {
        let Ok(node) = engine.node() else { return Ok(None) };
        let founding = node.book().ruling().founding.clone();
        let id = Key(node.community()).to_string();
        if !wanted.is_empty() && wanted != founding.name && wanted != id {
            return Err(Error::failed(format!("this box is a member of {} already", founding.name))
                .hint("guifi-leave first"));
        }
        let changed = engine.move_home(moved.clone())?;
        Ok(Some(json!({"community": {"id": id, "name": founding.name, "domain": founding.domain}, "changed": changed})))
    })??;
    if let Some(document) = member_of {
        return Ok(Outcome::Member(document));
    }
    let outcome = if options.create {
        found(handle, &client, options, home).map(Outcome::Member)
    } else {
        enter(handle, &client, options, home)
    };
    if !matches!(outcome, Ok(Outcome::Member(_))) {
        // Not joined means no traffic.
        if let Err(e) = online(&client, None, "") {
            log::warn!("{e}");
        }
    }
    outcome
}

pub(super) fn document(founding: &Record, community: &Founding) -> Value {
    json!({
        "community": {
            "id": Key(founding.hash), "name": community.name, "domain": community.domain,
        },
        "changed": true,
    })
}

fn enter(
    handle: &Handle,
    client: &Client,
    options: &Options,
    home: Home,
) -> Result<Outcome, Error> {
    let invitation = match options.invitation.as_str() {
        "" => None,
        text => Some(invited::parse(text)?),
    };
    let seeds = invitation.as_ref().map(invited::seeds).unwrap_or_default();
    let seeds: Vec<&String> = options.seeds.iter().chain(&seeds).collect();
    if seeds.is_empty() {
        return Err(Error::usage("no seed: who is to be asked?")
            .hint("--seed HOST, or --create to found a community"));
    }
    let mut last = None;
    for seed in seeds {
        match enter_by(
            handle,
            client,
            seed,
            options,
            invitation.as_ref(),
            home.clone(),
        ) {
            Ok(outcome) => return Ok(outcome),
            Err(e) if e.kind() == Kind::Unavailable || e.kind() == Kind::TryLater => {
                // What a box has said of the invitation is worth more than another's silence.
                last = last.or(Some(e));
            }
            // Word of the invitation may not have reached this one.
            Err(e) if invitation.is_some() && e.kind() == Kind::NotAllowed => last = Some(e),
            Err(e) => return Err(e),
        }
    }
    Err(last.unwrap_or_else(|| Error::failed("no seed answered")))
}

fn enter_by(
    handle: &Handle,
    client: &Client,
    seed: &str,
    options: &Options,
    invitation: Option<&Invitation>,
    home: Home,
) -> Result<Outcome, Error> {
    let offer = probe(client, seed)?;
    let id = Key(offer.founding.hash).to_string();
    let name = &offer.community.name;
    if invitation.is_some_and(|i| i.community != offer.founding.hash) {
        return Err(unavailable(format!(
            "seed {seed} belongs to the community {name} now, which is not the one of the invitation"
        )));
    }
    if !options.community.is_empty() && options.community != *name && options.community != id {
        return Err(Error::failed(format!(
            "seed {seed} belongs to the community {name}, not to {}",
            options.community
        ))
        .hint(format!("guifi-join {name} --seed {seed}")));
    }
    let failed = |e: String| unavailable(format!("seed {seed} does not answer as it should: {e}"));
    let verdict = match invitation {
        Some(invitation) => invited::ask(&offer, invitation, &home, client.own_key()),
        None => admit_frame(&home, Wish::Member)
            .write(&mut &offer.stream.socket)
            .map_err(|e| e.to_string())
            .and_then(|()| Verdict::read(&offer.stream)),
    };
    let verdict = verdict.map_err(failed)?;
    match verdict.status.as_str() {
        "member" => {}
        "taken" => {
            return Err(
                Error::failed(format!("the name {} is taken in this zone", home.name))
                    .hint("choose another with --name"),
            );
        }
        "wait" => {
            return Ok(Outcome::Waits(format!(
                "an administrator of the community {name} has to approve this box first"
            )));
        }
        "later" if offer.community.policy == Policy::Closed => {
            return Ok(Outcome::Waits(format!(
                "an administrator of the community {name} has to approve this box first; not asked yet: {}",
                verdict.reason
            )));
        }
        "later" => {
            return Err(Error::new(
                Kind::TryLater,
                format!("not now: {}", verdict.reason),
            ));
        }
        _ => {
            return Err(Error::new(
                Kind::NotAllowed,
                format!("the community refuses this box: {}", verdict.reason),
            ));
        }
    }
    let document = document(&offer.founding, &offer.community);
    let seed = Some((offer.key, offer.addresses.clone()));
    let membership = Membership::new(&offer.founding, home, seed);
    handle.call(move |engine| engine.adopt(&membership, verdict.proof))??;
    log::info!("joined the community {}", offer.community.name);
    Ok(Outcome::Member(document))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn seeds_come_with_and_without_key_and_port() {
        let key = Key([1; 32]);
        assert_eq!(parse("10.0.0.1").unwrap(), (None, "10.0.0.1:7656".into()));
        assert_eq!(parse("box.vic:99").unwrap(), (None, "box.vic:99".into()));
        assert_eq!(parse("fd00::2").unwrap(), (None, "[fd00::2]:7656".into()));
        assert_eq!(parse("[fd00::2]:9").unwrap(), (None, "[fd00::2]:9".into()));
        assert_eq!(
            parse(&format!("{key}@h:1")).unwrap(),
            (Some(key), "h:1".into())
        );
        for bad in ["", "x@h", &format!("{key}@")] {
            assert_eq!(parse(bad).unwrap_err().kind(), Kind::Usage, "{bad}");
        }
    }
}
