//! The door: what costs little is looked at before an update is let in, and no more are let in
//! than can wait.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use tokio::sync::{mpsc, oneshot};

use crate::board::Snapshot;
use crate::hosted::View;
use crate::hosted::holder::Order;
use crate::keys::Entry;
use crate::name::Name;
use crate::query::Question;
use crate::respond::Client;
use crate::signed::{self, said};
use crate::state::now;
use crate::tsig::Signer;

/// Octets of updates that may wait, each counted with what is needed beside it.
const WAITING: usize = 4 << 20;
const BESIDE: usize = 512;

/// Where the answer to an update goes.
#[derive(Debug)]
pub enum Reply {
    /// To a client that came by UDP, from the socket that it came to.
    Udp(Arc<UdpSocket>, SocketAddr),
    /// To one that came by TCP.
    Tcp(oneshot::Sender<Vec<u8>>),
}

/// An update that was let in.
#[derive(Debug)]
pub struct Request {
    /// The zone that it changes, and the view under which that is kept.
    pub zone: (Name, View),
    /// What it says.
    pub message: Message,
    /// Who it is from, and what that one may change.
    pub rights: Arc<Entry>,
    signer: Signer,
    /// The beginning of the answer.
    head: Vec<u8>,
    reply: Reply,
    /// Given back when it was answered.
    _place: Place,
}

impl Request {
    /// Answers it.
    pub fn answer(mut self, code: ResponseCode) {
        let mut answer = self.head;
        answer[3] = code.low();
        self.signer.sign(&mut answer, now());
        // Lost, as on the way, or the client is gone: it asks again.
        match self.reply {
            Reply::Udp(socket, client) => drop(socket.send_to(&answer, client)),
            Reply::Tcp(reply) => drop(reply.send(answer)),
        }
    }
}

/// The way in.
#[derive(Clone, Debug)]
pub struct Door {
    orders: Sender<Order>,
    community: mpsc::UnboundedSender<Request>,
    waiting: Arc<AtomicUsize>,
}

/// Room among the updates that wait.
#[derive(Debug)]
struct Place {
    waiting: Arc<AtomicUsize>,
    size: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.size, Ordering::Relaxed);
    }
}

impl Door {
    /// Leads to who takes `orders`, and with updates of the community's domain to who publishes
    /// them.
    pub fn new(orders: Sender<Order>, community: mpsc::UnboundedSender<Request>) -> Self {
        Self {
            orders,
            community,
            waiting: Arc::default(),
        }
    }

    /// Lets an update in; the answer comes later, to `reply`.
    ///
    /// # Errors
    /// The answer to one that is not let in.
    pub fn enter(
        &self,
        snapshot: &Snapshot,
        message: &[u8],
        client: Client,
        reply: impl FnOnce() -> Reply,
    ) -> Result<(), Vec<u8>> {
        let Some((mut signer, plain)) = signed::check(&snapshot.keys, message)? else {
            return Err(said(message, ResponseCode::Refused));
        };
        let checked = wanted(snapshot, &signer, &plain, client).and_then(|wanted| {
            let place = self.place(plain.len() + BESIDE);
            Ok((wanted, place.ok_or(ResponseCode::ServFail)?))
        });
        let (wanted, place) = match checked {
            Ok(checked) => checked,
            Err(code) => {
                let mut answer = said(&plain, code);
                signer.sign(&mut answer, now());
                return Err(answer);
            }
        };
        let request = Request {
            zone: wanted.zone,
            message: wanted.message,
            rights: wanted.rights,
            signer,
            head: said(&plain, ResponseCode::NoError),
            reply: reply(),
            _place: place,
        };
        // If nobody takes it the end is near.
        if wanted.is_community {
            let _ = self.community.send(request);
        } else {
            let _ = self.orders.send(Order::Update(Box::new(request)));
        }
        Ok(())
    }

    fn place(&self, size: usize) -> Option<Place> {
        let before = self.waiting.fetch_add(size, Ordering::Relaxed);
        let place = Place {
            waiting: self.waiting.clone(),
            size,
        };
        (before + size <= WAITING).then_some(place)
    }
}

/// What is to be updated.
struct Wanted {
    /// The zone and the view that it is kept under.
    zone: (Name, View),
    /// Whether it is the community's domain.
    is_community: bool,
    message: Message,
    rights: Arc<Entry>,
}

/// What the zone section says (RFC 2136 section 3.1), if the key may change anything there.
fn wanted(
    snapshot: &Snapshot,
    signer: &Signer,
    plain: &[u8],
    client: Client,
) -> Result<Wanted, ResponseCode> {
    let message = Message::from_vec(plain).map_err(|_| ResponseCode::FormErr)?;
    let [asked] = &message.queries[..] else {
        return Err(ResponseCode::FormErr);
    };
    if asked.query_type != RecordType::SOA {
        return Err(ResponseCode::FormErr);
    }
    let name = Name::from_labels(asked.name.iter()).ok_or(ResponseCode::FormErr)?;
    let mut question = Question::default();
    if !question.set(name.wire(), asked.query_type.into()) {
        return Err(ResponseCode::FormErr);
    }
    if asked.query_class != DNSClass::IN {
        return Err(ResponseCode::NotAuth);
    }
    let hosted = snapshot.hosted(client.inside).find(&question);
    let hosted = hosted.filter(|zone| zone.name.wire() == question.name());
    let community = snapshot.zones.community.as_deref();
    let community = community.filter(|apex| apex.name.wire() == question.name());
    let zone = match (hosted, community) {
        (Some(zone), _) => (zone.name.clone(), zone.kept_as),
        (None, Some(apex)) => (apex.name.clone(), View::Internal),
        (None, None) => return Err(ResponseCode::NotAuth),
    };
    let rights = snapshot.keys.get(signer.key().name());
    let Some(rights) = rights.filter(|rights| rights.updates(&zone.0)) else {
        log::info!(
            "an update of {} is refused: the key {} may not change it",
            zone.0,
            signer.key().name()
        );
        return Err(ResponseCode::Refused);
    };
    Ok(Wanted {
        is_community: hosted.is_none(),
        rights: rights.clone(),
        zone,
        message,
    })
}
