//! Streams that peers open: read the header, find the listener, answer, splice.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use guifi_streams::{Event, Reason, reset};
use iroh::endpoint::{RecvStream, SendStream, VarInt};
use tokio::time::timeout;

use crate::header;
use crate::node::{Node, Refusal, StreamSlot, count, lock};
use crate::peers::Link;
use crate::splice::{self, Splice};

/// How long a peer may take over the header of a stream.
const HEADER: Duration = Duration::from_secs(5);

/// The protocol that this daemon answers itself.
pub(crate) const PING: &str = "ping";

/// Serves one stream.
pub(crate) async fn serve(
    node: Arc<Node>,
    link: Arc<Link>,
    mut send: SendStream,
    mut recv: RecvStream,
) {
    let busy = link.begin(&node);
    let protocol = match timeout(HEADER, read_header(&mut recv)).await {
        Ok(Some(protocol)) => protocol,
        Ok(None) | Err(_) => {
            // It may be over already.
            let _ = send.reset(VarInt::from_u32(reset::ABORTED));
            let _ = recv.stop(VarInt::from_u32(reset::ABORTED));
            return;
        }
    };
    let answer = match deliver(&node, &link, &protocol) {
        Ok(None) => {
            let _ = send.write_all(&[header::ACCEPTED]).await;
            let _ = send.finish();
            return;
        }
        Ok(Some(delivered)) => delivered,
        Err(Refusal(reason, text)) => {
            log::debug!("refusing '{protocol}' to {}: {text}", link.key);
            count(&node.counters.refused, 1);
            // The peer may be gone.
            let _ = send.write_all(&[reason.number()]).await;
            let _ = send.finish();
            let _ = recv.stop(VarInt::from_u32(reset::ABORTED));
            return;
        }
    };
    count(&node.counters.accepted, 1);
    let (splice, slot) = answer;
    // If this fails, splicing sees the same failure.
    let _ = send.write_all(&[header::ACCEPTED]).await;
    splice.run(send, recv).await;
    drop((busy, slot));
}

async fn read_header(recv: &mut RecvStream) -> Option<String> {
    let mut start = [0; 2];
    recv.read_exact(&mut start).await.ok()?;
    let mut name = [0; 32];
    let name = &mut name[..header::name_length(start).ok()?];
    recv.read_exact(name).await.ok()?;
    header::name(name).ok().map(str::to_owned)
}

/// Hands one end of a new socket pair to the program that serves the protocol; none for what
/// this daemon answers itself.
fn deliver(
    node: &Arc<Node>,
    link: &Link,
    protocol: &str,
) -> Result<Option<(Splice, StreamSlot)>, Refusal> {
    let members = node.members();
    members.admit(link.key, protocol)?;
    if protocol == PING {
        return Ok(None);
    }
    let client = lock(&node.listeners).get(protocol).cloned();
    // One that died a moment ago serves nothing any more.
    let client = client.filter(|c| !c.gone()).ok_or(Reason::NoListener)?;
    let slot = node.admit_stream()?;
    if client.lags() {
        return Err(Refusal::new(Reason::Busy, "its program lags"));
    }
    let (ours, theirs) = splice::pair().map_err(|e| Refusal::new(Reason::Busy, e.to_string()))?;
    let route = link.route();
    let splice = Splice::new(node, client.clone(), slot.number, ours);
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
    Ok(Some((splice, slot)))
}
