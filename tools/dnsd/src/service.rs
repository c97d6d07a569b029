//! The daemon's parts and their life: a thread for the records, workers for UDP, and one thread
//! with a runtime for everything that waits.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use guifi_core::{Error, Root};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::board::Board;
use crate::bus;
use crate::common::Common;
use crate::config::Settings;
use crate::cookie::Jar;
use crate::feed::Standing;
use crate::forward::Forwarder;
use crate::hosted::holder::{self, Holder, Order};
use crate::hosted::spec::Server;
use crate::keeper::{Keeper, News, Overview};
use crate::keys::Keyring;
use crate::listen::{Listener, Report};
use crate::metrics;
use crate::notice;
use crate::portal::Feed;
use crate::querylog::QueryLog;
use crate::resolve;
use crate::respond::Transport;
use crate::secondary::follow::Follower;
use crate::stats::{Totals, sum};
use crate::tcp::{Limits, Tcp};
use crate::udp::{Job, Worker};
use crate::update::{Door, Request, publish};

/// Questions for the forwarder that may wait for it.
const JOBS: usize = 256;
/// Questions that may wait for an answer from outside.
const WAITING: usize = 2048;

/// What the bus interface looks at.
pub struct Parts {
    /// The names.
    pub board: Arc<Board>,
    /// The way outside.
    pub forwarder: Arc<Forwarder>,
    /// The addresses.
    pub report: Report,
    /// Who reads questions.
    pub log: Arc<QueryLog>,
    /// How it stands with the registry.
    pub standing: Standing,
    /// The keys that others sign with.
    pub keyring: Arc<Keyring>,
    /// The way to the keeper.
    pub news: Sender<News>,
    overview: Arc<Mutex<Overview>>,
    reports: holder::Reports,
    workers: Arc<Vec<Worker>>,
    tcp: Arc<Tcp>,
    /// The way to the owner of the hosted zones.
    pub orders: Sender<Order>,
}

impl Parts {
    /// What the keeper has.
    pub fn overview(&self) -> Overview {
        self.overview
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How the hosted zones are.
    pub fn hosted(&self) -> Vec<holder::Report> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.values().cloned().collect()
    }

    /// The counters of UDP and of TCP.
    pub fn by_transport(&self) -> [Totals; 2] {
        let workers = self.workers.iter().map(|worker| &*worker.counters);
        [sum(workers), sum([&self.tcp.counters])]
    }

    /// The counters of all workers.
    pub fn totals(&self) -> Totals {
        let workers = self.workers.iter().map(|worker| &*worker.counters);
        sum(workers.chain([&self.tcp.counters]))
    }
}

/// The running service.
pub struct Service {
    settings: watch::Sender<Settings>,
    forwarder: Arc<Forwarder>,
    tcp: Arc<Tcp>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    workers: Arc<Vec<Worker>>,
    keeper: Keeper,
    holder: Holder,
    /// Who is told of changes of the community's domain.
    followers: Arc<Mutex<Vec<Server>>>,
}

impl Service {
    /// Starts everything; returns when questions are answered and the bus was tried.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if the system refuses threads or descriptors.
    pub fn start(root: &Root, settings: Settings) -> Result<Self, Error> {
        let board = Arc::new(Board::default());
        let keyring = Keyring::open(root, &board);
        let keeper = Keeper::start(root, &board)?;
        let (changes, told) = mpsc::unbounded_channel();
        let holder = Holder::start(
            root,
            &board,
            changes.clone(),
            settings.hosted.clone(),
            settings.portal.map(|portal| portal.service),
        )?;
        let followers = Arc::new(Mutex::new(settings.notify.clone()));
        watch_community(&board, followers.clone(), changes);
        let keys = board.clone();
        let forwarder = Forwarder::new(root, &settings);
        let (publish, published) = mpsc::unbounded_channel();
        let common = Common {
            jar: Jar::new()?,
            log: Arc::default(),
            door: Door::new(holder.orders(), publish),
        };
        let tcp = Tcp::new(
            &board,
            &forwarder,
            &common,
            holder.orders(),
            limits(&settings),
        );
        let (jobs, inbox) = mpsc::channel(JOBS);
        let workers = (0..settings.workers).map(|_| Worker::start(&board, &common, jobs.clone()));
        let workers = Arc::new(workers.collect::<Result<Vec<_>, _>>()?);
        let listener = Listener::new(root, &board, &forwarder, &tcp, workers.clone());
        let parts = Arc::new(Parts {
            board,
            forwarder: forwarder.clone(),
            report: listener.report(),
            standing: Standing::default(),
            keyring,
            news: keeper.news(),
            overview: keeper.overview(),
            reports: holder.reports(),
            workers: workers.clone(),
            tcp: tcp.clone(),
            log: common.log.clone(),
            orders: holder.orders(),
        });
        let (sender, settings) = watch::channel(settings);
        let follower = Follower::new(holder.orders(), settings.clone(), keys.clone());
        let register = holder.register();
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = channel();
        let root = root.clone();
        let failed = |e: std::io::Error| Error::failed(format!("cannot start: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("io".into())
            .stack_size(512 * 1024)
            .spawn(move || {
                runtime.block_on(async {
                    tokio::spawn(notice::tell(told, keys));
                    tokio::spawn(follower.run(register));
                    run(&root, parts, listener, settings, (inbox, published)).await;
                    let _ = ready.send(()); // nobody waits: stopped already
                    let _ = stopped.await; // the sender went: the same
                });
            })
            .map_err(failed)?;
        started
            .recv()
            .map_err(|_| Error::failed("cannot start: the runtime ended"))?;
        Ok(Self {
            settings: sender,
            forwarder,
            tcp,
            stop: Some(stop),
            thread: Some(thread),
            workers,
            keeper,
            holder,
            followers,
        })
    }

    /// Takes a new configuration; the number of workers stays.
    pub fn reconfigure(&self, settings: Settings) {
        self.forwarder.reconfigure(&settings);
        self.tcp.reconfigure(limits(&settings));
        let order = Order::Configure {
            specs: settings.hosted.clone(),
            portal: settings.portal.map(|portal| portal.service),
        };
        let _ = self.holder.orders().send(order); // it ends last
        *self
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = settings.notify.clone();
        // The receiver lives as long as the thread does.
        let _ = self.settings.send(settings);
    }

    /// Stops everything and keeps the records.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if a part had ended before its time.
    pub fn stop(mut self) -> Result<(), Error> {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        drop(self.workers);
        drop(self.keeper);
        drop(self.holder);
        match ended {
            Some(Err(_)) => Err(Error::failed("a part of the service had ended")),
            _ => Ok(()),
        }
    }
}

/// Gives word of each new serial of the community's domain.
fn watch_community(
    board: &Arc<Board>,
    followers: Arc<Mutex<Vec<Server>>>,
    changes: mpsc::UnboundedSender<notice::Change>,
) {
    let (watched, last) = (Arc::downgrade(board), AtomicU32::new(0));
    board.on_change(Box::new(move || {
        let servers = followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(board) = watched.upgrade().filter(|_| !servers.is_empty()) else {
            return;
        };
        if let Some(apex) = &board.get().zones.community
            && last.swap(apex.serial, Ordering::Relaxed) != apex.serial
        {
            let zone = apex.name.clone();
            let _ = changes.send(notice::Change { zone, servers }); // the end is near
        }
    }));
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        connections: settings.tcp_connections,
        per_client: settings.tcp_per_client,
        idle: settings.tcp_idle,
        transfer: settings.transfer.clone(),
    }
}

async fn run(
    root: &Root,
    parts: Arc<Parts>,
    mut listener: Listener,
    settings: watch::Receiver<Settings>,
    (jobs, updates): (mpsc::Receiver<Job>, mpsc::UnboundedReceiver<Request>),
) {
    let first = settings.borrow().clone();
    let (own, missing) = listener.bind(&first);
    let _ = parts.news.send(News::Server(own)); // the keeper ends last
    tokio::spawn(forward(parts.clone(), jobs));
    let feed = Feed {
        settings: settings.clone(),
        orders: parts.orders.clone(),
        forwarder: parts.forwarder.clone(),
    };
    let news = parts.news.clone();
    let tell = move |own| drop(news.send(News::Server(own)));
    tokio::spawn(listener.follow(settings, tell, missing));
    if let Err(e) = metrics::start(root, &parts) {
        log::warn!(
            "cannot serve metrics at {}: {e}; going on without",
            metrics::SOCKET
        );
    }
    let (bus, connected) = watch::channel(None);
    tokio::spawn(publish::run(updates, connected, parts.board.clone()));
    bus::start(&parts, feed, bus).await;
}

/// Answers what the workers hand over.
async fn forward(parts: Arc<Parts>, mut jobs: mpsc::Receiver<Job>) {
    let places = Arc::new(Semaphore::new(WAITING));
    while let Some(job) = jobs.recv().await {
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue; // lost, as on the way: the client asks again
        };
        let parts = parts.clone();
        tokio::spawn(async move {
            let _place = place;
            let (snapshot, way) = (parts.board.get(), Transport::Udp);
            let mut answer = resolve::answer(snapshot, &parts.forwarder, &job.message, way).await;
            if let Some(cookie) = job.cookie {
                cookie.attach(&mut answer);
            }
            // A full queue loses the answer, as the network might.
            let _ = job.socket.send_to(&answer, job.client);
        });
    }
}
