//! The thread that owns the records: takes what the registry says, builds what changed,
//! publishes it, keeps it on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use guifi_core::{Error, Root};

use crate::board::Board;
use crate::record::{Line, Store};
use crate::state::{self, Serials};
use crate::zone::{Builder, Community};

/// Records are kept on the disk at most this often, and less often the more there are: one
/// second for each 4 KiB, so that a large registry does not wear the disk out.
const SAVE: Duration = Duration::from_secs(60);
const BYTES_A_SECOND: usize = 4096;
/// How often expired records are looked for.
const EXPIRE: Duration = Duration::from_secs(3600);
/// A build takes its own time this often before the next begins, and the wait stays below.
const REST: u32 = 4;
const MAX_REST: Duration = Duration::from_millis(700);

/// Lines of records, read one by one as they are taken: all at once would cost their memory
/// several times over.
pub type Lines = Box<dyn Iterator<Item = Line> + Send>;

/// News for the keeper.
pub enum News {
    /// The registry's state: the community, or none, and all records.
    Whole(Option<Community>, Lines),
    /// Changed records.
    Changes(Lines),
    /// Addresses at which others reach this box.
    Server(Vec<IpAddr>),
    /// The end.
    Stop,
}

/// For people: what zones there are.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Number of records.
    pub records: usize,
    /// The community.
    pub community: Option<Community>,
    /// When each zone (by its text) changed last: the serial.
    pub serials: BTreeMap<Box<str>, u32>,
}

/// The running thread.
pub struct Keeper {
    news: Sender<News>,
    overview: Arc<Mutex<Overview>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Loads what was kept, publishes it on `board`, and goes on in a thread.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if there is no thread left.
    pub fn start(root: &Root, board: &Arc<Board>) -> Result<Self, Error> {
        let (news, inbox) = channel();
        let mut serials = Serials::load(root);
        let mut keeping = Keeping {
            root: root.clone(),
            board: board.clone(),
            store: Store::default(),
            community: None,
            builder: Builder::new(serials.advance()),
            serials,
            server: Vec::new(),
            dirty: BTreeSet::new(),
            overview: Arc::default(),
            unsaved: false,
            saved: Instant::now(),
            size: 0,
        };
        if let Some((community, lines)) = state::load(root) {
            keeping.take(News::Whole(Some(community), lines));
            keeping.store.expire(state::now(), &mut keeping.dirty);
        }
        keeping.build();
        keeping.unsaved = false;
        let overview = keeping.overview.clone();
        let thread = std::thread::Builder::new()
            .name("names".into())
            .stack_size(512 * 1024)
            .spawn(move || keeping.run(&inbox))
            .map_err(|e| Error::failed(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            news,
            overview,
            thread: Some(thread),
        })
    }

    /// The way to tell news.
    pub fn news(&self) -> Sender<News> {
        self.news.clone()
    }

    /// The way to read the overview.
    pub fn overview(&self) -> Arc<Mutex<Overview>> {
        self.overview.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.news.send(News::Stop); // it has ended already
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic was reported
        }
    }
}

struct Keeping {
    root: Root,
    board: Arc<Board>,
    store: Store,
    community: Option<Community>,
    builder: Builder,
    serials: Serials,
    server: Vec<IpAddr>,
    dirty: BTreeSet<Box<str>>,
    overview: Arc<Mutex<Overview>>,
    unsaved: bool,
    saved: Instant,
    size: usize,
}

impl Keeping {
    fn run(mut self, inbox: &Receiver<News>) {
        loop {
            let wait = if self.unsaved {
                let pace = Duration::from_secs((self.size / BYTES_A_SECOND) as u64).max(SAVE);
                pace.saturating_sub(self.saved.elapsed())
            } else {
                EXPIRE
            };
            match inbox.recv_timeout(wait) {
                Ok(news) => {
                    let mut build = false;
                    let mut stop = false;
                    for news in std::iter::once(news).chain(inbox.try_iter()) {
                        stop |= matches!(news, News::Stop);
                        build |= self.take(news);
                    }
                    if build {
                        let started = Instant::now();
                        self.build();
                        let rest = (started.elapsed() * REST).min(MAX_REST);
                        if !stop && rest > Duration::from_millis(20) {
                            std::thread::sleep(rest);
                        }
                    }
                    if stop {
                        if self.unsaved {
                            self.save();
                        }
                        self.serials.close();
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.store.expire(state::now(), &mut self.dirty);
                    if !self.dirty.is_empty() {
                        self.build();
                    }
                    if self.unsaved {
                        self.save();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn save(&mut self) {
        self.size = state::save(&self.root, self.community.as_ref(), &self.store);
        (self.saved, self.unsaved) = (Instant::now(), false);
    }

    /// Takes news; `true` if there is something to build.
    fn take(&mut self, news: News) -> bool {
        match news {
            News::Whole(community, lines) => {
                let changed = self.community != community;
                if self.community.as_ref().map(|c| &c.domain)
                    != community.as_ref().map(|c| &c.domain)
                {
                    self.store = Store::default(); // another community's records
                }
                self.community = community;
                self.store.replace(lines, &mut self.dirty);
                self.unsaved = true;
                changed || !self.dirty.is_empty()
            }
            News::Changes(lines) => {
                for line in lines {
                    self.store.apply(&line, &mut self.dirty);
                    self.unsaved = true;
                }
                !self.dirty.is_empty()
            }
            News::Server(addresses) => {
                let changed = self.server != addresses;
                self.server = addresses;
                changed && self.community.is_some()
            }
            News::Stop => false,
        }
    }

    fn build(&mut self) {
        let started = Instant::now();
        let serial = self.serials.advance();
        let own = self.store.own();
        let server = match own.filter(|own| !own.addresses().is_empty()) {
            Some(own) => own.addresses().to_vec(),
            None => self.server.clone(),
        };
        let community = self.community.as_ref();
        self.builder
            .update(community, &self.store, &self.dirty, &server, serial);
        let zones = Arc::new(self.builder.zones().clone());
        {
            let mut overview = self.overview.lock().unwrap_or_else(PoisonError::into_inner);
            overview.records = self.store.len();
            overview.community.clone_from(&self.community);
            let before = self.board.get();
            let mut serials = BTreeMap::new();
            for (zone, built) in &zones.built {
                let old = before.zones.built.get(zone);
                let same = old.is_some_and(|old| Arc::ptr_eq(&old.table, &built.table));
                let kept = overview.serials.get(zone).copied().filter(|_| same);
                serials.insert(zone.clone(), kept.unwrap_or(serial));
            }
            overview.serials = serials;
        }
        self.board.change(|snapshot| snapshot.zones = zones);
        let (dirty, records) = (self.dirty.len(), self.store.len());
        log::debug!(
            "built {dirty} zones of {records} records in {:?}",
            started.elapsed()
        );
        self.dirty.clear();
        self.unsaved = true;
    }
}
