//! `net.guifi.Registry1` on the system bus. The methods hand their work to the engine and wait;
//! none blocks. When the bus goes away the daemon keeps replicating and comes back to it.

mod admin;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use guifi_bus::{Failure, REGISTRY, sealed_file};
use guifi_core::Error;
use guifi_streams::{Key, RelayPorts};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedFd, connection, interface};

use admin::Admin;

use crate::describe;
use crate::engine::{Engine, Handle, Notice, now};
use crate::node::{Reach, WriteError};
use crate::record::RecordKey;
use crate::rights;
use crate::view::Question;

/// The pauses between attempts to come back to the bus.
const RETRY: [u64; 4] = [1, 2, 5, 10];
/// How long changes are collected before they are told.
const COLLECT: Duration = Duration::from_millis(50);
/// How long a good-bye has to be passed on: who was only told that there is something asks for
/// it after 0.4 s.
pub(crate) const GOODBYE: Duration = Duration::from_millis(1200);
/// Characters of a name or body that are looked at.
const MAX_TEXT: usize = 16 << 10;

/// How long a restart of this daemon or of peerd is waited out.
const RESTART: Duration = Duration::from_secs(15);
/// How long a mere question about the state waits for it.
const BRIEF: Duration = Duration::from_secs(2);
/// Between two looks meanwhile.
const LOOK: Duration = Duration::from_millis(100);

struct Reads(Handle);
struct Provider(Handle);

fn key_of(owner: &str) -> Result<Key, Failure> {
    owner
        .parse()
        .map_err(|_| Failure::Invalid(format!("'{owner}' is not a key")))
}

fn body_of(text: &str) -> Result<Map<String, Value>, Failure> {
    if text.len() > MAX_TEXT {
        return Err(Failure::Invalid("the body is too large".to_owned()));
    }
    serde_json::from_str(text)
        .map_err(|e| Failure::Invalid(format!("the body is not a JSON object: {e}")))
}

#[interface(name = "net.guifi.Registry1")]
impl Reads {
    async fn describe(&self) -> Result<String, Failure> {
        Ok(started(&self.0, BRIEF, describe::document).await?)
    }

    async fn get(&self, owner: &str, kind: &str, name: &str) -> Result<String, Failure> {
        let key = RecordKey {
            owner: key_of(owner)?,
            kind: kind.into(),
            name: name.into(),
        };
        let found = started(&self.0, RESTART, move |engine| {
            engine.node().map(|node| {
                node.book()
                    .view()
                    .get(&key)
                    .map(|e| e.json(node.own()).to_string())
            })
        })
        .await??;
        found.ok_or_else(|| {
            Failure::NotFound(format!("there is no {kind} record '{name}' of {owner}"))
        })
    }

    async fn list(
        &self,
        kinds: Vec<String>,
        filter: HashMap<String, String>,
        epoch: String,
        sequence: u64,
    ) -> Result<(String, u64, bool, OwnedFd), Failure> {
        let mut question = Question {
            kinds,
            since: (!epoch.is_empty()).then_some((epoch, sequence)),
            ..Question::default()
        };
        for (key, value) in filter {
            match key.as_str() {
                "owner" => question.owner = Some(key_of(&value)?),
                "zone" => question.zone = Some(value.to_ascii_lowercase()),
                other => return Err(Failure::Invalid(format!("there is no filter '{other}'"))),
            }
        }
        let (epoch, sequence, whole, lines) = started(&self.0, RESTART, move |engine| {
            let starting = engine.starting();
            match engine.node() {
                Ok(node) => {
                    let view = node.book().view();
                    let (whole, lines) = view.list(&question, node.own());
                    Ok((view.at().0.to_owned(), view.at().1, whole, lines))
                }
                Err(e) if starting => Err(e),
                // Not joined: an empty book of its own epoch.
                Err(_) => Ok(("none".to_owned(), 0, true, String::new())),
            }
        })
        .await??;
        Ok((epoch, sequence, whole, sealed_file(lines.as_bytes())?))
    }

    #[zbus(signal)]
    async fn changed(
        emitter: &SignalEmitter<'_>,
        epoch: String,
        sequence: u64,
        kinds: Vec<String>,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn synced(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

/// Runs work once the node of a box that has joined is running, or `patience` is over.
async fn started<T: Send + 'static>(
    handle: &Handle,
    patience: Duration,
    mut work: impl FnMut(&mut Engine) -> T + Send + 'static,
) -> Result<T, Error> {
    let end = Instant::now() + patience;
    handle
        .ask(move |engine| {
            if engine.starting() && Instant::now() < end {
                return Err(LOOK);
            }
            Ok(work(engine))
        })
        .await
}

/// Runs a write that the pace may delay, but never refuses; restarts are waited out.
async fn write<T: Send + 'static>(
    handle: &Handle,
    mut work: impl FnMut(&mut Engine) -> Result<Result<T, WriteError>, Error> + Send + 'static,
) -> Result<T, Failure> {
    let end = Instant::now() + RESTART;
    handle
        .ask(move |engine| {
            let patient = Instant::now() < end;
            if engine.starting() && patient {
                return Err(LOOK);
            }
            match work(engine) {
                Ok(Ok(done)) => Ok(Ok(done)),
                Ok(Err(WriteError::Later(wait))) => Err(wait),
                Ok(Err(WriteError::NoKey(_))) if patient => Err(LOOK),
                Ok(Err(WriteError::NoKey(why))) => Ok(Err(Failure::Unavailable(why))),
                Ok(Err(WriteError::Invalid(why))) => Ok(Err(Failure::Invalid(why))),
                Ok(Err(WriteError::Failed(why))) => Ok(Err(Failure::Failed(why))),
                Ok(Err(WriteError::NotFound)) => {
                    let why = "there is no such record of this box".to_owned();
                    Ok(Err(Failure::NotFound(why)))
                }
                Err(e) => Ok(Err(e.into())),
            }
        })
        .await?
}

async fn put(
    handle: &Handle,
    kind: String,
    name: String,
    body: &str,
    lifetime_seconds: u32,
) -> Result<u64, Failure> {
    let body = body_of(body)?;
    let life = Duration::from_secs(lifetime_seconds.into());
    write(handle, move |engine| {
        Ok(engine.node()?.put(&kind, &name, body.clone(), life, now()))
    })
    .await
}

async fn remove(handle: &Handle, kind: String, name: String) -> Result<(), Failure> {
    write(handle, move |engine| {
        Ok(engine.node()?.remove(&kind, &name, now()))
    })
    .await
}

/// The name of the user who called; root and this daemon's own user may do everything.
enum Caller {
    Trusted,
    User(String),
}

async fn caller(header: &Header<'_>, connection: &Connection) -> Result<Caller, Failure> {
    let denied = || Failure::NotAllowed("the caller is not known".to_owned());
    let sender = header.sender().ok_or_else(denied)?.to_owned();
    let bus = zbus::fdo::DBusProxy::new(connection)
        .await
        .map_err(Failure::ZBus)?;
    let uid = bus
        .get_connection_unix_user(sender.into())
        .await
        .map_err(|_| denied())?;
    if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
        return Ok(Caller::Trusted);
    }
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .ok()
        .flatten();
    Ok(Caller::User(user.ok_or_else(denied)?.name))
}

impl Provider {
    async fn may(
        &self,
        header: &Header<'_>,
        connection: &Connection,
        kind: &str,
        part: Option<&str>,
    ) -> Result<(), Failure> {
        let reserved = match part {
            None => rights::is_reserved(kind),
            Some(part) => crate::kinds::is_spine(kind) || part == "spine",
        };
        if reserved {
            return Err(Failure::NotAllowed(format!(
                "{kind} records are the registry's own"
            )));
        }
        let Caller::User(user) = caller(header, connection).await? else {
            return Ok(());
        };
        let (asked, wanted, part) = (user.clone(), kind.to_owned(), part.map(str::to_owned));
        let allowed = self
            .0
            .ask(move |engine| {
                Ok(match &part {
                    Some(part) => engine.rights().allows_part(&asked, &wanted, part),
                    None => engine.rights().allows(&asked, &wanted),
                })
            })
            .await?;
        if allowed {
            return Ok(());
        }
        Err(Failure::NotAllowed(format!(
            "user {user} may not write {kind} records"
        )))
    }
}

#[interface(name = "net.guifi.Registry1.Provider")]
impl Provider {
    async fn put(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
        kind: String,
        name: String,
        body: String,
        lifetime_seconds: u32,
    ) -> Result<u64, Failure> {
        self.may(&header, connection, &kind, None).await?;
        put(&self.0, kind, name, &body, lifetime_seconds).await
    }

    async fn set_part(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
        kind: String,
        name: String,
        part: String,
        body: String,
    ) -> Result<u64, Failure> {
        self.may(&header, connection, &kind, Some(&part)).await?;
        let body = body_of(&body)?;
        write(&self.0, move |engine| {
            Ok(engine
                .node()?
                .set_part(&kind, &name, &part, body.clone(), now()))
        })
        .await
    }

    async fn remove(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
        kind: String,
        name: String,
    ) -> Result<(), Failure> {
        self.may(&header, connection, &kind, None).await?;
        remove(&self.0, kind, name).await
    }
}

async fn connect(handle: &Handle) -> zbus::Result<Connection> {
    connection::Builder::system()
        .name(REGISTRY.name)
        .serve_at(REGISTRY.path, Reads(handle.clone()))
        .serve_at(REGISTRY.path, Provider(handle.clone()))
        .serve_at(REGISTRY.path, Admin(handle.clone()))
        .build()
        .await
}

/// Serves the bus for ever; `ready` is told once the name is owned, or the first attempt failed.
pub(crate) async fn serve(
    handle: Handle,
    mut notices: mpsc::UnboundedReceiver<Notice>,
    ready: std::sync::mpsc::Sender<()>,
) {
    let mut failures = 0;
    loop {
        let connected = connect(&handle).await;
        // Only the first call is waited for.
        let _ = ready.send(());
        match connected {
            Ok(connection) => {
                failures = 0;
                tell(&connection, &handle, &mut notices).await;
                log::warn!("the bus is gone: replicating without it");
            }
            Err(e) => {
                if failures == 0 {
                    log::warn!("cannot own {} on the bus: {e}; trying again", REGISTRY.name);
                }
                failures += 1;
            }
        }
        // What changed meanwhile is seen by whoever asks: a new owner of the name means List.
        while notices.try_recv().is_ok() {}
        tokio::time::sleep(Duration::from_secs(RETRY[failures.min(RETRY.len() - 1)])).await;
    }
}

/// Passes notices on until the connection ends.
async fn tell(
    connection: &Connection,
    handle: &Handle,
    notices: &mut mpsc::UnboundedReceiver<Notice>,
) {
    let mut watch = zbus::MessageStream::from(connection);
    let Ok(emitter) = SignalEmitter::new(connection, REGISTRY.path) else {
        return;
    };
    ask_peer(connection.clone(), handle.clone());
    let peer = guifi_bus::PeerProxy::new(connection).await;
    let relays = match &peer {
        Ok(peer) => peer.receive_relay_changed().await,
        Err(e) => Err(e.clone()),
    };
    // Without these it is asked every few minutes all the same.
    let mut relays = relays.ok();
    loop {
        let relay = async {
            match &mut relays {
                Some(relays) => relays.next().await,
                None => std::future::pending().await,
            }
        };
        let notice = tokio::select! {
            Some(_) = relay => {
                ask_peer(connection.clone(), handle.clone());
                continue;
            }
            message = watch.next() => match message {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            notice = notices.recv() => notice,
        };
        let sent = match notice {
            None => return,
            Some(Notice::AskPeer) => {
                ask_peer(connection.clone(), handle.clone());
                continue;
            }
            Some(Notice::Synced) => Reads::synced(&emitter).await,
            Some(Notice::Changed(mut epoch, mut sequence, mut kinds)) => {
                tokio::time::sleep(COLLECT).await;
                let mut synced = false;
                while let Ok(further) = notices.try_recv() {
                    match further {
                        Notice::Changed(e, s, k) => {
                            (epoch, sequence) = (e, s);
                            kinds.extend(k);
                        }
                        Notice::Synced => synced = true,
                        Notice::AskPeer => ask_peer(connection.clone(), handle.clone()),
                    }
                }
                kinds.sort();
                kinds.dedup();
                let sent = Reads::changed(&emitter, epoch, sequence, kinds).await;
                if synced {
                    sent.and(Reads::synced(&emitter).await)
                } else {
                    sent
                }
            }
        };
        if let Err(e) = sent {
            log::debug!("cannot signal: {e}");
        }
    }
}

/// Asks peerd where it listens and what it relays with, for the `box` record.
fn ask_peer(connection: Connection, handle: Handle) {
    tokio::spawn(async move {
        let asked = async {
            let proxy = guifi_bus::PeerProxy::new(&connection).await?;
            proxy.describe().await
        };
        let Ok(document) = asked.await else { return };
        let Ok(document) = serde_json::from_str::<Value>(&document) else {
            return;
        };
        let port = document
            .get("port")
            .and_then(Value::as_u64)
            .and_then(|p| u16::try_from(p).ok());
        let relay = document
            .get("relay")
            .and_then(|r| serde_json::from_value::<RelayPorts>(r.clone()).ok());
        let member = |name: &str| document.get(name).cloned().unwrap_or_default();
        let reach = Reach {
            port: port.unwrap_or(7656),
            relay,
            relays: serde_json::from_value(member("relays")).unwrap_or_default(),
            coordinate: serde_json::from_value(member("coordinate")).unwrap_or_default(),
            ..Reach::default()
        };
        handle.send(move |engine| engine.peer_described(reach.clone()));
    });
}
