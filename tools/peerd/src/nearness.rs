//! Finding the own place in the space of round trips: every now and then one of the peers at
//! hand says where it is, and the connection's round trip says how far that is.
//!
//! On a stream of the protocol `near` the helper sends the CBOR array of version 1 and where it
//! is: x, y, z, height in microseconds and error in thousandths. One that has no place yet sends
//! the version alone. Only the asker learns: nobody moves a box as often as he likes.

use std::sync::Arc;
use std::time::Duration;

use guifi_streams::{Coordinate, PathKind};
use iroh::endpoint::SendStream;
use minicbor::{Decoder, Encoder};
use tokio::time::{sleep, timeout};

use crate::coordinates::Place;
use crate::dial;
use crate::node::{Node, lock};
use crate::peers::Link;

/// The protocol.
pub(crate) const NEAR: &str = "near";
/// Between two samples at first,
const EARLY: Duration = Duration::from_secs(10);
/// and once the place is known.
const LATER: Duration = Duration::from_secs(120);
/// After so many of these samples the relays are chosen anew.
const CHOOSE: u32 = 16;
/// How long a peer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest message, in bytes.
const MAX_MESSAGE: usize = 64;

/// Takes samples, for as long as the box is joined. A box that is alone sleeps.
pub(crate) async fn run(node: Arc<Node>) {
    let mut taken: u32 = 0;
    loop {
        let mut notices = node.notices.subscribe();
        let sampled = match pick(&node, taken) {
            Some(link) => timeout(PATIENCE, sample(&node, &link)).await.is_ok(),
            None => {
                // Somebody must come first. Whether it was missed does not matter.
                let _ = notices.recv().await;
                false
            }
        };
        if sampled {
            taken = taken.wrapping_add(1);
            if taken.is_multiple_of(CHOOSE)
                && let Some(net) = node.net()
            {
                net.relays.choose(&node, &net.endpoint).await;
            }
        }
        let known = lock(&node.place).is_known();
        sleep(if known { LATER } else { EARLY }).await;
    }
}

/// One of the peers with which streams are open on a direct path: asking others would keep
/// their connections from closing.
fn pick(node: &Node, turn: u32) -> Option<Arc<Link>> {
    let members = node.members();
    let mut links = node.peers.links();
    links.retain(|link| {
        link.stream_count() > 0
            && members.contains(link.key)
            && link.route().path == PathKind::Direct
    });
    links.sort_unstable_by_key(|link| link.key);
    let index = usize::try_from(turn).ok()?.checked_rem(links.len())?;
    Some(links.swap_remove(index))
}

async fn sample(node: &Arc<Node>, link: &Arc<Link>) -> Option<()> {
    let wire = dial::open(node, link.key, NEAR, &[], PATIENCE).await.ok()?;
    let (_send, mut recv, busy) = wire.take()?;
    let message = recv.read_to_end(MAX_MESSAGE).await.ok()?;
    let there = match read(&message)? {
        Some(said) => Place::read(said)?,
        None => Place::default(),
    };
    drop(busy);
    learn(node, link, there);
    Some(())
}

/// Answers a sample.
pub(crate) async fn answer(node: &Node, send: &mut SendStream) -> Option<()> {
    let here = lock(&node.place).say();
    send.write_all(&encode(here)).await.ok()?;
    send.finish().ok()
}

fn learn(node: &Node, link: &Link, there: Place) {
    let route = link.route();
    if route.path != PathKind::Direct {
        return;
    }
    let mut chance = [0; 4];
    // Without chance two boxes in one place part in one direction: no harm.
    let _ = getrandom::fill(&mut chance);
    let chance = f64::from(u32::from_ne_bytes(chance)) / f64::from(u32::MAX);
    lock(&node.place).learn(&there, route.rtt, chance);
}

fn encode(here: Option<Coordinate>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut e = Encoder::new(&mut bytes);
    // Writing to memory has no error.
    let _ = match here {
        None => e.array(1).and_then(|e| e.u8(1)),
        Some(c) => e.array(6).and_then(|e| {
            let e = e.u8(1)?.i32(c.x_us)?.i32(c.y_us)?.i32(c.z_us)?;
            e.u32(c.height_us)?.u32(c.error_permille)
        }),
    };
    bytes
}

/// The place in a message; none in it, or no message of ours.
fn read(bytes: &[u8]) -> Option<Option<Coordinate>> {
    let mut d = Decoder::new(bytes);
    let length = d.array().ok()??;
    if d.u8().ok()? != 1 {
        return None;
    }
    if length < 6 {
        return (length == 1).then_some(None);
    }
    Some(Some(Coordinate {
        x_us: d.i32().ok()?,
        y_us: d.i32().ok()?,
        z_us: d.i32().ok()?,
        height_us: d.u32().ok()?,
        error_permille: d.u32().ok()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_the_manual_says() {
        let here = Coordinate {
            x_us: 500,
            y_us: -1,
            z_us: 1,
            height_us: 0,
            error_permille: 20,
        };
        let message = [0x86, 1, 0x19, 0x01, 0xf4, 0x20, 1, 0, 0x14];
        assert_eq!(encode(Some(here)), message);
        assert_eq!(read(&message), Some(Some(here)));
        assert_eq!(encode(None), [0x81, 1]);
        assert_eq!(read(&[0x81, 1]), Some(None));
        assert_eq!(read(&[0x81, 2]), None);
    }

    #[test]
    fn mutants_are_places_or_not() {
        let here = Coordinate {
            x_us: 500,
            y_us: -70_000,
            z_us: 1,
            height_us: 9,
            error_permille: 20,
        };
        let mut own = Place::default();
        let samples = [encode(Some(here)), encode(None)];
        guifi_testing::fuzz::bytes("near", &samples, |bytes| {
            if let Some(Some(said)) = read(bytes)
                && let Some(there) = Place::read(said)
            {
                let rtt = Duration::from_millis(u64::from(bytes[0]));
                own.learn(&there, rtt, 0.5);
                assert!(
                    own.say().is_none_or(|c| Place::read(c).is_some()),
                    "{own:?}"
                );
            }
        });
    }
}
