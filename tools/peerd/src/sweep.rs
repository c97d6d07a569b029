//! Closing connections that nobody uses: each costs 24 bytes a second and wakes the box.

use std::sync::Arc;
use std::time::Duration;

use guifi_streams::PathKind;
use tokio::time::sleep;

use crate::node::{Node, lock};
use crate::peers::{Link, close};

/// How long a connection may be without a stream,
const IDLE: Duration = Duration::from_secs(60);
/// or, with a stranger, this long;
const STRANGER_IDLE: Duration = Duration::from_secs(20);
/// unless it is among so many that stay warm: those with the shortest round trips.
const WARM: usize = 8;

/// Closes idle connections, for as long as the daemon runs.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        node.peers.idle.notified().await;
        while let Some(wait) = sweep(&node) {
            tokio::select! {
                () = sleep(wait.max(Duration::from_secs(1))) => {}
                () = node.peers.idle.notified() => {}
            }
        }
    }
}

/// Closes what is due; the time until the next is.
fn sweep(node: &Arc<Node>) -> Option<Duration> {
    let members = node.members();
    // With the time that is left to each.
    let mut spare: Vec<(Arc<Link>, Duration)> = Vec::new();
    let mut warm: Vec<(Arc<Link>, Duration)> = Vec::new();
    {
        let mut table = lock(&node.peers.table);
        // What is known of strangers ends with their connections.
        table.retain(|key, peer| {
            members.by_key.contains_key(key)
                || !peer.links.is_empty()
                || !peer.hints.is_empty()
                || Arc::strong_count(&peer.dialling) > 1
                || peer.failed.as_ref().is_some_and(|f| f.0.elapsed() < IDLE)
        });
        for (key, peer) in table.iter() {
            for (index, link) in peer.links.iter().enumerate() {
                let Some(idle) = link.idle() else { continue };
                let newest = index + 1 == peer.links.len();
                let member = members.contains(*key);
                let limit = if member { IDLE } else { STRANGER_IDLE };
                let entry = (link.clone(), limit.saturating_sub(idle));
                if newest && member {
                    warm.push(entry);
                } else {
                    spare.push(entry);
                }
            }
        }
    }
    // A relayed path wakes the relay too: direct neighbours stay first.
    warm.sort_by_key(|(link, _)| {
        let route = link.route();
        (route.path != PathKind::Direct, route.rtt)
    });
    spare.extend(warm.into_iter().skip(WARM));
    let mut next = None;
    for (link, left) in spare {
        if left.is_zero() {
            link.close(close::IDLE);
        } else {
            next = Some(next.map_or(left, |n: Duration| n.min(left)));
        }
    }
    next
}
