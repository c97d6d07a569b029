//! The thread that owns the hosted zones: loads them, changes them, keeps them on the disk and
//! publishes them. A zone whose source is missing or wrong stays as it was.

mod copy;
mod group;
mod report;
mod take;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use guifi_core::{Error, Root};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};

use self::copy::Copy;
pub use self::report::Report;
use self::report::report;
use super::blob::Delta;
use super::content::Content;
use super::draft::Draft;
use super::portal::{Copied, Defined};
use super::rrset::Soa;
use super::spec::Spec;
use super::store::Store;
use super::{Hosted, View, Zone};
use crate::board::Board;
use crate::encode::rtype;
use crate::name::Name;
use crate::notice;
use crate::secondary::{Register, Told};
use crate::update::Request;

/// What the holder is asked to do.
pub enum Order {
    /// Host these zones and no others; files are read anew.
    Configure {
        /// The zones.
        specs: Vec<Spec>,
        /// Number of the DNS service whose zones the portal defines.
        portal: Option<u64>,
    },
    /// The portal defines these zones for a service, and no others.
    Portal {
        /// Number of the service.
        service: u64,
        /// The zones.
        zones: Vec<Defined>,
        /// Those that are copies of other servers'.
        copies: Vec<Copied>,
    },
    /// The changes of a zone from a serial to the present, if they are still known.
    Since {
        /// The zone.
        name: Name,
        /// Under which view it is kept.
        view: View,
        /// The serial.
        serial: u32,
        /// Where the answer goes.
        reply: oneshot::Sender<Option<Vec<Delta>>>,
    },
    /// An update (RFC 2136), which is answered when it is done.
    Update(Box<Request>),
    /// A master file that has changed counts, whatever updates there were.
    Take {
        /// The zone.
        name: Name,
        /// Where the answer goes: how many updates were dropped, or why it is not done.
        reply: oneshot::Sender<Result<u32, String>>,
    },
    /// There is something about a copy.
    Copy(Told),
    /// The end.
    Stop,
}

/// How the zones are.
pub type Reports = Arc<Mutex<BTreeMap<(Name, View), Report>>>;

/// The running thread.
pub struct Holder {
    orders: Sender<Order>,
    reports: Reports,
    register: watch::Receiver<Arc<Register>>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    /// Loads the zones of `specs`, publishes them on `board`, and goes on in a thread. Word of
    /// changes goes to `changes`.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if there is no thread left.
    pub fn start(
        root: &Root,
        board: &Arc<Board>,
        changes: UnboundedSender<notice::Change>,
        specs: Vec<Spec>,
        portal: Option<u64>,
    ) -> Result<Self, Error> {
        let (orders, inbox) = channel();
        let mut holding = Holding {
            root: root.clone(),
            board: board.clone(),
            store: None,
            changes,
            zones: BTreeMap::new(),
            portal: None,
            reports: Arc::default(),
            register: watch::Sender::default(),
        };
        holding.configure(specs, portal);
        let reports = holding.reports.clone();
        let register = holding.register.subscribe();
        let thread = std::thread::Builder::new()
            .name("zones".into())
            .stack_size(512 * 1024)
            .spawn(move || holding.run(&inbox))
            .map_err(|e| Error::failed(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            orders,
            reports,
            register,
            thread: Some(thread),
        })
    }

    /// The way to give orders.
    pub fn orders(&self) -> Sender<Order> {
        self.orders.clone()
    }

    /// The way to see how the zones are.
    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// The zones that are followed, as they change.
    pub fn register(&self) -> watch::Receiver<Arc<Register>> {
        self.register.clone()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop); // it has ended already
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic was reported
        }
    }
}

/// A zone that is hosted.
struct Held {
    spec: Spec,
    content: Option<Content>,
    /// Hash of the source that the content was made of.
    source: Vec<u8>,
    fault: Option<String>,
    doubts: Vec<String>,
    /// Number of updates since then.
    updates: u32,
    unkept: Option<take::Unkept>,
    copy: Option<Copy>,
    published: Option<Arc<Zone>>,
    /// The serial that others were told of.
    told: Option<u32>,
}

struct Holding {
    root: Root,
    board: Arc<Board>,
    store: Option<Store>,
    changes: UnboundedSender<notice::Change>,
    zones: BTreeMap<(Name, View), Held>,
    portal: Option<u64>,
    reports: Reports,
    register: watch::Sender<Arc<Register>>,
}

impl Holding {
    fn run(mut self, inbox: &Receiver<Order>) {
        let mut next = None;
        while let Some(order) = next.take().or_else(|| inbox.recv().ok()) {
            match order {
                Order::Update(request) => next = self.update(*request, inbox),
                Order::Take { name, reply } => {
                    let _ = reply.send(self.take_over(&name)); // gone
                }
                Order::Configure { specs, portal } => self.configure(specs, portal),
                Order::Portal {
                    service,
                    zones,
                    copies,
                } => self.take_portal(service, zones, copies),
                Order::Since {
                    name,
                    view,
                    serial,
                    reply,
                } => {
                    let changes = self
                        .store
                        .as_ref()
                        .map(|store| store.since((&name, view), serial));
                    let _ = reply.send(changes.and_then(|changes| changes.unwrap_or_default())); // gone
                }
                Order::Copy(told) => self.copy(told),
                Order::Stop => return,
            }
        }
    }

    fn configure(&mut self, specs: Vec<Spec>, portal: Option<u64>) {
        self.portal = portal;
        if (!specs.is_empty() || portal.is_some()) && self.store.is_none() {
            match Store::open(&self.root) {
                Ok(store) => self.store = Some(store),
                Err(e) => log::error!("{e}; zones are served, and not kept"),
            }
        }
        let mut before = std::mem::take(&mut self.zones);
        for spec in specs {
            let key = (spec.name.clone(), spec.kept_as());
            let mut held = self.held(before.remove(&key), &key, spec);
            self.take_file(&key, &mut held);
            self.begin_copy(&key, &mut held);
            self.zones.insert(key, held);
        }
        self.keep_portal(before);
        self.forget();
        self.enter();
        self.publish();
    }

    /// The zone as it was held, or kept on the disk, or an empty one, for this `spec`.
    fn held(&self, before: Option<Held>, key: &(Name, View), spec: Spec) -> Held {
        if let Some(mut held) = before {
            if held.spec != spec {
                (held.spec, held.published) = (spec, None);
            }
            return held;
        }
        let mut held = Held {
            spec,
            content: None,
            source: Vec::new(),
            fault: None,
            doubts: Vec::new(),
            updates: 0,
            unkept: None,
            copy: None,
            published: None,
            told: None,
        };
        let loaded = self.store.as_ref().map(|store| store.load((&key.0, key.1)));
        match loaded {
            Some(Ok(Some(kept))) => {
                let mut content = Content::of(&key.0, kept.records);
                let mut draft = Draft::new(&content, None);
                let mut changes = kept.changes.iter();
                if !changes.all(|delta| draft.patch(delta)) {
                    log::error!("the changes of {} do not fit its records", key.0);
                }
                let changes = draft.finish();
                content.apply(changes);
                held.content = Some(content);
                (held.source, held.updates) = (kept.source, kept.updates);
            }
            Some(Err(e)) => log::error!("{e}; {} comes from its source", key.0),
            _ => {}
        }
        held
    }

    /// Forgets what is kept of zones that are hosted no more. Updates of a master file are
    /// nowhere else: they stay, should the zone come back.
    fn forget(&mut self) {
        let Some(store) = &mut self.store else { return };
        for key in store.zones().unwrap_or_default() {
            if self.zones.contains_key(&key) {
                continue;
            }
            let (name, zone) = (&key.0, (&key.0, key.1));
            let removed = match store.has_updates(zone) {
                Ok(Some(source)) if !source.starts_with(take::PORTAL) => {
                    log::warn!("{name} is hosted no more; its updates stay on the disk");
                    continue;
                }
                Ok(_) => store.remove(zone),
                Err(e) => Err(e),
            };
            if let Err(e) = removed {
                log::warn!("{e}; {name} stays on the disk");
            }
        }
    }

    fn publish(&mut self) {
        let mut reports = BTreeMap::new();
        for (key, held) in &mut self.zones {
            renew(key, held, &self.changes);
            reports.insert(key.clone(), report(&key.0, held));
        }
        *self.reports.lock().unwrap_or_else(PoisonError::into_inner) = reports;
        self.show();
    }

    /// The same, if only some zones have changed.
    fn publish_these(&mut self, changed: &[(Name, View)]) {
        for key in changed {
            let Some(held) = self.zones.get_mut(key) else {
                continue;
            };
            renew(key, held, &self.changes);
            let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
            reports.insert(key.clone(), report(&key.0, held));
        }
        self.show();
    }

    fn show(&self) {
        let mut views = [Vec::new(), Vec::new()];
        for held in self.zones.values() {
            for view in &held.spec.views {
                let place = &mut views[usize::from(*view == View::External)];
                place.extend(held.published.clone());
            }
        }
        let [internal, external] = views.map(|zones| Arc::new(Hosted::new(zones)));
        self.board.change(|snapshot| {
            snapshot.internal = internal;
            snapshot.external = external;
            snapshot.followed = self.register.borrow().clone();
        });
    }

    /// Says how a zone is.
    fn tell(&self, key: &(Name, View)) {
        if let Some(held) = self.zones.get(key) {
            let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
            reports.insert(key.clone(), report(&key.0, held));
        }
    }
}

/// Makes what a zone is answered from, and tells its followers, if it has changed.
fn renew(
    (name, kept_as): &(Name, View),
    held: &mut Held,
    changes: &UnboundedSender<notice::Change>,
) {
    if held.published.is_some() {
        return;
    }
    let content = held.content.as_ref();
    let transfer = held.spec.transfer.clone();
    let mut zone = content.and_then(|content| Zone::new(content, transfer, *kept_as));
    if let (Some(inner), Some(copy)) = (&mut zone, &held.copy) {
        inner.expired = copy.is_expired();
        // Those of the portal are asked for at their servers then.
        zone = zone.filter(|zone| !zone.expired || held.spec.source.portal().is_none());
    }
    held.published = zone.map(Arc::new);
    let serial = held.published.as_ref().map(|zone| zone.serial);
    if std::mem::replace(&mut held.told, serial) != serial && !held.spec.notify.is_empty() {
        let change = notice::Change {
            zone: name.clone(),
            servers: held.spec.notify.clone(),
        };
        let _ = changes.send(change); // nobody listens: the end is near
    }
}

/// The start of authority of a zone.
pub fn soa(content: &Content) -> Option<(u32, Soa)> {
    let sets = content.get(b"");
    let rrset = sets.get(&rtype::SOA)?;
    Some((rrset.ttl, Soa::read(rrset.data.first()?)?))
}

/// Writes the start of authority.
pub fn set_soa(content: &mut Content, ttl: u32, soa: &Soa) {
    let mut sets = content.get(b"");
    let rrset = sets.entry(rtype::SOA).or_default();
    (rrset.ttl, rrset.data) = (ttl, vec![soa.data()]);
    content.apply(BTreeMap::from([(Box::default(), (Box::default(), sets))]));
}

#[cfg(test)]
mod tests;
