//! Whether other boxes reach this one: a member, best one beyond the link, is asked to call back.
//!
//! What comes in by itself proves nothing: whatever this box sends from its port opens the way
//! back through firewalls and address translators. So the helper calls from fresh sockets, see
//! [`callback`](crate::callback). On a stream of the protocol `reach` the asker sends the CBOR
//! array of version 1 and its port, the helper that of version 1, whether UDP and whether TCP
//! got through.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{Stream, StreamExt as _};
use guifi_streams::{Key, PathKind};
use iroh::endpoint::{RecvStream, SendStream};
use iroh::{Endpoint, EndpointAddr, Watcher as _};
use minicbor::{Decoder, Encoder};
use tokio::time::{sleep, timeout};

use crate::callback::{self, Answers, Turn};
use crate::dial;
use crate::node::{Node, lock};
use crate::peers::Link;

/// The protocol.
pub(crate) const REACH: &str = "reach";
/// Let connections and addresses settle before asking.
const SETTLE: Duration = Duration::from_secs(3);
/// The next question after a good answer,
const WELL: Duration = Duration::from_secs(3600);
/// and after a bad one or none; doubled each time.
const AGAIN: Duration = Duration::from_secs(15);
/// How many members are asked before a bad answer is believed.
const HELPERS: usize = 3;
/// How long a helper may take, and how long the opening of its stream.
const ANSWER: Duration = Duration::from_secs(10);
const OPEN: Duration = Duration::from_secs(5);
/// The longest message of either side, in bytes.
const MAX_MESSAGE: usize = 64;

/// What a helper found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    pub(crate) answers: Answers,
    /// Who was asked last.
    pub(crate) helper: Key,
    pub(crate) when: SystemTime,
}

impl Reached {
    fn well(&self) -> bool {
        self.answers.udp && self.answers.tcp
    }
}

/// Keeps asking, for as long as the box is joined.
pub(crate) async fn watch(node: Arc<Node>, endpoint: Endpoint) {
    let mut addresses = endpoint.watch_addr().stream_updates_only();
    let mut pause = AGAIN;
    loop {
        let mut notices = node.notices.subscribe();
        let here = places(&endpoint.addr());
        let found = ask_around(&node).await;
        if found.is_some() {
            *lock(&node.reached) = found;
        }
        if found.is_some_and(|f| f.well()) {
            pause = WELL;
        }
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(WELL),
            () = moved(&mut addresses, &here) => pause = AGAIN,
            // Somebody came who can be asked.
            Ok(_) = notices.recv(), if found.is_none() => pause = AGAIN,
        }
        sleep(SETTLE).await;
    }
}

/// Waits until this box is no longer `here`; another relay is no other place.
async fn moved(
    addresses: &mut (impl Stream<Item = EndpointAddr> + Unpin),
    here: &BTreeSet<SocketAddr>,
) {
    while let Some(address) = addresses.next().await {
        if places(&address) != *here {
            return;
        }
    }
    std::future::pending().await
}

fn places(address: &EndpointAddr) -> BTreeSet<SocketAddr> {
    address.ip_addrs().copied().collect()
}

/// Asks connected members until one got through; none if nobody answered.
async fn ask_around(node: &Arc<Node>) -> Option<Reached> {
    let mut all: Option<Reached> = None;
    for helper in helpers(node) {
        let Ok(Some(answers)) = timeout(ANSWER, ask(node, helper)).await else {
            continue;
        };
        let before = all.map(|f| f.answers).unwrap_or_default();
        let found = Reached {
            answers: Answers {
                udp: before.udp || answers.udp,
                tcp: before.tcp || answers.tcp,
            },
            helper,
            when: SystemTime::now(),
        };
        all = Some(found);
        if found.well() {
            break;
        }
    }
    all
}

/// Whom to ask: from beyond the link first, then those with a direct path.
fn helpers(node: &Node) -> Vec<Key> {
    let members = node.members();
    let near: Vec<_> = lock(&node.link)
        .values()
        .flatten()
        .map(|a| a.ip())
        .collect();
    let mut known: Vec<_> = node
        .peers
        .links()
        .into_iter()
        .filter(|link| members.contains(link.key))
        .map(|link| {
            let route = link.route();
            let near = route.address.is_some_and(|a| near.contains(&a.ip()));
            (near, route.path != PathKind::Direct, link.key)
        })
        .collect();
    known.sort_unstable();
    let mut keys: Vec<Key> = known.into_iter().map(|(.., key)| key).collect();
    keys.dedup();
    keys.truncate(HELPERS);
    keys
}

async fn ask(node: &Arc<Node>, helper: Key) -> Option<Answers> {
    let wire = dial::open(node, helper, REACH, &[], OPEN).await.ok()?;
    let (mut send, mut recv, busy) = wire.take()?;
    send.write_all(&question(node.settings().port)).await.ok()?;
    send.finish().ok()?;
    let answer = recv.read_to_end(MAX_MESSAGE).await.ok()?;
    drop(busy);
    read_answer(&answer)
}

/// Answers a question.
pub(crate) async fn answer(
    node: &Node,
    link: &Link,
    turn: Turn<'_>,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Option<()> {
    let asked = timeout(OPEN, recv.read_to_end(MAX_MESSAGE)).await.ok()?;
    let port = read_question(&asked.ok()?)?;
    let answers = callback::call(node, link, port).await;
    drop(turn);
    send.write_all(&encode_answer(answers)).await.ok()?;
    send.finish().ok()
}

fn question(port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory has no error.
    let _ = Encoder::new(&mut bytes)
        .array(2)
        .and_then(|e| e.u8(1)?.u16(port));
    bytes
}

fn read_question(bytes: &[u8]) -> Option<u16> {
    let mut d = Decoder::new(bytes);
    let known = d.array().ok()?? >= 2 && d.u8().ok()? == 1;
    let port = d.u16().ok()?;
    (known && port != 0).then_some(port)
}

fn encode_answer(answers: Answers) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory has no error.
    let _ = Encoder::new(&mut bytes)
        .array(3)
        .and_then(|e| e.u8(1)?.bool(answers.udp)?.bool(answers.tcp));
    bytes
}

fn read_answer(bytes: &[u8]) -> Option<Answers> {
    let mut d = Decoder::new(bytes);
    let known = d.array().ok()?? >= 3 && d.u8().ok()? == 1;
    let answers = Answers {
        udp: d.bool().ok()?,
        tcp: d.bool().ok()?,
    };
    known.then_some(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_the_manual_says() {
        assert_eq!(question(7656), [0x82, 1, 0x19, 0x1d, 0xe8]);
        assert_eq!(read_question(&question(7656)), Some(7656));
        assert_eq!(read_question(&question(0)), None);
        let answers = Answers {
            udp: true,
            tcp: false,
        };
        assert_eq!(encode_answer(answers), [0x83, 1, 0xf5, 0xf4]);
        assert_eq!(read_answer(&[0x83, 1, 0xf5, 0xf4]), Some(answers));
        assert_eq!(read_answer(&[0x83, 2, 0xf5, 0xf4]), None);
    }

    #[test]
    fn mutants_are_messages_or_not() {
        let answers = Answers {
            udp: true,
            tcp: false,
        };
        let samples = [question(7656), encode_answer(answers)];
        guifi_testing::fuzz::bytes("reach", &samples, |bytes| {
            assert_ne!(read_question(bytes), Some(0));
            let _ = read_answer(bytes);
        });
    }
}
