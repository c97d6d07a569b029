//! The owner of the data: one thread that decides what is fetched when, takes in what came,
//! and is the only one to write. Requests themselves wait in a thread of their own.

mod round;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use guifi_bus::Failure;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::board::{Board, Overview, Standing};
use crate::config::Settings;
use crate::fetch::http::{Answer, Trouble};
use crate::fetch::target::{self, Target, Wish};
use crate::fetch::{http, pace};
use crate::input::Input;
use crate::store::{Meta, Refusal, Source, Store, Taken};

/// What the keeper is told.
pub enum News {
    /// Somebody wants something fetched.
    Fetch(String, oneshot::Sender<Result<(), Failure>>),
    /// Somebody brings a file.
    Import(File, oneshot::Sender<Result<String, Failure>>),
    /// A request is done.
    Done(Result<Answer, Trouble>),
    /// The configuration is another one.
    Configure(Settings),
    /// It is over.
    Stop,
}

/// Failures in a row, of a source or of the portal.
#[derive(Clone, Debug, Default)]
struct Failures {
    count: u32,
    until: Option<Timestamp>,
    error: Option<String>,
}

impl Failures {
    fn add(&mut self, error: String, now: Timestamp, wait: Option<Duration>) {
        self.count += 1;
        self.until = now.checked_add(pace::next(self.count, wait)).ok();
        self.error = Some(error);
    }
}

/// The request under way.
#[derive(Clone, Debug)]
struct Active {
    target: Target,
    /// Somebody asked for it: a token that is the same is no answer.
    forced: bool,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The refresh token is asked for.
    Token,
    /// The data are, announced by this token.
    Data(Option<String>),
}

/// The keeper.
pub struct Keeper {
    store: Store,
    settings: Settings,
    configured: Vec<Target>,
    held: Vec<Source>,
    failures: HashMap<Target, Failures>,
    portal: Failures,
    wishes: VecDeque<Target>,
    confirmed: HashSet<Target>,
    active: Option<Active>,
    jobs: Sender<Job>,
    board: Board,
    refreshed: mpsc::UnboundedSender<Target>,
}

/// What the thread of requests is told.
pub enum Job {
    /// Ask.
    Ask(http::Request),
    /// By these settings from now on.
    Configure(Box<Settings>),
}

/// Asks one after the other; the answers go to the keeper.
pub fn ask(mut settings: Settings, directory: &Path, jobs: &Receiver<Job>, news: &Sender<News>) {
    // Trust in authorities takes memory: there is a client only while it is needed.
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Configure(new) => settings = *new,
            Job::Ask(request) => {
                let agent = http::agent(&settings);
                let answer = http::fetch(&agent, &request, settings.limits, directory);
                if news.send(News::Done(answer)).is_err() {
                    return;
                }
            }
        }
    }
}

impl Keeper {
    /// Begins with what is held.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn new(
        store: Store,
        settings: Settings,
        jobs: Sender<Job>,
        board: Board,
        refreshed: mpsc::UnboundedSender<Target>,
    ) -> rusqlite::Result<Self> {
        let mut keeper = Self {
            held: store.sources()?,
            store,
            configured: target::all(&settings),
            settings,
            failures: HashMap::new(),
            portal: Failures::default(),
            wishes: VecDeque::new(),
            confirmed: HashSet::new(),
            active: None,
            jobs,
            board,
            refreshed,
        };
        keeper.show();
        Ok(keeper)
    }

    /// Works until it is told to stop. With nothing to do it sleeps, however long.
    pub fn run(mut self, news: &Receiver<News>) {
        loop {
            let now = Timestamp::now();
            self.begin(now);
            self.show();
            let news = match self.sleep(now) {
                None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(time) => news.recv_timeout(time),
            };
            match news {
                Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(news) => self.hear(news),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Fetch(what, reply) => {
                let wish = target::wish(&what, &self.configured);
                // Who asked may have gone away.
                let _ = reply.send(wish.map(|wish| self.wish(wish)));
            }
            News::Import(file, reply) => {
                let _ = reply.send(self.import(file));
            }
            News::Done(answer) => self.done(answer),
            News::Configure(settings) => {
                self.configured = target::all(&settings);
                if self.settings.portal != settings.portal {
                    self.portal = Failures::default();
                    self.failures.clear();
                }
                let known: HashSet<Target> = self.configured.iter().copied().collect();
                self.wishes.retain(|target| known.contains(target));
                self.failures.retain(|target, _| known.contains(target));
                self.settings = settings.clone();
                // The thread lives as long as the process does.
                let _ = self.jobs.send(Job::Configure(Box::new(settings)));
            }
            News::Stop => {}
        }
    }

    fn wish(&mut self, wish: Wish) {
        self.confirmed.extend(wish.confirmed);
        for target in wish.targets {
            if !self.wishes.contains(&target) {
                self.wishes.push_back(target);
            }
        }
    }

    fn import(&mut self, file: File) -> Result<String, Failure> {
        let limit = self.settings.limits.bytes;
        let input = Input::new(file, limit).map_err(|e| Failure::Invalid(e.to_string()))?;
        match self.take(&input, None, &Meta::default()) {
            Ok(taken) => {
                let faults = taken.faults.list.iter().map(ToString::to_string);
                let document = json!({
                    "what": taken.kind.word(),
                    "id": taken.id,
                    "held": taken.held,
                    "faults": faults.collect::<Vec<_>>(),
                });
                Ok(document.to_string())
            }
            Err(refusal @ Refusal::Database(_)) => Err(Failure::Failed(refusal.to_string())),
            Err(refusal) => Err(Failure::Invalid(refusal.to_string())),
        }
    }

    /// Takes a file in, and tells everybody once it is safe.
    fn take(
        &mut self,
        input: &Input,
        asked: Option<Target>,
        meta: &Meta,
    ) -> Result<Taken, Refusal> {
        let confirmed = &self.confirmed;
        let taken = self.store.take(
            input,
            asked.map(|target| (target.kind, target.id)),
            meta,
            |kind, id| confirmed.contains(&Target { kind, id }),
            Timestamp::now(),
        )?;
        let target = Target {
            kind: taken.kind,
            id: taken.id,
        };
        self.confirmed.remove(&target);
        self.failures.remove(&target);
        self.read_held();
        self.show();
        let faults = match taken.faults.count {
            0 => String::new(),
            count => format!("; {count} parts of it left out"),
        };
        log::info!("{target} is new: {}{faults}", summary(&taken.held));
        // Nobody listens without the bus.
        let _ = self.refreshed.send(target);
        Ok(taken)
    }

    fn read_held(&mut self) {
        match self.store.sources() {
            Ok(held) => self.held = held,
            Err(e) => log::warn!("cannot read what is kept: {e}; going on with what is known"),
        }
    }

    fn held_of(&self, target: Target) -> Option<&Source> {
        let fits = |source: &&Source| source.kind == target.kind && source.id == target.id;
        self.held.iter().find(fits)
    }

    fn show(&mut self) {
        let mut targets = self.configured.clone();
        for source in &self.held {
            let target = Target {
                kind: source.kind,
                id: source.id,
            };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        let standing = |target: Target| {
            let configured = self.configured.contains(&target);
            let failures = self.failures.get(&target).cloned().unwrap_or_default();
            Standing {
                target,
                configured,
                held: self.held_of(target).cloned(),
                next: configured.then(|| self.due(target)),
                failures: failures.count,
                error: failures.error,
            }
        };
        self.board.set(Overview {
            portal: self.settings.portal.clone(),
            sources: targets.into_iter().map(standing).collect(),
            fetching: self.active.as_ref().map(|active| active.target),
        });
    }
}

/// `6 nodes, 3 zones`, without what is not there.
#[must_use]
pub fn summary(held: &Value) -> String {
    let counts = held.as_object().into_iter().flatten();
    let words: Vec<String> = counts
        .filter_map(|(name, count)| Some(format!("{} {name}", count.as_u64()?)))
        .collect();
    words.join(", ")
}
