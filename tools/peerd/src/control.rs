//! Serving the control socket.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use guifi_streams::packet::{self, MAX_PACKET};
use guifi_streams::{Configuration, Event, Key, Reason, Request, context, protocol_name_is_valid};
use rustix::net::sockopt;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::client::Client;
use crate::dial;
use crate::identity::Identity;
use crate::incoming;
use crate::net;
use crate::node::{Node, Refusal, count, lock};
use crate::rights::User;
use crate::socket::Listener;
use crate::splice::{self, Splice};
use crate::who;

/// How many programs may be connected.
const MAX_CLIENTS: usize = 256;
/// How many streams one program may open and have.
const MAX_STREAMS: usize = 2048;
/// The longest deadline that is kept.
const MAX_DEADLINE: Duration = Duration::from_secs(120);

/// Accepts programs, for as long as the daemon runs.
pub(crate) async fn serve(node: Arc<Node>, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok(socket) => admit(&node, socket),
            Err(e) => {
                log::warn!("cannot accept a program: {e}; going on");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn admit(node: &Arc<Node>, socket: UnixStream) {
    let Ok(credentials) = sockopt::socket_peercred(&socket) else {
        return;
    };
    if node.clients.load(Ordering::Relaxed) >= MAX_CLIENTS {
        log::warn!("too many programs on the control socket; turning one away");
        return;
    }
    node.clients.fetch_add(1, Ordering::Relaxed);
    let user = User::new(&node.root, credentials.uid.as_raw());
    let client = Arc::new(Client::new(socket, user));
    let node = node.clone();
    tokio::spawn(async move {
        let why = tokio::select! {
            why = read(&node, &client) => why,
            drained = client.drain() => format!("{drained:?}"),
        };
        log::debug!("program of user {} is gone: {why}", client.user.uid);
        lock(&node.listeners).retain(|_, owner| !Arc::ptr_eq(owner, &client));
        client.leave();
        node.clients.fetch_sub(1, Ordering::Relaxed);
    });
}

/// Serves requests until the connection ends; the text says why.
async fn read(node: &Arc<Node>, client: &Arc<Client>) -> String {
    let mut buffer = vec![0; MAX_PACKET];
    let mut greeted = false;
    loop {
        let received = client
            .socket
            .async_io(Interest::READABLE, || {
                packet::receive(&client.socket, &mut buffer)
            })
            .await;
        let (length, descriptor) = match received {
            Ok((0, _)) => return "closed".to_owned(),
            Ok(received) => received,
            Err(e) => return e.to_string(),
        };
        let request = match Request::decode(&buffer[..length]) {
            Ok(request) => request,
            Err(e) => {
                let (id, reason, text) = (0, Reason::Invalid, e.to_string());
                client.say(&Event::Refused { id, reason, text }, None);
                return format!("{e}");
            }
        };
        match request {
            Request::Hello => {
                greeted = true;
                let key = node.identity.public();
                client.say(&Event::Hello { key }, None);
            }
            _ if !greeted => return "no greeting".to_owned(),
            request => handle(node, client, request, descriptor),
        }
    }
}

fn handle(node: &Arc<Node>, client: &Arc<Client>, request: Request, descriptor: Option<OwnedFd>) {
    match request {
        Request::Hello => {}
        Request::Open {
            id,
            peer,
            protocol,
            deadline_ms,
            addresses,
        } => {
            let Some(turn) = client.begin(MAX_STREAMS) else {
                let text = "this program opens too many streams";
                return refuse(client, id, Refusal::new(Reason::Busy, text));
            };
            let (node, client) = (node.clone(), client.clone());
            let deadline = Duration::from_millis(deadline_ms.into()).min(MAX_DEADLINE);
            tokio::spawn(async move {
                let _turn = turn;
                if let Err(refusal) =
                    open(&node, &client, id, peer, &protocol, &addresses, deadline).await
                {
                    refuse(&client, id, refusal);
                }
            });
        }
        Request::Listen { id, protocol, .. } => match listen(node, client, protocol) {
            Ok(()) => client.say(&Event::Listening { id }, None),
            Err(refusal) => refuse(client, id, refusal),
        },
        Request::Unlisten { protocol } => {
            let mut listeners = lock(&node.listeners);
            if listeners
                .get(&protocol)
                .is_some_and(|owner| Arc::ptr_eq(owner, client))
            {
                listeners.remove(&protocol);
            }
        }
        Request::Reset { stream, code } => client.reset(stream, code),
        Request::Sign { id, context, bytes } => {
            let signed =
                registry_only(client).and_then(|()| sign(&node.identity, &context, &bytes));
            match signed {
                Ok(signature) => client.say(&Event::Signed { id, signature }, None),
                Err(refusal) => refuse(client, id, refusal),
            }
        }
        Request::Successor { id } => match successor(node, client) {
            Ok(next) => {
                let key = next.public();
                client.say(&Event::Successor { id, key }, None);
            }
            Err(refusal) => refuse(client, id, refusal),
        },
        Request::SignAsSuccessor { id, context, bytes } => {
            let signed = successor(node, client).and_then(|key| sign(&key, &context, &bytes));
            match signed {
                Ok(signature) => client.say(&Event::Signed { id, signature }, None),
                Err(refusal) => refuse(client, id, refusal),
            }
        }
        Request::Succeed { id, key } => match succeed(node, client, key) {
            Ok(()) => client.say(&Event::Done { id }, None),
            Err(refusal) => refuse(client, id, refusal),
        },
        Request::Configure { id } => {
            let (node, client) = (node.clone(), client.clone());
            tokio::spawn(async move {
                match configure(&node, &client, descriptor).await {
                    Ok(()) => client.say(&Event::Done { id }, None),
                    Err(refusal) => refuse(&client, id, refusal),
                }
            });
        }
        Request::Who {
            id,
            address,
            deadline_ms,
        } => {
            let Some(turn) = client.begin(MAX_STREAMS) else {
                let text = "this program asks too much at once";
                return refuse(client, id, Refusal::new(Reason::Busy, text));
            };
            let client = client.clone();
            let deadline = Duration::from_millis(deadline_ms.into()).min(MAX_DEADLINE);
            tokio::spawn(async move {
                let _turn = turn;
                match timeout(deadline, who::ask(&address)).await {
                    Ok(Ok(found)) => client.say(
                        &Event::Whois {
                            id,
                            key: found.key,
                            community: found.community,
                            name: found.name,
                        },
                        None,
                    ),
                    Ok(Err(e)) => refuse(
                        &client,
                        id,
                        Refusal::new(
                            Reason::Unreachable,
                            format!("cannot ask {address} who it is: {e}"),
                        ),
                    ),
                    Err(_) => refuse(
                        &client,
                        id,
                        Refusal::new(Reason::TimedOut, format!("{address} does not answer")),
                    ),
                }
            });
        }
    }
}

fn refuse(client: &Client, id: u64, Refusal(reason, text): Refusal) {
    client.say(&Event::Refused { id, reason, text }, None);
}

fn may_speak(node: &Node, client: &Client, protocol: &str) -> Result<(), Refusal> {
    if !protocol_name_is_valid(protocol) || incoming::is_own(protocol) {
        let text = format!("'{protocol}' is no protocol for programs");
        return Err(Refusal::new(Reason::Invalid, text));
    }
    if client.user.may_speak(&node.settings(), protocol) {
        return Ok(());
    }
    let who = match &client.user.name {
        Some(name) => name.clone(),
        None => format!("number {}", client.user.uid),
    };
    Err(Refusal::new(
        Reason::NotAllowed,
        format!("user {who} is not among the users of [protocol.{protocol}]"),
    ))
}

async fn open(
    node: &Arc<Node>,
    client: &Arc<Client>,
    id: u64,
    peer: Key,
    protocol: &str,
    addresses: &[String],
    deadline: Duration,
) -> Result<(), Refusal> {
    may_speak(node, client, protocol)?;
    let hints: Vec<SocketAddr> = addresses.iter().filter_map(|a| a.parse().ok()).collect();
    let slot = node.admit_stream()?;
    let wire = dial::open(node, peer, protocol, &hints, deadline).await?;
    let (ours, theirs) = splice::pair().map_err(|e| Refusal::new(Reason::Busy, e.to_string()))?;
    let route = wire.link.route();
    let share = wire.link.share.clone();
    let Some((send, recv, busy)) = wire.take() else {
        return Err(Reason::Failed.into());
    };
    let splice = Splice::new(node, client.clone(), share, slot.number, ours);
    client.say(
        &Event::Opened {
            id,
            stream: slot.number,
            path: route.path,
            rtt_us: route.rtt_us(),
            member: node.members().contains(peer),
            address: route.address.map(|a| a.to_string()),
        },
        Some(OwnedFd::from(theirs)),
    );
    count(&node.counters.opened, 1);
    splice.run(send, recv).await;
    drop((busy, slot));
    Ok(())
}

fn listen(node: &Node, client: &Arc<Client>, protocol: String) -> Result<(), Refusal> {
    may_speak(node, client, &protocol)?;
    let mut listeners = lock(&node.listeners);
    if let Some(owner) = listeners.get(&protocol)
        // One that died a moment ago frees its protocols at once.
        && !owner.gone()
    {
        return Err(Refusal::new(
            Reason::Taken,
            format!("'{protocol}' is served by another program"),
        ));
    }
    listeners.insert(protocol, client.clone());
    node.listening.notify_waiters();
    Ok(())
}

fn successor(node: &Node, client: &Client) -> Result<Identity, Refusal> {
    registry_only(client)?;
    Identity::successor(&node.root).map_err(|e| Refusal::new(Reason::Failed, e.to_string()))
}

fn succeed(node: &Node, client: &Client, key: Key) -> Result<(), Refusal> {
    registry_only(client)?;
    let failed = |e: guifi_core::Error| Refusal::new(Reason::Failed, e.to_string());
    let next = Identity::stored_successor(&node.root).map_err(failed)?;
    if next.is_none_or(|next| next.public() != key) {
        let text = format!("{key} was not made to follow on this box");
        return Err(Refusal::new(Reason::Invalid, text));
    }
    Identity::succeed(&node.root).map_err(failed)?;
    node.succeeded.notify_one();
    Ok(())
}

fn sign(identity: &Identity, context: &str, bytes: &[u8]) -> Result<[u8; 64], Refusal> {
    // Answers to "who are you" are made here alone.
    if ![context::RECORD, context::CLAIM, context::WITNESS].contains(&context) {
        return Err(Refusal::new(
            Reason::Invalid,
            format!("nothing is signed in the context '{context}'"),
        ));
    }
    Ok(identity.sign(context, bytes))
}

async fn configure(
    node: &Arc<Node>,
    client: &Client,
    descriptor: Option<OwnedFd>,
) -> Result<(), Refusal> {
    registry_only(client)?;
    let invalid = |text: String| Refusal::new(Reason::Invalid, text);
    let file = descriptor.ok_or_else(|| invalid("no list of members".to_owned()))?;
    let configuration = Configuration::from_memory_file(file)
        .map_err(|e| invalid(format!("cannot read the list of members: {e}")))?;
    net::configure(node, configuration).await
}

fn registry_only(client: &Client) -> Result<(), Refusal> {
    if client.user.is_registry() {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::NotAllowed,
        format!("user number {} does not keep the registry", client.user.uid),
    ))
}
