//! Streams that peers open: read the header, find the listener, answer, splice.

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use guifi_streams::{Event, Reason, reset};
use iroh::endpoint::{RecvStream, SendStream, VarInt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::bus;
use crate::callback::{self, Turn};
use crate::client::Client;
use crate::header;
use crate::nearness::{self, NEAR};
use crate::node::{Node, Refusal, StreamSlot, count, lock};
use crate::peers::Link;
use crate::reach::{self, REACH};
use crate::splice::{self, Splice};

/// How long a peer may take over the header of a stream.
const HEADER: Duration = Duration::from_secs(5);
/// How long a program may take from its start to its serving.
const START: Duration = Duration::from_secs(15);

/// A protocol that this daemon answers itself, as it does [`NEAR`] and [`REACH`].
pub(crate) const PING: &str = "ping";

/// Whether programs have no part in `protocol`.
pub(crate) fn is_own(protocol: &str) -> bool {
    [PING, NEAR, REACH].contains(&protocol)
}

/// Serves one stream.
pub(crate) async fn serve(
    node: Arc<Node>,
    link: Arc<Link>,
    turn: Option<OwnedSemaphorePermit>,
    mut send: SendStream,
    mut recv: RecvStream,
) {
    let busy = link.begin(&node);
    let header = timeout(HEADER, read_header(&mut recv)).await;
    drop(turn);
    let protocol = match header {
        Ok(Some(protocol)) => protocol,
        Ok(None) | Err(_) => {
            // It may be over already.
            let _ = send.reset(VarInt::from_u32(reset::ABORTED));
            let _ = recv.stop(VarInt::from_u32(reset::ABORTED));
            return;
        }
    };
    let service = match service(&node, &link, &protocol).await {
        Ok(service) => service,
        Err(Refusal(reason, text)) => {
            log::debug!("refusing '{protocol}' to {}: {text}", link.key);
            count(&node.counters.refused, 1);
            if reason == Reason::Busy && !is_own(&protocol) {
                let what = "wants more streams than it may have; refusing some";
                node.complaints.say(link.key, what);
            }
            // The peer may be gone.
            let _ = send.write_all(&[reason.number()]).await;
            let _ = send.finish();
            let _ = recv.stop(VarInt::from_u32(reset::ABORTED));
            return;
        }
    };
    // If this fails, whatever follows sees the same failure.
    let _ = send.write_all(&[header::ACCEPTED]).await;
    match service {
        // The byte is the answer.
        Service::Ping => drop(send.finish()),
        // A question that makes no sense gets none.
        Service::Near => {
            let _ = nearness::answer(&node, &mut send).await;
        }
        Service::Reach(turn) => {
            let _ = reach::answer(&node, &link, turn, &mut send, &mut recv).await;
        }
        Service::Program(splice, slot) => {
            count(&node.counters.accepted, 1);
            splice.run(send, recv).await;
            drop(slot);
        }
    }
    drop(busy);
}

async fn read_header(recv: &mut RecvStream) -> Option<String> {
    let mut start = [0; 2];
    recv.read_exact(&mut start).await.ok()?;
    let mut name = [0; 32];
    let name = &mut name[..header::name_length(start).ok()?];
    recv.read_exact(name).await.ok()?;
    header::name(name).ok().map(str::to_owned)
}

/// Who serves a stream.
enum Service<'a> {
    Ping,
    Near,
    Reach(Turn<'a>),
    Program(Splice, StreamSlot),
}

async fn service<'a>(
    node: &'a Arc<Node>,
    link: &Link,
    protocol: &str,
) -> Result<Service<'a>, Refusal> {
    let members = node.members();
    members.admit(link.key, protocol)?;
    match protocol {
        PING => return Ok(Service::Ping),
        NEAR => return Ok(Service::Near),
        REACH => return callback::turn(node, link.key).map(Service::Reach),
        _ => {}
    }
    let client = program(node, protocol).await?;
    let slot = node.admit_peer(&link.share)?;
    if client.lags(&link.share) {
        return Err(Refusal::new(Reason::Busy, "its program lags"));
    }
    let (ours, theirs) = splice::pair().map_err(|e| Refusal::new(Reason::Busy, e.to_string()))?;
    let route = link.route();
    let splice = Splice::new(node, client.clone(), link.share.clone(), slot.number, ours);
    client.say(
        &Event::Incoming {
            stream: slot.number,
            peer: link.key,
            protocol: protocol.to_owned(),
            member: members.contains(link.key),
            path: route.path,
            rtt_us: route.rtt_us(),
            address: route.address.map(|a| a.to_string()),
        },
        Some(OwnedFd::from(theirs)),
    );
    Ok(Service::Program(splice, slot))
}

/// The program that serves `protocol`, started if need be.
async fn program(node: &Node, protocol: &str) -> Result<Arc<Client>, Refusal> {
    let found = || {
        let listeners = lock(&node.listeners);
        // One that died a moment ago serves nothing any more.
        listeners.get(protocol).filter(|c| !c.gone()).cloned()
    };
    if let Some(client) = found() {
        return Ok(client);
    }
    let settings = node.settings();
    let name = settings
        .protocols
        .get(protocol)
        .and_then(|p| p.activate.as_deref())
        .ok_or(Reason::NoListener)?;
    let started = timeout(START, async {
        let mut activated = pin!(bus::activate(node, name));
        let mut starting = true;
        loop {
            let next = node.listening.notified();
            if let Some(client) = found() {
                return Ok::<_, zbus::Error>(client);
            }
            tokio::select! {
                // It may serve before it owns its name, or after.
                done = &mut activated, if starting => {
                    done?;
                    starting = false;
                }
                () = next => {}
            }
        }
    });
    let why = match started.await {
        Ok(Ok(client)) => return Ok(client),
        Ok(Err(e)) => e.to_string(),
        Err(_) => "it does not listen".to_owned(),
    };
    log::warn!("cannot serve '{protocol}' by starting {name}: {why}");
    Err(Reason::NoListener.into())
}
