//! The daemon's parts and their life: a thread that keeps the data, one that asks the portal,
//! one that reads for the bus, and one for the bus itself.

use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use guifi_core::{Error, Root};
use tokio::sync::{mpsc, oneshot};

use crate::board::Board;
use crate::bus;
use crate::config::Settings;
use crate::keeper::{Keeper, News, ask};
use crate::library::Library;
use crate::store::{self, Store};

/// How long the end waits for what is being taken in; what is not done then is undone.
const GOODBYE: Duration = Duration::from_secs(10);

/// What the bus interface uses.
#[derive(Clone)]
pub struct Parts {
    /// The way to the keeper.
    pub news: Sender<News>,
    /// What it shows.
    pub board: Board,
    /// The way to the data.
    pub library: Library,
}

/// The running service.
pub struct Service {
    news: Sender<News>,
    ended: Receiver<()>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts everything; returns when the bus was tried.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if there is no place for the data or the system refuses
    /// threads.
    pub fn start(root: &Root, settings: Settings) -> Result<Self, Error> {
        let failed = |e: std::io::Error| Error::failed(format!("cannot start: {e}"));
        let path = root.join(store::PATH);
        let directory = path.parent().unwrap_or(&path).to_owned();
        fs::create_dir_all(&directory)
            .map_err(|e| Error::failed(format!("cannot make {}: {e}", directory.display())))?;
        let store = Store::open(&path)?;
        let (news, inbox) = channel();
        let (jobs, orders) = channel();
        let (refreshed, signals) = mpsc::unbounded_channel();
        let parts = Parts {
            news: news.clone(),
            board: Board::default(),
            library: Library::start(&path)?,
        };
        let keeper = Keeper::new(
            store,
            settings.clone(),
            jobs,
            parts.board.clone(),
            refreshed,
        )
        .map_err(|e| Error::failed(format!("cannot read {}: {e}", path.display())))?;
        let (ending, ended) = channel();
        thread::Builder::new()
            .name("keeper".into())
            .spawn(move || {
                keeper.run(&inbox);
                // Nobody waits for a keeper that ends by itself.
                let _ = ending.send(());
            })
            .map_err(failed)?;
        let answers = news.clone();
        thread::Builder::new()
            .name("portal".into())
            .spawn(move || ask(settings, &directory, &orders, &answers))
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = start_bus(parts, signals, stopped)?;
        Ok(Self {
            news,
            ended,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Takes a new configuration.
    pub fn reconfigure(&self, settings: Settings) {
        // The keeper lives as long as this does.
        let _ = self.news.send(News::Configure(settings));
    }

    /// Stops everything.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] if a part had ended before its time.
    pub fn stop(mut self) -> Result<(), Error> {
        drop(self.stop.take());
        let bus = self.thread.take().map(JoinHandle::join);
        let told = self.news.send(News::Stop);
        // A request that is under way is forgotten with the process.
        let _ = self.ended.recv_timeout(GOODBYE);
        match (bus, told) {
            (Some(Err(_)), _) | (_, Err(_)) => {
                Err(Error::failed("a part of the service had ended"))
            }
            _ => Ok(()),
        }
    }
}

fn start_bus(
    parts: Parts,
    signals: mpsc::UnboundedReceiver<crate::fetch::target::Target>,
    stopped: oneshot::Receiver<()>,
) -> Result<JoinHandle<()>, Error> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot start: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (ready, started) = channel();
    let thread = thread::Builder::new()
        .name("bus".into())
        .spawn(move || {
            runtime.block_on(async {
                bus::start(&parts, signals).await;
                let _ = ready.send(()); // nobody waits: stopped already
                let _ = stopped.await; // the sender went: the same
            });
        })
        .map_err(failed)?;
    started
        .recv()
        .map_err(|_| Error::failed("cannot start: the bus ended"))?;
    Ok(thread)
}
